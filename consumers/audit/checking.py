"""Whether the audit log is complete and consistent: what `xiezhi audit check` finds out.

Consistent: every file of every log is as signed, every checkpoint extends the one before, every log begins with the
last checkpoint of the one that it continues, and checkpoints seen on the bus are theirs. Complete: every offset of
every audited partition, from its first to the end as of now, is a leaf exactly once, and the record that Kafka holds
there has the commitments of that leaf, unless the access trail says that its salt was erased; the trail itself cannot
be excused so. Nothing is changed; the index is checked, not relied on.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from consumers.audit.index import EPOCH_PREFIX, Content, IndexContent, Place, Run, content_of
from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.epoch import Closing, Opening, is_closing
from xiezhi.audit.leaf import GapLeaf, Leaf, RecordLeaf, parse, record_leaf
from xiezhi.audit.reader import AuditLogReader
from xiezhi.contracts.naming import ACCESS
from xiezhi.errors import AuditError, AuditTamperedError, DeliveryError
from xiezhi.log import KafkaLog, RawRecord

#: Leaves compared with Kafka together: few enough to hold in memory, many enough that reading is not mostly seeking.
CHUNK_LEAVES = 50_000
#: Problems after which the rest is only counted, so that one lost file does not fill the screen.
PROBLEMS_MAX = 100

#: Called with (what is under way, leaves done, leaves in all).
Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Findings:
    """What the check counted, and one sentence for each thing that is wrong."""

    problems: list[str] = field(default_factory=list)
    unsaid: int = 0  # problems beyond PROBLEMS_MAX
    logs: int = 0
    checkpoints: int = 0
    leaves: int = 0
    partitions: int = 0
    compared: int = 0  # records whose bytes in Kafka have the commitments of their leaf
    erased: int = 0  # leaves whose salt is gone, so that nobody can compare them any more

    def add(self, problem: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)
        else:
            self.unsaid += 1

    @property
    def is_good(self) -> bool:
        return not self.problems


def check(
    logs: Mapping[int, AuditLogReader],
    kafka: KafkaLog,
    *,
    index: IndexContent,
    seen: Mapping[int, Sequence[SignedCheckpoint]],
    ends: Mapping[Place, int],
    erased: Callable[[], Container[str]],
    progress: Progress,
) -> Findings:
    """Check everything up to `ends`, the end offset of each partition; `seen` are checkpoints known from elsewhere.

    `erased` tells the addresses (`topic/partition/offset`) of records whose salts were erased on purpose. It is asked
    once all salts that are gone are known: an erasure is on the trail before its salt goes.

    Raises BrokerUnavailableError, DeliveryError, and AuditStorageError when a file cannot be read at all.
    """
    findings = Findings(logs=len(logs), partitions=len(ends))
    sizes = {}
    for number, reader in sorted(logs.items()):
        sizes[number] = _check_log(number, reader, seen.get(number, ()), findings, progress)
    for number in sorted(set(range(1, max(logs, default=0) + 1)) - logs.keys()):
        findings.add(
            f"log {number}: it is missing, though later ones continue it; bring back its folder and its public key"
        )
    is_whole = not findings.problems
    for number in sorted(logs):
        if number - 1 in logs:
            _check_link(number, logs, findings)
    if not is_whole:
        return findings  # what the entries say now is not what was signed
    walk = _Walk(kafka, findings, progress, sum(sizes.values()))
    for number, reader in sorted(logs.items()):
        walk.log(number, reader, sizes[number])
    for place, end in ends.items():
        if walk.next.get(place, 0) < end:
            _missing(findings, place, walk.next.get(place, 0), end)
    _check_erasures(walk.without_salt, erased, findings)
    _check_index(index, walk.contents, sizes, findings)
    return findings


def ends_of(kafka: KafkaLog, topics: Iterable[str]) -> dict[Place, int]:
    """The end of every partition as of now. Raises BrokerUnavailableError."""
    return {
        (topic, partition): kafka.range(topic, partition)[1]
        for topic in topics
        for partition in range(kafka.partitions(topic))
    }


# Consistent


def _check_log(
    number: int,
    reader: AuditLogReader,
    seen: Sequence[SignedCheckpoint],
    findings: Findings,
    progress: Progress,
) -> int:
    """Every file of one log; returns how many leaves were found as signed."""
    try:
        found = reader.verify(
            lambda done, size: progress(f"log {number}", done, size),
            seen=seen,
            being_written=reader.is_being_written(),
        )
    except AuditTamperedError as error:
        for each in error.findings:
            findings.add(f"log {number}: {each}")
        return 0
    findings.checkpoints += found.checkpoints
    findings.leaves += found.size
    return found.size


def _check_link(number: int, logs: Mapping[int, AuditLogReader], findings: Findings) -> None:
    """That a log begins with the last checkpoint of the one before, which says nothing else."""
    reader, before = logs[number], logs[number - 1]
    try:
        opening = Opening.parse(next(reader.entries(0, 1)))
        last = before.latest()
        final = next(
            before.entries(max(0, last.size - 1), last.size), b""
        )  # an empty log can have lost its key
        closing = Closing.parse(final) if is_closing(final) else None
    except AuditError as error:
        findings.add(f"log {number}: it does not continue log {number - 1}: {error}")
        return
    if opening.previous != before.verifier or (closing and closing.next != reader.verifier):
        findings.add(f"log {number}: it and log {number - 1} do not name each other's keys")
    if opening.last.size > last.size:
        findings.add(
            f"log {number - 1}: it has {last.size} leaves, but {opening.last.size} were signed: its end is lost"
        )
    elif opening.last != last:
        findings.add(f"log {number - 1}: it was written to after log {number} had taken its place")


# Complete


class _Walk:
    """Goes through the entries of all logs in order, holding them against Kafka."""

    def __init__(self, kafka: KafkaLog, findings: Findings, progress: Progress, total: int) -> None:
        self._kafka, self._findings, self._progress, self._total = kafka, findings, progress, total
        self._done = 0
        self.next: dict[Place, int] = {}
        self.contents: list[Content] = []
        self.without_salt: dict[str, int] = {}  # address -> leaf

    def log(self, number: int, reader: AuditLogReader, size: int) -> None:
        for start in range(0, size, CHUNK_LEAVES):
            end = min(size, start + CHUNK_LEAVES)
            entries = list(reader.entries(start, end))
            leaves = [self._parsed(number, start + at, entry) for at, entry in enumerate(entries)]
            self.contents.append(content_of(number, start, leaves))
            found = self._by_place(leaves)
            for place, span in _spans(leaves).items():
                records = found.get(place, ())
                self._compare(
                    place,
                    span,
                    {leaf.offset: (start + at, entries[at], leaf) for at, leaf in records},
                    reader,
                )
            self._done += end - start
            self._progress("records", self._done, self._total)

    def _parsed(self, number: int, index: int, entry: bytes) -> Leaf | None:
        if entry.startswith(EPOCH_PREFIX):
            return None
        try:
            return parse(entry)
        except AuditError as error:
            self._findings.add(f"log {number}: leaf {index}: {error}")
            return None

    def _by_place(self, leaves: Sequence[Leaf | None]) -> dict[Place, list[tuple[int, RecordLeaf]]]:
        """The records' leaves by partition, their order checked."""
        found: dict[Place, list[tuple[int, RecordLeaf]]] = {}
        for at, leaf in enumerate(leaves):
            if isinstance(leaf, GapLeaf):
                self._gap(leaf)
            elif isinstance(leaf, RecordLeaf):
                place = (leaf.topic, leaf.partition)
                expected = self.next.get(place, 0)
                if leaf.offset < expected:
                    self._findings.add(f"{leaf.topic}/{leaf.partition}/{leaf.offset} is a leaf twice")
                elif leaf.offset > expected:
                    _missing(self._findings, place, expected, leaf.offset)
                self.next[place] = max(expected, leaf.offset + 1)
                found.setdefault(place, []).append((at, leaf))
        return found

    def _gap(self, leaf: GapLeaf) -> None:
        place = (leaf.topic, leaf.partition)
        expected = self.next.get(place, 0)
        if leaf.offset > expected:
            _missing(self._findings, place, expected, leaf.offset)
        elif leaf.offset < expected:
            self._findings.add(
                f"{leaf.topic}/{leaf.partition}: a gap from {leaf.offset} on, which have leaves"
            )
        if leaf.reason == "cut":
            self._findings.add(
                f"{leaf.topic}/{leaf.partition}: the broker dropped records {leaf.offset} to {leaf.until - 1} before "
                "they were audited; the log says so too"
            )
        self.next[place] = max(expected, leaf.until)

    def _compare(
        self,
        place: Place,
        span: tuple[int, int],
        leaves: dict[int, tuple[int, bytes, RecordLeaf]],
        reader: AuditLogReader,
    ) -> None:
        """The records of one partition in Kafka, from the first to before the last offset of `span`."""
        try:
            low, high = self._kafka.range(*place)
            for chunk in self._kafka.read(*place, max(span[0], low), min(span[1], high)):
                for record in chunk:
                    self._compare_record(record, leaves.pop(record.offset, None), reader)
        except DeliveryError as error:
            self._findings.add(f"{place[0]}/{place[1]}: Kafka does not give its records: {error}")
            return
        for offset in sorted(leaves):
            self._findings.add(f"{place[0]}/{place[1]}/{offset} is a leaf, and Kafka has no such record")

    def _compare_record(
        self, record: RawRecord, found: tuple[int, bytes, RecordLeaf] | None, reader: AuditLogReader
    ) -> None:
        name = f"{record.topic}/{record.partition}/{record.offset}"
        if found is None:
            self._findings.add(f"{name} is in Kafka and has no leaf")
            return
        index, entry, leaf = found
        salt = reader.salt(index)
        if salt is None:
            self._findings.erased += 1
            self.without_salt[name] = index
            if record.ingested_ms != leaf.ingested_ms:
                self._findings.add(f"{name}: its time in Kafka is not the one in leaf {index}")
            return
        if record_leaf(record, salt).to_bytes() == entry:
            self._findings.compared += 1
        else:
            self._findings.add(
                f"{name}: the record in Kafka is not the one in leaf {index}: {_differing(record, salt, leaf)}"
            )


