"""`make bench-telemetry`: what traces cost on the whole path, router, judge and alert store at once.

Three ways in one run, one after the other and in turning order: telemetry off, spans to the local store, spans to an
OTLP endpoint (which on this machine takes its share of the CPU, too). Each measurement has a broker, a registry and
data of its own and the same backlog, and counts only if all of it was routed and exactly the planted alerts were said.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

import click
import psutil

from benchmarks.bus import Bus
from benchmarks.entry import enter
from benchmarks.machine import machine, versions
from benchmarks.results import write_raw, write_section
from benchmarks.tables import markdown, middle, rate
from benchmarks.workload import planted
from streams.clock import passed_by
from xiezhi.contracts.naming import ALERT
from xiezhi.errors import StackError, XiezhiError
from xiezhi.groups import ALERT_STORE
from xiezhi.lag import Lags
from xiezhi.local.process import Process
from xiezhi.local.settings import LOOPBACK

TITLE = "What traces cost (`make bench-telemetry`)"
OFF, STORE, OTLP = "off", "local store", "OTLP endpoint"
WAYS = (OFF, STORE, OTLP)
#: What we hold ourselves to: less than this share of the throughput.
COST_MAX = 0.10
SERVICES = {
    "router": ("streams.app", "router"),
    "judge": ("streams.app", "judge"),
    "alert-store": ("consumers.alerts.service",),
}
LOOK_INTERVAL_S = 0.1
START_UP_MAX_S = 90.0
#: A path slower than this, or stuck, ends the measurement.
RECORDS_PER_S_MIN = 200.0


@dataclass(frozen=True, slots=True)
class Passage:
    """One backlog through the whole path: `records` routed, judged and stored in `seconds`."""

    way: str
    records: int
    seconds: float
    cpu_s: float  # of the three services

    @property
    def per_s(self) -> float:
        return self.records / self.seconds

    @property
    def cpu_us(self) -> float:
        return 1e6 * self.cpu_s / self.records


@click.command()
@click.option("--records", default=200_000, show_default=True, help="Records of the backlog, about.")
@click.option("--rounds", default=3, show_default=True, help="Rounds of all ways; figures are medians.")
@click.option("--write/--no-write", default=True, show_default=True, help="Put the figures into RESULTS.md.")
def bench(records: int, rounds: int, write: bool) -> None:
    """Measure the whole path with telemetry off and on."""
    about = {**machine(), **versions()}
    passages: dict[str, list[Passage]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in (*WAYS[number % 3 :], *WAYS[: number % 3]):
            one = _measure(way, records)
            passages[way].append(one)
            click.echo(f"round {number + 1}, {way}: {one.per_s:,.0f} a second, {one.cpu_us:.1f} CPU µs each")
    lines = list(report(passages, about, records))
    click.echo("\n" + "\n".join(lines))
    if write:
        write_section(TITLE, lines)
        raw = {
            "about": about,
            "passages": {way: [asdict(one) for one in found] for way, found in passages.items()},
        }
        write_raw("telemetry", raw)


def report(
    passages: Mapping[str, Sequence[Passage]], about: Mapping[str, str], records: int
) -> Iterator[str]:
    """Medians, and the median over the rounds of each way beside `off` in the same round."""
    yield f"{records:,} records, {len(passages[OFF])} rounds; " + ", ".join(
        f"{k} {v}" for k, v in about.items()
    )
    yield ""
    heads = (
        *("telemetry", "records/s", "lowest-highest", "CPU µs a record"),
        *("throughput beside off", "CPU beside off"),
    )
    yield from markdown(heads, (_row(way, found, passages[OFF]) for way, found in passages.items()))
    yield ""
    yield f"Target: at least {1 - COST_MAX:.2f} beside off."


def _row(way: str, found: Sequence[Passage], off: Sequence[Passage]) -> Sequence[str]:
    pairs = list(zip(found, off, strict=True))
    throughput = median(one.per_s / other.per_s for one, other in pairs)
    cpu = median(one.cpu_us / other.cpu_us for one, other in pairs)
    return (way, *rate(found), middle(found, "cpu_us", ".1f"), f"{throughput:.3f}", f"{cpu:.3f}")


def _measure(way: str, records: int) -> Passage:
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="xiezhi-bench-")))
        variables = {OFF: {"OTEL_SDK_DISABLED": "true"}, STORE: {}, OTLP: {}}[way]
        if way == OTLP:
            variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": opened.enter_context(_sink())}
        bus = Bus.new(folder, opened)
        bus.prepare()
        bus.publish(records)
        processes = [bus.process(name, *arguments) for name, arguments in SERVICES.items()]
        try:
            with _environment(variables):
                for process in processes:
                    process.start()
            return _pass(way, bus, processes, records)
        finally:
            for process in processes:
                process.stop()


def _pass(way: str, bus: Bus, processes: Sequence[Process], records: int) -> Passage:
    """From the first commit of the router to the last of the alert store."""
    passed = {**passed_by(bus.settings), ALERT_STORE: [ALERT]}  # nothing else runs here
    router, all_of_them = bus.lags("router"), Lags(bus.settings.bootstrap_servers, passed)
    deadline = time.monotonic() + START_UP_MAX_S + records / RECORDS_PER_S_MIN
    while not (begun_with := sum(one.committed for one in router.read())):
        _look(processes, deadline)
    begun, cpu = time.monotonic(), _cpu_s(processes)
    _until_quiet(all_of_them, processes, deadline)
    bus.require_routed()  # its tick lets the settle times run out
    _until_quiet(all_of_them, processes, deadline)
    seconds, spent = time.monotonic() - begun, _cpu_s(processes) - cpu
    bus.require_alerts(planted(records))
    routed = sum(one.committed for one in router.read()) - begun_with
    if routed <= 0:
        raise XiezhiError("the router committed everything at once: ask for more records")
    return Passage(way, routed, seconds, spent)


def _until_quiet(lags: Lags, processes: Sequence[Process], deadline: float) -> None:
    """Nobody behind, twice with unmoved ends: between two groups a record may be on its way."""
    before: list[int] = []
    while True:
        _look(processes, deadline)
        read = lags.read()
        ends = [one.end for one in read]
        if not any(one.records for one in read) and ends == before:
            return
        before = ends


def _look(processes: Sequence[Process], deadline: float) -> None:
    for process in processes:
        if not process.is_running:
            raise StackError(f"{process.name} ended while it was measured:\n{process.log_tail(10)}")
    if time.monotonic() > deadline:
        raise XiezhiError("the path is not through with its backlog in time")
    time.sleep(LOOK_INTERVAL_S)


def _cpu_s(processes: Sequence[Process]) -> float:
    used = [psutil.Process(process.pid).cpu_times() for process in processes]
    return sum(one.user + one.system for one in used)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """What processes started in the block inherit; no variable of OpenTelemetry but these."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _sink() -> Iterator[str]:
    """An endpoint that takes everything and keeps nothing; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """A line a request would be measured, too."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{LOOPBACK}:{server.server_address[1]}"
        finally:
            server.shutdown()


if __name__ == "__main__":
    enter("bench-telemetry", bench)
