"""`xiezhi replay`: what would have been said at an instant, knowing only what had been ingested by then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import click

from schemas.catalogue import CONTRACTS
from streams import history
from streams.evaluation import Proposal
from streams.replay import Differing, Known, Past, compare, known_at, of_rules, said_at
from xiezhi.cli.instants import METAVAR, PastInstant
from xiezhi.cli.terminal import instant, table, to_json
from xiezhi.codec import Codec
from xiezhi.contracts.alert import Alert
from xiezhi.log import LogReader
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings

PROGRESS_EVERY_S = 2.0
#: Characters of an alert id that tables show, as `xiezhi alerts list` does.
ID_CHARS = 12
NOTICE = (
    "疑似问题，由主责部门核实，不作结论 suspected problems, to be verified by the competent department; "
    "nobody is found guilty"
)


@click.command(short_help="What would have been said at an instant, from what was known then. 重算")
@click.option(
    "--known-at",
    "at_ms",
    required=True,
    type=PastInstant(),
    metavar=METAVAR,
    help="Records, ticks and activations ingested later do not count. ISO 8601 with a time zone.",
)
@click.option("--rule", "rules", multiple=True, metavar="ID", help="Show these rules only. Repeatable.")
@click.option(
    "--diff",
    "differences",
    is_flag=True,
    help="Show instead where this differs from what had been said by then; exit code 1 if it does.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
def replay(at_ms: int, rules: tuple[str, ...], differences: bool, as_json: bool) -> None:
    """What would have been said at an instant, knowing only what had been ingested by then. 重算

    The batch oracle reads the log up to the instant: records, the clock's ticks, the rules then active. It writes
    nothing. What was really said then is another question: `xiezhi alerts list --said-at`. `--diff` asks both.
    """
    settings = Settings()
    with LogReader(settings.bootstrap_servers) as log:
        progress = Progress(history.size(log, CONTRACTS), time.monotonic, _to_stderr)
        past = Past(settings, log, Codec(ConfluentRegistry(settings.registry_url)), at_ms)
        known = known_at(past, CONTRACTS, progress.read)
        said = said_at(past) if differences else {}
    for owner, why in sorted(known.failed.items()):
        _to_stderr(f"{owner} failed and says nothing: {why}")
    if differences:
        found = [one for one in compare(said, known.alerts) if not rules or one.rule_id in rules]
        _write(_objects_of(found) if as_json else _table_of(found, at_ms, known))
        raise SystemExit(1 if found else 0)
    alerts = of_rules(known.alerts.values(), rules)
    _write(map(_object, alerts) if as_json else _listing(alerts, at_ms, known))


class Progress:
    """Says now and then how much of a long log was read."""

    def __init__(self, total: int, clock: Callable[[], float], say: Callable[[str], None]) -> None:
        self._total, self._clock, self._say = total, clock, say
        self._said_s = clock()

    def read(self, records: int) -> None:
        """`records` of the total have been read by now."""
        if self._clock() - self._said_s >= PROGRESS_EVERY_S:
            self._said_s = self._clock()
            self._say(f"{records:,} of {self._total:,} records read 已读")


def _listing(alerts: Sequence[Proposal], at_ms: int, known: Known) -> Iterator[str]:
    yield from _head(at_ms, known)
    if not alerts:
        yield "no alert would stand 无预警"
        return
    heads = ("id", "severity", "handling", "rule", "jurisdiction", "title")
    yield from table(heads, map(_cells, alerts))
    yield from ("", NOTICE)


def _cells(alert: Proposal) -> tuple[str, ...]:
    content = alert.content
    title = f"{content['title']['zh']} / {content['title']['en']}"
    return (
        alert.id[:ID_CHARS],
        content["severity"],
        content["handling"],
        alert.owner,
        content["jurisdiction"] or "-",
        title,
    )


def _head(at_ms: int, known: Known) -> Iterator[str]:
    tick = instant(known.now_ms) if known.now_ms else "none yet 尚无"
    yield f"known at 已知截至 {instant(at_ms)}; tick 时钟 {tick}; {len(known.rules)} rules active 启用规则"


def _table_of(found: Sequence[Differing], at_ms: int, known: Known) -> Iterator[str]:
    yield from _head(at_ms, known)
    if not found:
        yield "what was said and what was known agree 两者一致"
        return
    rows = ((one.alert_id[:ID_CHARS], one.rule_id, one.difference.value, _subject(one)) for one in found)
    yield from table(("id", "rule", "difference", "subject"), rows)
    yield from ("", NOTICE)


def _subject(one: Differing) -> str:
    subject = one.said.subject if one.said else one.known.content["subject"] if one.known else {}
    return ", ".join(f"{name}={value}" for name, value in sorted(subject.items()))


def _objects_of(found: Sequence[Differing]) -> Iterator[str]:
    for one in found:
        yield to_json(
            {
                "difference": one.difference.value,
                "alert_id": one.alert_id,
                "rule_id": one.rule_id,
                "said": _said(one.said),
                "known": None if one.known is None else _fields(one.known),
            }
        )


def _said(alert: Alert | None) -> dict[str, object] | None:
    return None if alert is None else alert.model_dump(mode="json")


def _object(alert: Proposal) -> str:
    return to_json(_fields(alert))


def _fields(alert: Proposal) -> dict[str, object]:
    evidence = [one.as_reference() for one in alert.evidence]
    return {
        "alert_id": alert.id,
        "content_digest": alert.digest,
        "content": dict(alert.content),
        "evidence": evidence,
    }


def _write(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


def _to_stderr(line: str) -> None:
    click.echo(line, err=True)


COMMANDS: tuple[click.Command, ...] = (replay,)
