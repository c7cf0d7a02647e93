"""The log of dead letters: which records wait there, what became of them, and how to send one again.

All letters about one record, over all stages and attempts, make one `DeadRecord`, known by the address at which the
record failed first. Replaying sends the original bytes to the partition they came from and then notes it in the same
log, so that the record no longer waits, unless it fails again. Sending twice does no harm: records are idempotent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException
from pydantic import ValidationError

from xiezhi.codec import Codec
from xiezhi.contracts.bus import DEAD_LETTER
from xiezhi.contracts.dead_letter import DeadLetter
from xiezhi.dead_letters import ATTEMPTS_HEADER, ORIGIN_HEADER, DeadLetters
from xiezhi.envelope import Envelope
from xiezhi.errors import (
    BadRecordError,
    ConfigurationError,
    DeliveryError,
    UnknownSchemaError,
)
from xiezhi.log import LogReader, RawRecord

#: Stage and reason of the note that a record was sent again.
REPLAY_STAGE, REPLAYED = "replay", "replayed"
#: Who failed so often needs mending, not another replay.
ATTEMPTS_MAX = 3
#: Records in flight at once; each may be a megabyte.
_CHUNK_RECORDS = 100
_DELIVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter, with the size of the value that it carries or carried."""

    content: DeadLetter
    event_id: str
    value_bytes: int

    @property
    def origin(self) -> str:
        """Where the record failed first: in the same partition, or the header is not from a replay."""
        source = self.content.source
        for header in self.content.headers:
            value = (header.value or b"").decode(errors="replace")
            if header.name == ORIGIN_HEADER and value.startswith(f"{source.topic}/{source.partition}/"):
                return value
        return self.content.record_id

    @property
    def is_note(self) -> bool:
        return self.content.stage == REPLAY_STAGE and self.content.reason == REPLAYED

    @property
    def rank(self) -> tuple[int, bool, int]:
        """A note comes after the letters whose attempt it answers, and before those of the next attempt."""
        return (self.content.attempts, self.is_note, self.content.failed_ms)


@dataclass(frozen=True, slots=True)
class DeadRecord:
    """One record that failed: its letters in order, oldest first, and whether it still waits."""

    origin: str
    letters: tuple[Letter, ...]
    waits: bool

    @property
    def newest(self) -> Letter:
        return self.letters[-1]

    @property
    def addresses(self) -> frozenset[str]:
        """Where its attempts stood; each is a name for it."""
        return frozenset({self.origin, *(letter.content.record_id for letter in self.letters)})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters to read. An empty field means all; `keep_values` costs memory and is needed to replay."""

    topic: str = ""
    since_ms: int = 0
    keep_values: bool = False


def read_letters(reader: LogReader, codec: Codec, wanted: Wanted) -> Iterator[Letter | BadRecordError]:
    """Every letter up to the end as of now, or why a record of the topic is none.

    Raises ConfigurationError without the topic, BrokerUnavailableError, DeliveryError, RegistryUnavailableError.
    """
    partitions = reader.partitions(DEAD_LETTER.topic)
    if not partitions:
        raise ConfigurationError(
            f"topic {DEAD_LETTER.topic} does not exist; run `xiezhi contracts apply` first"
        )
    for partition in range(partitions):
        start, _ = reader.range(DEAD_LETTER.topic, partition)
        for chunk in reader.read(DEAD_LETTER.topic, partition, start):
            for record in chunk:
                letter = read_letter(record, codec, wanted)
                if letter is not None:
                    yield letter


def read_letter(record: RawRecord, codec: Codec, wanted: Wanted) -> Letter | BadRecordError | None:
    """The letter in a record of the topic, None when it is not wanted, or why it cannot be read."""
    if record.ingested_ms < wanted.since_ms:
        return None
    try:
        content = DeadLetter.model_validate(
            codec.decode_as(record.topic, record.value or b""), extra="ignore"
        )
        event_id = Envelope.from_headers(record.headers).event_id
    except (BadRecordError, UnknownSchemaError, ValidationError) as error:
        place = f"{record.topic}/{record.partition}/{record.offset}"
        return BadRecordError("no_dead_letter", f"{place} cannot be read: {type(error).__name__}")
    if wanted.topic and content.source.topic != wanted.topic:
        return None
    size = len(content.value or b"")
    return Letter(
        content if wanted.keep_values else content.model_copy(update={"value": None}), event_id, size
    )


def dead_records(letters: Iterable[Letter]) -> list[DeadRecord]:
    """One entry per record, newest failure first. Repeats of a letter count once."""
    by_origin: dict[str, dict[str, Letter]] = {}
    for letter in letters:
        by_origin.setdefault(letter.origin, {})[letter.event_id] = letter
    records = []
    for origin, found in by_origin.items():
        ranked = sorted(found.values(), key=lambda letter: letter.rank)
        failures = tuple(letter for letter in ranked if not letter.is_note)
        if failures:
            records.append(DeadRecord(origin, failures, waits=not ranked[-1].is_note))
    return sorted(records, key=lambda record: record.newest.content.failed_ms, reverse=True)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one record that was to be sent again: `error` is "" when the broker has it."""

    record: DeadRecord
    error: str


