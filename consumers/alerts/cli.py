"""`xiezhi alerts`: follow suspected problems live, list them, show one with its evidence and history.

Reads the alert store's database, nothing else; the database package is loaded only when a command runs. Whatever is
shown is on the access trail first, since lists too say who is suspected of what.
"""

from __future__ import annotations

import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from consumers.alerts.texts import LANGS, Lang
from xiezhi.cli.instants import METAVAR, PastInstant
from xiezhi.cli.purpose import purpose_option
from xiezhi.cli.terminal import to_json
from xiezhi.errors import StoreError
from xiezhi.settings import Settings
from xiezhi.wall_clock import now_ms

if TYPE_CHECKING:
    from consumers.alerts.statement import Stored
    from consumers.alerts.store import AlertStore

Command = TypeVar("Command", bound=Callable[..., Any])

_COLOURS = {"red": "red", "orange": "bright_red", "yellow": "yellow"}
_CURSOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CHOICES_SHOWN = 10


def _filters(command: Command) -> Command:
    for option in (
        click.option(
            "--jurisdiction", default="", metavar="PREFIX", help="Beginning of a division code, e.g. 3301."
        ),
        click.option(
            "--handling", type=click.Choice(("open", "sealed")), help="Only open or only sealed ones."
        ),
        click.option(
            "--severity",
            "severities",
            multiple=True,
            type=click.Choice(("red", "orange", "yellow")),
            help="Repeatable.",
        ),
        click.option("--rule", "rules", multiple=True, metavar="ID", help="Rule id, e.g. C04. Repeatable."),
    ):
        command = option(command)
    return command


_lang = click.option(
    "--lang", type=click.Choice(LANGS), default="both", show_default=True, help="Language. 语言"
)
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")


@click.group(short_help="Suspected problems: follow, list, show. 疑似问题")
def alerts() -> None:
    """Suspected problems: follow, list, show. 疑似问题。

    An alert shows a suspicion; the competent department verifies it. Nobody is found guilty here.
    示其疑，不断其罪。
    """


@alerts.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(("raised", "changed", "withdrawn")),
    help="Repeatable.",
)
@_filters
@click.option(
    "--said-at",
    "said_at_ms",
    type=PastInstant(),
    metavar=METAVAR,
    help="As they stood then: what had been said by this instant. ISO 8601 with a time zone.",
)
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@_lang
@_json
@purpose_option
def list_alerts(
    limit: int, said_at_ms: int | None, lang: Lang, as_json: bool, purpose: str, **filters: Any
) -> None:
    """Alerts as they stand, newest first.

    With --said-at as they stood then. What the records that had arrived by then would support is another question:
    `xiezhi replay --known-at`.
    """
    from consumers.alerts import pages
    from consumers.alerts.outbox import trail
    from consumers.alerts.statement import Filter

    with _store() as store, trail(Settings(), "alerts list", purpose=purpose) as note:
        found = store.standing(Filter(**_given(filters)), limit=limit, said_at_ms=said_at_ms)
        note("export" if as_json else "search", _ids(found))
    for line in map(_as_json, found) if as_json else pages.listing(found, lang):
        click.echo(line)


@alerts.command()
@click.argument("alert_id", metavar="ID")
@_lang
@_json
@purpose_option
def show(alert_id: str, lang: Lang, as_json: bool, purpose: str) -> None:
    """One alert with explanation, evidence, rule, parameters and history. ID may be its unique beginning."""
    from consumers.alerts import pages
    from consumers.alerts.outbox import trail

    with _store() as store, trail(Settings(), "alerts show", purpose=purpose) as note:
        history = store.history(_unique(store, alert_id))
        note("export" if as_json else "read", _ids(history))
    for line in map(_as_json, history) if as_json else pages.page(history, lang):
        click.echo(line)


