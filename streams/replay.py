"""What would have been said, knowing only what had been ingested by an instant; and how it differs from what was said.

Two questions with two names. *Known at*: the oracle over the records, ticks and activations ingested by then. *Said
at*: the alert log up to then, folded as every consumer folds it. They differ while something is on its way through the
bus, after an outage, and where the code judged differently: that is what the comparison is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from streams import history
from streams.evaluation import Proposal
from streams.joins import JOINS
from streams.oracle import judge_log
from xiezhi.alert_log import read_alert
from xiezhi.codec import Codec
from xiezhi.contracts.alert import Alert
from xiezhi.contracts.base import Contract
from xiezhi.contracts.naming import ALERT
from xiezhi.errors import ActivationMismatchError, BadRecordError
from xiezhi.log import LogReader
from xiezhi.settings import Settings


@dataclass(frozen=True, slots=True)
class Known:
    """The answer to what was known: alerts by id, as of which tick, and by which rules."""

    alerts: Mapping[str, Proposal]
    now_ms: int
    rules: tuple[str, ...]
    failed: Mapping[str, str]


class Difference(StrEnum):
    """How what was said and what was known disagree about one alert."""

    SAID_ONLY = "said only"  # it stood, and nothing known by then supports it
    KNOWN_ONLY = "known only"  # what was known supports it, and it was not said yet, or taken back
    CONTENT = "content"  # both have it and say different things


@dataclass(frozen=True, slots=True)
class Differing:
    """One alert on which the two disagree."""

    difference: Difference
    said: Alert | None
    known: Proposal | None

    @property
    def alert_id(self) -> str:
        return self.said.record_id if self.said else self.known.id if self.known else ""

    @property
    def rule_id(self) -> str:
        return self.said.rule_id if self.said else self.known.owner if self.known else ""


@dataclass(frozen=True, slots=True)
class Past:
    """A log to ask about an instant, and what reading it needs."""

    settings: Settings
    log: LogReader
    codec: Codec
    instant_ms: int


def known_at(past: Past, contracts: Sequence[Contract], look: history.Look = lambda _: None) -> Known:
    """The oracle on the log up to the instant; `look` is told how many records were read.

    Raises ActivationMismatchError when a rule that was active then has other code here: its answer cannot be computed.
    """
    settings, log, codec, instant_ms = past.settings, past.log, past.codec, past.instant_ms
    generations = range(1, settings.generation + 1)  # the live one may be younger than the instant
    now_ms = max(history.latest_tick_ms(log, number, instant_ms) for number in generations)
    try:
        rules = history.active_rules(log, codec, instant_ms)
    except ActivationMismatchError as error:
        raise ActivationMismatchError(
            "a rule that was active at that instant had other code than is installed here; install the version of "
            f"then to ask what it would have said ({error})"
        ) from error
    raws = history.records(log, contracts, instant_ms, look)
    verdict = judge_log(raws, JOINS, rules, history.guard(log, codec, contracts, settings), now_ms)
    return Known(verdict.alerts, now_ms, tuple(sorted(rules)), verdict.failed)


def said_at(past: Past) -> dict[str, Alert]:
    """Alert id -> the statement that stood at the instant, according to the alert log.

    A record that is no alert is passed over: the alert store dead-letters it.
    """
    newest: dict[str, Alert] = {}
    for partition in range(past.log.partitions(ALERT)):
        for chunk in past.log.read(ALERT, partition, 0):
            for raw in history.known_by(chunk, past.instant_ms):
                try:
                    alert, _ = read_alert(raw, past.codec)
                except BadRecordError:
                    continue
                held = newest.get(alert.record_id)
                if held is None or alert.position > held.position:
                    newest[alert.record_id] = alert
    return {alert_id: alert for alert_id, alert in newest.items() if alert.state != "withdrawn"}


def compare(said: Mapping[str, Alert], known: Mapping[str, Proposal]) -> list[Differing]:
    """Where the two disagree, by rule and alert id."""
    found = (_differing(said.get(one), known.get(one)) for one in {*said, *known})
    return sorted((one for one in found if one is not None), key=lambda one: (one.rule_id, one.alert_id))


def _differing(said: Alert | None, known: Proposal | None) -> Differing | None:
    if said is None:
        return Differing(Difference.KNOWN_ONLY, said, known)
    if known is None:
        return Differing(Difference.SAID_ONLY, said, known)
    if said.content_digest != known.digest:
        return Differing(Difference.CONTENT, said, known)
    return None


def of_rules(alerts: Iterable[Proposal], rules: Sequence[str]) -> list[Proposal]:
    """Those of the given rules (none given: all), by rule and id."""
    wanted = [one for one in alerts if not rules or one.owner in rules]
    return sorted(wanted, key=lambda one: (one.owner, one.id))