def _check_erasures(
    without_salt: Mapping[str, int], erased: Callable[[], Container[str]], findings: Findings
) -> None:
    """Every salt that is gone was to be erased. What says so cannot itself be a record that nobody can check."""
    stated = erased() if without_salt else ()
    for name, index in without_salt.items():
        if name.startswith(f"{ACCESS}/"):
            findings.add(f"{name}: the salt of leaf {index} is gone, and the access trail cannot be erased")
        elif name not in stated:
            findings.add(
                f"{name}: the salt of leaf {index} is gone, and no access record says that it was erased; without it "
                "nobody can tell whether the record is the one that was logged"
            )


def _spans(leaves: Sequence[Leaf | None]) -> dict[Place, tuple[int, int]]:
    """By partition the first offset that these leaves speak of, and the one after the last.

    A hole counts: that Kafka has nothing there is a claim to be checked as well.
    """
    spans: dict[Place, tuple[int, int]] = {}
    for leaf in leaves:
        if isinstance(leaf, RecordLeaf):
            start, end = leaf.offset, leaf.offset + 1
        elif isinstance(leaf, GapLeaf) and leaf.reason == "hole":
            start, end = leaf.offset, leaf.until
        else:
            continue
        place = (leaf.topic, leaf.partition)
        first, last = spans.get(place, (start, end))
        spans[place] = min(first, start), max(last, end)
    return spans


