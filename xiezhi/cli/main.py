"""The command `xiezhi`: finds commands when they are called, and turns errors into one line and an exit code.

Core commands come with the wheel and are imported only when called, so that `xiezhi --help` stays quick; a
project adds its own through `xiezhi.toml`. Ctrl-C ends with 130, without a traceback.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence

import click
from pydantic import ValidationError

from xiezhi import __version__
from xiezhi.errors import ConfigurationError, XiezhiError
from xiezhi.project import find_project
from xiezhi.settings import wrong_setting

EXIT_INTERRUPTED = 130

#: Settings classes that read the environment.
SETTINGS = ("Settings", "LocalSettings")

#: Commands of the wheel: where each is, and what the list of commands says about it.
CORE = {
    "up": ("xiezhi.cli.stack", "Start broker, registry and services on this machine, and stay. 启动"),
    "down": ("xiezhi.cli.stack", "Stop what `up` started. 停止"),
    "status": ("xiezhi.cli.stack", "What runs, where, and since when. 状态"),
    "doctor": ("xiezhi.cli.doctor", "What is up, late or stuck, and what to do. 体检"),
    "contracts": ("xiezhi.cli.contracts", "Record types: schemas, examples, topics. 数据契约"),
    "publish": ("xiezhi.cli.publish", "Publish records from a JSONL or CSV file. 发布"),
    "withdraw": ("xiezhi.cli.publish", "Withdraw a record that should never have been. 撤回"),
    "verify": ("xiezhi.cli.verify", "Check a receipt offline, against a public key. 核验凭证"),
    "access": ("xiezhi.cli.access", "Who looked at or did what, why and when. 访问留痕"),
    "dead-letters": ("xiezhi.cli.dead_letters", "Records that could not be judged, and why. 死信"),
}


class Commands(click.Group):
    """Core commands by the table above, then those of the project in whose folder we are."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*CORE, *_project_commands()[0]]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in CORE:
            return _core_command(name)
        commands, errors = _project_commands()
        if name not in commands and errors:  # it may be one of those that could not be loaded
            raise errors[0]
        return commands.get(name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in CORE.items()])
        commands, errors = _project_commands()
        if commands:
            with formatter.section("Commands of this project"):
                formatter.write_dl([(name, each.get_short_help_str(70)) for name, each in commands.items()])
        for error in errors:
            formatter.write_text(f"not available: {error}")


def _core_command(name: str) -> click.Command:
    module = importlib.import_module(CORE[name][0])
    for command in module.COMMANDS:
        if command.name == name:
            assert isinstance(command, click.Command)
            return command
    raise LookupError(f"{module.__name__} has no command {name}")


def _project_commands() -> tuple[dict[str, click.Command], list[ConfigurationError]]:
    """The project's commands by name, and why some could not be loaded: one broken module hides no other."""
    commands: dict[str, click.Command] = {}
    errors: list[ConfigurationError] = []
    project = find_project()
    if project is None:
        return commands, errors
    for module in project.command_modules:
        try:
            commands.update({str(command.name): command for command in project.commands_of(module)})
        except ConfigurationError as error:
            errors.append(error)
    return commands, errors


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="xiezhi")
@click.option(
    "-v", "--verbose", count=True, help="Log what happens; twice: in detail, and errors with traces."
)
def cli(verbose: int) -> None:
    """獬豸 Xiezhi: departments' records in, live alerts with evidence out. 监督数据共享总线。"""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if not verbose:  # a broker that is away is one sentence of ours, not hundreds of the client's lines
        logging.getLogger("librdkafka").setLevel(logging.CRITICAL)


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; errors go to stderr as one line."""
    try:
        result = cli.main(list(arguments), prog_name="xiezhi", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except XiezhiError as error:
        return _fail(error)
    except ValidationError as error:
        if error.title not in SETTINGS:  # anything else would be a defect of ours, and shows its trace
            raise
        return _fail(wrong_setting(error))
    return result if isinstance(result, int) else 0


def _fail(error: XiezhiError) -> int:
    if logging.getLogger().isEnabledFor(logging.DEBUG):
        traceback.print_exc()
    click.echo(f"xiezhi: {error}", err=True)
    return error.exit_code


def main() -> None:
    """Entry point of the console script."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader went away (`… | head`), and Python would complain about it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
