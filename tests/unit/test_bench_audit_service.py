"""What the benchmark of the audit service reports, and when a profile begins."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.audit_service import page
from benchmarks.measuring import Measurement
from benchmarks.profiled import begin_with_first_batch
from benchmarks.sampling import Profile

PROFILE = Profile(cpu_s=1.0, native_s=0.1, gc_s=0.2, lines=[], functions=[], packages=[("xiezhi", 0.5)])
SLOW = Measurement("audit", records=9_000, seconds=1.0, cpu_s=0.5, peak_rss_mb=100)


def test_a_missed_target_is_said_and_a_met_one_too() -> None:
    missed = "\n".join(page([SLOW], PROFILE, {"cores": "2"}))
    assert "| 9,000 | 9,000 | 9,000-9,000 | 55.6 | 100 | ≥ 10,000/s: **missed** |" in missed
    assert "profile of the audit service: 1.0 CPU s, 10% in native threads, 20% collecting" in missed
    fast = [replace(SLOW, records=records) for records in (1_000, 11_000, 12_000)]
    met = "\n".join(page(fast, PROFILE, {}))
    assert "| 11,000 | 11,000 | 1,000-12,000 | 45.5 | 100 | ≥ 10,000/s: met |" in met


class Service:
    def __init__(self) -> None:
        self.seen: list[int | str] = []

    def batch(self, number: int) -> int:
        self.seen.append(number)
        return number


def test_sampling_starts_before_the_first_batch_and_only_then() -> None:
    service = Service()
    begin_with_first_batch(Service, "batch", lambda: service.seen.append("sampling"))
    assert [service.batch(1), service.batch(2)] == [1, 2]
    assert service.seen == ["sampling", 1, 2]
