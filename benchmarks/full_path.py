"""S3: the whole path at once: publish, route, judge, store, audit; all services, all rules, traces on.

A synthetic province is published through the departments' own publishers as fast as they go, on the same machine, and
the clock stops when everything has passed every consumer group, checkpoints of the audit log included. Then settle
times run out, corrections follow, and the run counts only if the alerts are those that were planted and the audit log
is complete.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from benchmarks.bus import SETTLED_MS, Bus
from benchmarks.buses import Buses
from benchmarks.scenario import Report
from benchmarks.size import Size
from benchmarks.tables import markdown, rate
from consumers.alerts.database import url_of
from consumers.alerts.statement import Filter
from consumers.alerts.store import AlertStore
from deploy.demo import end_of_calendar_ms
from deploy.scorecard import SaidAlert, score, subject_of
from deploy.settled import groups
from producers.province.generate import Province, generate
from producers.province.publishing import publish_all
from xiezhi.codec import Codec
from xiezhi.errors import XiezhiError
from xiezhi.lag import Lags
from xiezhi.registry import ConfluentRegistry
from xiezhi.wall_clock import now_ms

TITLE = "S3 the whole path"
TARGET_PER_S = 10_000
#: More would only take longer.
RECORDS_MAX = 200_000
TIMEOUT_S = 300.0
LOOK_INTERVAL_S = 0.2

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Passage:
    """One province through all stages. CPU seconds and peak memory by process, the publisher's among them."""

    records: int
    published_s: float  # until the broker had the last record
    passed_s: float  # until everything was routed, judged, stored and audited
    cpu_s: Mapping[str, float]
    peak_rss_mb: Mapping[str, float]

    @property
    def per_s(self) -> float:
        return self.records / self.passed_s


def measure(size: Size, buses: Buses, say: Say) -> Report:
    records = min(size.records, RECORDS_MAX)
    province = generate(1, records, until_ms=min(now_ms(), end_of_calendar_ms()))
    gc.freeze()  # the province stays; walking through it again and again would slow the publisher down
    passages = []
    for number in range(size.rounds):
        what = f"S3 round {number + 1}"
        with buses.bus(what, say) as bus:
            passages.append(_pass(bus, province))
        say(f"  {what}: {passages[-1].per_s:,.0f} records/s")
    return Report(TITLE, list(table(passages)), {"passages": [asdict(one) for one in passages]})


def _pass(bus: Bus, province: Province) -> Passage:
    codec = Codec(ConfluentRegistry(bus.settings.registry_url))
    cpu, own = bus.cpu_s(), time.process_time()
    begun = time.monotonic()
    records = publish_all(province.publications, bus.settings, codec)
    published_s, own = time.monotonic() - begun, time.process_time() - own
    passed_s = _until_passed(bus) - begun
    spent = {name: used - cpu.get(name, 0.0) for name, used in bus.cpu_s().items()}
    peaks = bus.peak_rss_mb()
    _require_as_planted(bus, province, codec)
    return Passage(records, published_s, passed_s, {"publisher": own, **spent}, peaks)


def _until_passed(bus: Bus) -> float:
    """When nobody was behind for the first of two looks between which no end moved. Raises XiezhiError when late."""
    lags = Lags(bus.settings.bootstrap_servers, groups(bus.settings))
    deadline = time.monotonic() + TIMEOUT_S
    passed_at, before = 0.0, [-1]
    while True:
        at, read = time.monotonic(), lags.read()
        ends = [one.end for one in read]
        if any(one.records for one in read):
            before = [-1]
        elif ends == before:
            return passed_at
        else:
            passed_at, before = at, ends
        if at > deadline:
            raise XiezhiError("the path is not through with the province in time")
        time.sleep(LOOK_INTERVAL_S)


def _settle(bus: Bus) -> None:
    """Let every settle time run out of what was published so far."""
    bus.wait_until_quiet(TIMEOUT_S)
    bus.tick(now_ms() + SETTLED_MS)
    bus.wait_until_quiet(TIMEOUT_S)


def _require_as_planted(bus: Bus, province: Province, codec: Codec) -> None:
    """Raises XiezhiError when anything planted is not said, or anything else is; StackError for the audit log."""
    _settle(bus)
    publish_all(province.corrections, bus.settings, codec)
    _settle(bus)
    store = AlertStore.open(url_of(bus.settings))
    try:
        said = [
            SaidAlert(one.alert.rule_id, subject_of(one.alert.subject), one.alert.state != "withdrawn")
            for one in store.standing(Filter(), limit=1_000_000)
        ]
    finally:
        store.close()
    wrong = [name for name, row in score(province.labels, said).items() if not row.is_perfect]
    if wrong or not said:
        raise XiezhiError(f"the alerts of {', '.join(wrong) or 'all rules'} are not those that were planted")
    bus.command("audit", "check")


def table(passages: Sequence[Passage]) -> Iterator[str]:
    """Throughput, and where the CPU time of the machine went."""
    verdict = "met" if median(one.per_s for one in passages) >= TARGET_PER_S else "**missed**"
    published = median(one.records / one.published_s for one in passages)
    told = f"≥ {TARGET_PER_S:,}/s: {verdict}"
    row = (f"{passages[0].records:,}", *rate(passages), f"{published:,.0f}", told)
    yield from markdown(("records", "records/s", "lowest-highest", "published/s meanwhile", "target"), [row])
    yield ""
    heads = ("process", "CPU µs a record", "peak MB")
    yield from markdown(heads, (_process_row(name, passages) for name in passages[0].cpu_s))
    yield ""
    yield (
        "From the first publish call until everything was routed, judged, stored and under a signed checkpoint. All "
        "planted alerts, and no others, stood afterwards; the audit log was complete."
    )


def _process_row(name: str, passages: Sequence[Passage]) -> Sequence[str]:
    cpu = median(1e6 * one.cpu_s[name] / one.records for one in passages)
    peaks = [one.peak_rss_mb[name] for one in passages if name in one.peak_rss_mb]
    return (name, f"{cpu:.1f}", f"{median(peaks):.0f}" if peaks else "")
