"""What one record costs a fold join whose key has many: `python -m benchmarks.folds [--largest 1000000]`.

One key with one aggregate of every kind in a real store (RocksDB), filled in random order in batches of 500. At each
size a further 10,000 records are merged and timed, batch by batch with its commit: the median per record, and what
the process (RocksDB's threads with it) took of the processor, which a busy machine changes less. Then records that
come alone, a rule's questions, and the first record after a restart, from a cold cache.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple

from benchmarks.machine import machine, versions
from streams.fact_rows import Fact
from streams.facts import Filing, Presence
from streams.folds.state import Folds
from streams.kernel import Aggregate, Fold, Join, Source, Statement
from xiezhi.envelope import Envelope
from xiezhi.store import KeyedStore, RocksBackend

TOPIC, VIEW = "bench.entry.v1", "bench|k"
BATCH, TIMED = 500, 10_000
SIZES = (1_000, 10_000, 100_000, 1_000_000)


def contribute(statement: Statement) -> Mapping[str, Any]:
    number = statement.value["number"]
    return {
        "total": number,
        "daily": (number % 3_650, number),
        "parties": str(number % 50_000),
        "amounts": number,
        "largest": number,
    }


JOIN = Join(
    name="bench",
    inputs=(),
    fold=Fold(
        {
            "total": Aggregate.SUM,
            "daily": Aggregate.PER_DAY,
            "parties": Aggregate.DISTINCT,
            "amounts": Aggregate.MULTISET,
            "largest": Aggregate.RANKED,
        },
        contribute,
    ),
)


def read(fact: Fact) -> Statement:
    e = fact.envelope
    return Statement(
        TOPIC,
        e.subject,
        e.version,
        e.occurred_ms,
        e.event_id,
        fact.filing.digest,
        {"number": int(fact.value)},
        fact.filing.source,
        e.jurisdiction,
    )


def facts(seed: int) -> Iterator[Fact]:
    """Records that were not there before, with amounts in random order."""
    chance, offset = random.Random(seed), 0  # noqa: S311 -- a workload, no secret
    while True:
        offset += 1
        filing = Filing(Presence.PRESENT, Source(TOPIC, 0, offset, 0), "0" * 64, 0)
        name = f"record-{seed}-{offset}"
        envelope = Envelope(f"event-{offset}", "urn:bench", TOPIC, name, 0, 0, "330106000000", "", "")
        yield Fact(filing.to_bytes(), filing, envelope, b"%d" % chance.randrange(10**9))


class Cost(NamedTuple):
    """Of one record or question, in microseconds."""

    batched: float
    processor: float  # of `batched`, all threads of the process
    alone: float
    asked: float


class Partition:
    """A store with one fold key."""

    def __init__(self, folder: Path) -> None:
        self.store = KeyedStore(RocksBackend(folder))
        self.folds = Folds([JOIN], self.store, read)

    def take(self, stream: Iterator[Fact], count: int) -> float:
        """Merge and commit one batch; seconds."""
        batch = [next(stream) for _ in range(count)]
        begun = perf_counter()
        for fact in batch:
            self.folds.merge(VIEW, fact, read)
        self.folds.flush()
        self.store.commit(self.store.seal(self.store.next_offset + count))
        return perf_counter() - begun

    def ask(self) -> float:
        """What a rule would; seconds."""
        view = self.folds.view(VIEW)
        begun = perf_counter()
        view.within("amounts", high=5 * 10**8)
        view.quantile("amounts", Fraction(1, 4))
        view.within("daily", 365, 730)
        view.distinct("parties")
        view.ranked("largest", 10, descending=True)
        return perf_counter() - begun


def measure(partition: Partition, stream: Iterator[Fact]) -> Cost:
    """Medians, but for the processor, whose time is a mean."""
    batches = [[next(stream) for _ in range(BATCH)] for _ in range(TIMED // BATCH)]
    begun = process_time()
    together = median(partition.take(iter(batch), BATCH) / BATCH for batch in batches)
    processor = (process_time() - begun) / TIMED
    alone = median(partition.take(stream, 1) for _ in range(200))
    asked = median(partition.ask() for _ in range(50))
    return Cost(together * 1e6, processor * 1e6, alone * 1e6, asked * 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="records under the key at most")
    largest = parser.parse_args().largest
    for name, value in (machine() | versions()).items():
        print(f"{name}: {value}")  # noqa: T201 -- the report
    with tempfile.TemporaryDirectory() as folder:
        partition, stream, held = Partition(Path(folder)), facts(1), 0
        for size in (one for one in SIZES if one <= largest):
            while held < size:
                partition.take(stream, BATCH)
                held += BATCH
            cost = measure(partition, stream)
            held += TIMED
            partition.store.close()
            begun = perf_counter()
            partition = Partition(Path(folder))
            opened = perf_counter() - begun
            cold = partition.take(stream, 1)
            print(  # noqa: T201 -- the report
                f"{size:>9,} records: {cost.batched:6.0f} us a record in batches of {BATCH} (processor "
                f"{cost.processor:4.0f} us), {cost.alone:6.0f} us alone, questions {cost.asked:5.0f} us; "
                f"restart {opened * 1e3:4.0f} ms, first record then {cold * 1e3:5.1f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