def replay(
    records: Sequence[DeadRecord],
    producer: Any,
    letters: DeadLetters,
    *,
    on_result: Callable[[Replayed], None],
) -> None:
    """Send each record once more, in the order in which they first stood in the log, and note it.

    `producer` and `letters` (of stage REPLAY_STAGE) belong together.

    A record that was sent, but not noted, still waits and may be sent again. Raises DeliveryError when notes are
    not accepted, ConfigurationError, RegistryUnavailableError.
    """
    ordered = sorted(records, key=_place)
    for start in range(0, len(ordered), _CHUNK_RECORDS):
        chunk = ordered[start : start + _CHUNK_RECORDS]
        reports = _deliver(producer, [(record.origin, _sender(record, producer)) for record in chunk])
        sent = [record for record in chunk if reports[record.origin] == ""]
        notes = _deliver(producer, [(record.origin, _noter(record, letters)) for record in sent])
        for record in chunk:
            on_result(Replayed(record, reports[record.origin]))
        failed = [error for error in notes.values() if error]
        if failed:
            raise DeliveryError(f"sent, but {len(failed)} notes of it were not accepted: {failed[0]}")


def _place(record: DeadRecord) -> tuple[str, int, int]:
    first = record.letters[0].content.source
    return first.topic, first.partition, first.offset


Send = Callable[[Callable[[Any, Any], None]], None]


def _deliver(producer: Any, sends: Sequence[tuple[str, Send]]) -> dict[str, str]:
    """Name → why it was not delivered, "" for what the broker has."""
    reports = {name: f"no delivery report within {_DELIVERY_S:.0f} s" for name, _ in sends}
    for name, send in sends:

        def delivered(error: Any, _message: Any, name: str = name) -> None:
            reports[name] = "" if error is None else str(error)

        try:
            send(delivered)
        except (KafkaException, BufferError) as error:
            reports[name] = str(error)
    producer.flush(_DELIVERY_S)
    return reports


def _sender(record: DeadRecord, producer: Any) -> Send:
    content = record.newest.content
    ours = (ATTEMPTS_HEADER, ORIGIN_HEADER)
    headers: list[tuple[str, bytes | None]] = [
        (h.name, h.value) for h in content.headers if h.name not in ours
    ]
    headers += [(ATTEMPTS_HEADER, b"%d" % (content.attempts + 1)), (ORIGIN_HEADER, record.origin.encode())]

    def send(delivered: Callable[[Any, Any], None]) -> None:
        producer.produce(
            content.source.topic,
            partition=content.source.partition,
            key=content.key,
            value=content.value,
            headers=headers,
            on_delivery=delivered,
        )

    return send


def _noter(record: DeadRecord, letters: DeadLetters) -> Send:
    content = record.newest.content
    source = content.source
    tried = ((ATTEMPTS_HEADER, b"%d" % content.attempts), (ORIGIN_HEADER, record.origin.encode()))
    place = RawRecord(source.topic, source.partition, source.offset, source.ingested_ms, None, None, tried)

    def send(delivered: Callable[[Any, Any], None]) -> None:
        letters.send(
            place, reason=REPLAYED, detail="sent again to where it came from", on_delivered=delivered
        )

    return send