@alerts.command("follow")
@_filters
@click.option(
    "--cursor", default="", metavar="NAME", help="Resume where this name left off, without gap or repeat."
)
@click.option(
    "--from-start", is_flag=True, help="Begin with the first alert instead of now or the cursor's place."
)
@_lang
@_json
@purpose_option
def follow_alerts(
    cursor: str, from_start: bool, lang: Lang, as_json: bool, purpose: str, **filters: Any
) -> None:
    """Alerts as they come, changed and withdrawn ones too, until Ctrl-C."""
    from consumers.alerts import pages
    from consumers.alerts.follow import Follow, Reader, follow
    from consumers.alerts.outbox import trail
    from consumers.alerts.statement import Filter
    from xiezhi.telemetry.setup import tracing

    if cursor and not _CURSOR.fullmatch(cursor):
        raise click.BadParameter("use letters, digits, dot, dash and underscore", param_hint="--cursor")

    def write(stored: Stored) -> None:
        if as_json:
            click.echo(_as_json(stored))
        else:
            click.secho(pages.line(stored, lang), fg=_COLOURS[stored.alert.severity])

    opened = trail(Settings(), "alerts follow", purpose=purpose)
    traced = tracing("xiezhi-alerts-follow", Settings())
    with _store() as store, opened as note, _stopping() as stopping, traced:
        if not as_json:
            click.echo(pages.notice(lang), err=True)
        what = Follow(Filter(**_given(filters)), cursor, from_start)
        reader = Reader(lambda page: note("export" if as_json else "read", _ids(page)), write)
        follow(store, what, reader, stopping=stopping, clock=now_ms)


@click.command(short_help="One alert from publish call to acknowledgement. 链路")
@click.argument("alert_id", metavar="ID")
@click.option(
    "--all", "show_all", is_flag=True, help="Every statement about it, not only the one that stands."
)
@_lang
@click.option("--json", "as_json", is_flag=True, help="One JSON object a statement, for programs.")
@purpose_option
def trace(alert_id: str, show_all: bool, lang: Lang, as_json: bool, purpose: str) -> None:
    """The way of an alert, from the departments' publish calls to the acknowledgement. ID may be its unique beginning.

    Up to the alert it is computed from its record; what happened since comes from the spans kept on this machine. It
    shows departments, topics and places in the log, never what records say.
    """
    from consumers.alerts import traces, waterfall
    from consumers.alerts.outbox import trail

    settings = Settings()
    with _store() as store, trail(settings, "trace", purpose=purpose) as note:
        history = store.history(_unique(store, alert_id))
        note("export" if as_json else "read", _ids(history))
    for number, stored in enumerate(history if show_all else history[-1:]):
        whole = traces.whole_trace(stored, settings)
        if as_json:
            click.echo(to_json(traces.to_object(whole)))
        else:
            cells = shutil.get_terminal_size((80, 24)).columns
            for line in [*([""] if number else []), *waterfall.page(whole, lang, cells)]:
                click.echo(line)


def _given(filters: dict[str, Any]) -> dict[str, Any]:
    if not re.fullmatch(r"[0-9]{0,12}", filters["jurisdiction"]):
        raise click.BadParameter(
            "use the first digits of a 12-digit division code", param_hint="--jurisdiction"
        )
    return {**filters, "handling": filters["handling"] or ""}


def _ids(shown: Iterable[Stored]) -> list[str]:
    return list(dict.fromkeys(one.alert.record_id for one in shown))


def _as_json(stored: Stored) -> str:
    from consumers.alerts.pages import to_object

    return to_json(to_object(stored))


def _unique(store: AlertStore, prefix: str) -> str:
    found = store.find(prefix, limit=_CHOICES_SHOWN + 1) if prefix else ()
    if len(found) == 1 or prefix in found:
        return found[0]
    if not found:
        raise click.UsageError(
            f"no alert has an id that begins with {prefix!r}; `xiezhi alerts list` shows all"
        )
    shown = ", ".join(found[:_CHOICES_SHOWN]) + (", …" if len(found) > _CHOICES_SHOWN else "")
    raise click.UsageError(f"several ids begin with {prefix!r}: {shown}")


@contextmanager
def _store() -> Iterator[AlertStore]:
    from consumers.alerts.database import path_of, url_of
    from consumers.alerts.store import AlertStore

    settings = Settings()
    if not path_of(settings).exists():
        raise StoreError(
            f"there is no alert store at {path_of(settings).absolute()}; start the services (`make up`), or point "
            "XIEZHI_DATA_DIR to where they keep their data"
        )
    # What is lost of a cursor by a power failure is repeated, so its moves need not wait for the disk.
    with closing(AlertStore.open(url_of(settings), durable=False)) as store:
        yield store


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or TERM sets, so that a line and its cursor are never torn apart."""
    stopping = threading.Event()

    def stop(number: int, _frame: object) -> None:
        stopping.set()
        signal.signal(number, signal.SIG_DFL)  # the second one ends a follower whose reader is stuck

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


COMMANDS: tuple[click.Command, ...] = (alerts, trace)
