"""`xiezhi up`, `down` and `status`: the bus on this machine, with nothing but Python."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from types import FrameType
from typing import TYPE_CHECKING

import click

from xiezhi.project import Project, load_project
from xiezhi.settings import Settings, live_generation

if TYPE_CHECKING:
    from xiezhi.local.stack import LocalStack
    from xiezhi.local.state import ProcessRecord, StackState

WATCH_EVERY_S = 0.2
#: What the access trail says of the contracts and rules that a start applies, unless XIEZHI_PURPOSE is set.
PURPOSE = "start of the local stack"

#: What `up` needs at most to stop: services, registry and broker have twenty seconds each, one after the other.
STOP_TIMEOUT_S = 75.0


@click.command()
@click.option("--pack", default="cn", show_default=True, help="Parameter pack of the rules to activate.")
@click.option("--bare", is_flag=True, help="Broker and registry alone; needs no project.")
def up(pack: str, bare: bool) -> None:
    """Start broker, registry and services on this machine, and stay until Ctrl-C.

    Data stay in XIEZHI_DATA_DIR (default .xiezhi/data) for the next time. The first start downloads about 200 MB.
    """
    from xiezhi.local.settings import StackSettings
    from xiezhi.local.stack import LocalStack

    project = None if bare else load_project()
    settings = Settings()
    with _stop_signals():
        stack = LocalStack(StackSettings.of(settings), _say)
        try:
            _say("starting the broker and the registry …")
            stack.start()
            if project is not None:
                stack.start_project(project, settings, pack=pack, purpose=PURPOSE)
            _say_where(stack)
            _watch(stack, project, settings)
        finally:
            if stack.members:  # else nothing was started: another stack runs here, a port is in use
                _stop(stack)


def _watch(stack: LocalStack, project: Project | None, settings: Settings) -> None:
    """Until Ctrl-C, which is how this command ends in order; an earlier one interrupts it."""
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            stack.watch()
            if project is not None:
                settings = _of_live_generation(stack, project, settings)
            time.sleep(WATCH_EVERY_S)


def _of_live_generation(stack: LocalStack, project: Project, settings: Settings) -> Settings:
    """Starts the services anew once `xiezhi refile` has switched, unless a variable names the generation."""
    live = live_generation(settings.data_dir)
    if live == settings.generation or "XIEZHI_GENERATION" in os.environ:
        return settings
    _say(f"generation {live} is live: starting the services anew …")
    settings = settings.model_copy(update={"generation": live})
    stack.start_services(project.services, settings, project.root)
    return settings


def _say(text: str) -> None:
    """To the terminal; one that was closed must not keep us from stopping what runs."""
    with contextlib.suppress(OSError):
        click.echo(text)


def _say_where(stack: LocalStack) -> None:
    names = ", ".join(member.process.name for member in stack.members)
    _say(
        f"\nKafka      {stack.bootstrap_servers}\n"
        f"registry   {stack.registry_url}\n"
        f"running    {names}\n"
        f"data       {stack.home}\n"
        f"logs       {stack.logs}\n\n"
        "Ctrl-C here or `xiezhi down` in another terminal stops all of it."
    )


def _stop(stack: LocalStack) -> None:
    """In order; a second Ctrl-C does not wait for anybody."""
    _say("stopping …")
    try:
        stack.stop()
    except KeyboardInterrupt:
        stack.kill()
    _say("stopped")


@contextlib.contextmanager
def _stop_signals() -> Iterator[None]:
    """TERM (`xiezhi down`) and HUP (the terminal was closed) act as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@click.command()
def down() -> None:
    """Stop the stack that runs on XIEZHI_DATA_DIR, from any terminal."""
    from xiezhi.local.settings import StackSettings
    from xiezhi.local.stack import end_leftovers
    from xiezhi.local.state import StackLock

    home = StackSettings.of(Settings()).home
    lock = StackLock(home)
    owner = lock.owner()
    if owner is None:
        end_leftovers(home)
        click.echo(f"no stack runs on {home}")
        return
    click.echo(f"stopping the stack on {home} (process {owner}) …")
    os.kill(owner, signal.SIGTERM)
    if not _wait_for(lambda: lock.owner() is None, STOP_TIMEOUT_S):
        os.kill(owner, signal.SIGKILL)
        _wait_for(lambda: lock.owner() is None, STOP_TIMEOUT_S)
    end_leftovers(home)
    click.echo("stopped")


def _wait_for(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return True


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """What runs on XIEZHI_DATA_DIR, where, and since when. Exit code 1 when something does not run."""
    from xiezhi.local.settings import StackSettings
    from xiezhi.local.state import StackLock, read_state

    home = StackSettings.of(Settings()).home
    state = read_state(home) if StackLock(home).owner() is not None else None
    if as_json:
        click.echo(json.dumps({"home": str(home), "running": state is not None, **_as_json(state)}))
    elif state is None:
        click.echo(f"no stack runs on {home}; start it with `xiezhi up`")
    else:
        click.echo(f"Kafka      {state.bootstrap_servers}\nregistry   {state.registry_url}\n")
        for process in state.processes:
            click.echo(_line(process))
    if state is None or not all(process.is_alive for process in state.processes):
        context.exit(1)


def _as_json(state: StackState | None) -> dict[str, object]:
    if state is None:
        return {}
    processes = [{**asdict(process), "alive": process.is_alive} for process in state.processes]
    return {
        "bootstrap_servers": state.bootstrap_servers,
        "registry_url": state.registry_url,
        "processes": processes,
    }


def _line(process: ProcessRecord) -> str:
    if process.is_alive:
        minutes = max(time.time() - process.started_s, 0.0) / 60
        state = f"process {process.pid}, {minutes:.0f} min, {process.restarts} restarts"
    else:
        state = f"not running: {process.note or 'restarting'}"
    return f"{process.name:<14} {process.zone:<10} {state:<40} {process.log}"


COMMANDS: tuple[click.Command, ...] = (up, down, status)
