"""S6: how long after a record should have been sent is its effect read, at fixed rates, all services running."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogWriter

from benchmarks.bus import Bus
from benchmarks.buses import Buses
from benchmarks.latency.observer import Observer, Sights
from benchmarks.latency.stream import HOPS_MAX, Stream
from benchmarks.measuring import wait_for_file
from benchmarks.scenario import Report, scratch
from benchmarks.size import Size
from benchmarks.workload import encode
from xiezhi.codec import Codec
from xiezhi.registry import ConfluentRegistry

TITLE = "S6 latency at fixed rates"
RATES = (500, 3_000)
#: What we hold ourselves to, in milliseconds, by rate: (p99, p99.9) after one hop, and more for each further one.
TARGETS_MS: Mapping[int, tuple[float, float | None]] = {500: (100, None), 3_000: (200, 500)}
FURTHER_HOP_MS = 150
#: The first records find cold caches; they are published and not counted.
WARM_UP_S, WARM_UP_SHARE = 5.0, 0.2
SETTLE_TIMEOUT_S = 180.0
#: Microseconds; three significant digits.
_LEAST, _MOST, _DIGITS = 1, 600_000_000, 3

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """One rate: latencies in microseconds by hops, and by how much the sender was late at most."""

    rate: int
    latencies: Mapping[int, HdrHistogram]
    late_s: float


def measure(size: Size, buses: Buses, say: Say) -> Report:
    with ExitStack() as opened, buses.bus("S6", say) as bus:
        folder = scratch(opened)
        found, first = [], 0
        for rate in RATES:
            stream = Stream(first, int(rate * size.seconds))
            first += stream.records
            bus.send(encode(list(stream.before()), Codec(ConfluentRegistry(bus.settings.registry_url))))
            bus.wait_until_quiet(SETTLE_TIMEOUT_S)
            say(f"S6: {rate:,} records/s for {size.seconds:.0f} s")
            found.append(_at_rate(bus, stream, rate, folder / f"sent-{rate}.json"))
        return Report(
            TITLE,
            list(table(found, size)),
            {str(one.rate): _raw(one) for one in found},
            {
                f"S6-{one.rate}-per-s-{hops}-hops.hlog": _log(histogram)
                for one in found
                for hops, histogram in one.latencies.items()
            },
        )


def _at_rate(bus: Bus, stream: Stream, rate: int, file: Path) -> Measured:
    probes = stream.probes()
    arguments = (str(stream.first), str(stream.records), str(rate), str(file))
    process = bus.process(f"sender-{rate}", "benchmarks.latency.sender", *arguments)
    with closing(Observer(bus.settings, probes.keys())) as observer:
        wait_for_file(process, file, SETTLE_TIMEOUT_S + stream.records / rate)
        sent = json.loads(file.read_text("utf-8"))
        observer.wait(stream.sights(), SETTLE_TIMEOUT_S)
        return Measured(
            rate, latencies(observer.seen, probes, sent["due_unix_ns"], rate, stream.records), sent["late_s"]
        )


def latencies(
    seen: Sights, probes: Mapping[str, int], due_unix_ns: int, rate: float, records: int
) -> dict[int, HdrHistogram]:
    """Microseconds from the moment at which a probe was due, by hops, without those of the warm-up."""
    found = {hops: HdrHistogram(_LEAST, _MOST, _DIGITS) for hops in range(1, HOPS_MAX + 1)}
    counted_from = min(WARM_UP_S * rate, WARM_UP_SHARE * records)
    for (probe, hops), at_unix_ns in seen.items():
        if probes[probe] >= counted_from:
            due = due_unix_ns + probes[probe] / rate * 1e9
            found[hops].record_value(max(_LEAST, round((at_unix_ns - due) / 1000)))
    return found


def table(found: Sequence[Measured], size: Size) -> Iterator[str]:
    """A line for each rate and number of hops."""
    yield "| records/s | hops | probes | p50 ms | p90 ms | p99 ms | p99.9 ms | highest ms | target |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for one in found:
        for hops, histogram in one.latencies.items():
            shown = " | ".join(f"{_ms(histogram, percentile):,.0f}" for percentile in (50, 90, 99, 99.9, 100))
            verdict = _verdict(one.rate, hops, _ms(histogram, 99), _ms(histogram, 99.9))
            yield f"| {one.rate:,} | {hops} | {histogram.get_total_count():,} | {shown} | {verdict} |"
    late = ", ".join(f"{1000 * one.late_s:.0f} ms at {one.rate:,}/s" for one in found)
    yield ""
    yield (
        f"Open loop for {size.seconds:.0f} s each, all services running; from the moment at which a record was due to "
        f"its effect decoded by a reader of the topic. One hop: an alert. Each further hop: a relation on a relation. "
        f"The sender was late by at most {late}, which counts."
    )


def _verdict(rate: int, hops: int, p99_ms: float, p999_ms: float) -> str:
    p99_max, p999_max = TARGETS_MS[rate]
    more = FURTHER_HOP_MS * (hops - 1)
    told = f"p99 ≤ {p99_max + more:.0f}"
    met = p99_ms <= p99_max + more
    if p999_max is not None:
        told += f", p99.9 ≤ {p999_max + more:.0f}"
        met = met and p999_ms <= p999_max + more
    return f"{told}: {'met' if met else '**missed**'}"


def _ms(histogram: HdrHistogram, percentile: float) -> float:
    return float(histogram.get_value_at_percentile(percentile)) / 1000


def _raw(one: Measured) -> dict[str, object]:
    by_hops = {
        hops: {
            "probes": histogram.get_total_count(),
            **{f"p{percentile}_ms": _ms(histogram, percentile) for percentile in (50, 90, 99, 99.9, 100)},
        }
        for hops, histogram in one.latencies.items()
    }
    return {"late_s": one.late_s, "hops": by_hops}


def _log(histogram: HdrHistogram) -> str:
    """In the format of HdrHistogram's log files, for its own tools."""
    text = StringIO()
    writer = HistogramLogWriter(text)
    writer.output_comment("latency in microseconds")
    writer.output_log_format_version()
    writer.output_legend()
    writer.output_interval_histogram(histogram)
    return text.getvalue()