def _differing(record: RawRecord, salt: bytes, leaf: RecordLeaf) -> str:
    now = record_leaf(record, salt)
    names = [
        name
        for name in ("ingested_ms", "key", "value", "headers")
        if getattr(now, name) != getattr(leaf, name)
    ]
    return f"other {', '.join(names)}" + (", or another salt" if len(names) > 2 else "")


def _missing(findings: Findings, place: Place, start: int, end: int) -> None:
    findings.add(f"{place[0]}/{place[1]}: offsets {start} to {end - 1} have no leaf ({end - start} records)")


def _check_index(
    index: IndexContent, contents: Sequence[Content], sizes: Mapping[int, int], findings: Findings
) -> None:
    """The index against the entries, up to where it has read them; it may be behind, never different."""
    upto = {number: min(size, index.sizes.get(number, 0)) for number, size in sizes.items()}
    expected = _joined((run for content in contents for run in content.runs), upto)
    for run in sorted(set(expected) ^ set(_joined(index.content.runs, upto)), key=lambda each: each.offset):
        findings.add(
            f"index: {run.topic}/{run.partition} from offset {run.offset} on ({run.count} records) does not follow "
            "from the log; stop the audit service and delete the index, it is made anew"
        )
    is_level = all(index.sizes.get(number, 0) >= size for number, size in sizes.items())
    gaps = {(g.topic, g.partition, g.offset, g.until) for content in contents for g in content.gaps}
    said = {(g.topic, g.partition, g.offset, g.until) for g in index.content.gaps}
    if is_level and not gaps <= said:
        findings.add("index: a gap that the log records is not in it; delete the index, it is made anew")


def _joined(runs: Iterable[Run], upto: Mapping[int, int]) -> list[Run]:
    """Runs cut off at `upto` leaves of their log, and as long as they can be."""
    joined: list[Run] = []
    for run in sorted(runs, key=lambda each: (each.topic, each.partition, each.offset, each.leaf)):
        run = replace(run, count=min(run.count, upto.get(run.log, 0) - run.leaf))
        if run.count <= 0:
            continue
        before = joined[-1] if joined else None
        if before is not None and before == replace(
            run, offset=run.offset - before.count, leaf=run.leaf - before.count, count=before.count
        ):
            joined[-1] = replace(before, count=before.count + run.count)
        else:
            joined.append(run)
    return joined
