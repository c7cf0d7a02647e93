"""`xiezhi doctor`: one screen that says whether the bus is well, and what to do where it is not."""

from __future__ import annotations

import click

from xiezhi.cli.terminal import to_json
from xiezhi.doctor import page
from xiezhi.doctor.checks import CHECKS
from xiezhi.doctor.examine import examine
from xiezhi.doctor.finding import LANGS, Lang, Patient
from xiezhi.project import find_project
from xiezhi.settings import Settings
from xiezhi.wall_clock import now_ms


@click.command()
@click.option("--lang", type=click.Choice(LANGS), default="both", show_default=True, help="Language. 语言")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def doctor(context: click.Context, lang: Lang, as_json: bool) -> None:
    """What is up, what lags, what is dead-lettered, which department is late, and what to do. 体检

    Exit code 0: healthy, 1: something needs attention. Reads the log and asks broker, registry and services; changes
    nothing. With the local stack or without: XIEZHI_BOOTSTRAP_SERVERS and XIEZHI_REGISTRY_URL say where the bus is.
    """
    project = find_project()
    patient = Patient(
        settings=Settings(),
        contracts=project.contracts() if project else (),
        services=tuple(service.name for service in project.services) if project else (),
        now_ms=now_ms(),
    )
    report = examine(patient, (*CHECKS, *(project.checks() if project else ())))
    if as_json:
        click.echo(to_json(page.to_object(report, patient)))
    else:
        for line, colour in page.page(report, patient, lang):
            click.secho(line, fg=colour)
    if not report.is_healthy:
        context.exit(1)


COMMANDS: tuple[click.Command, ...] = (doctor,)
