"""Router and judge as the cores of a stage: from raw records to records to send, still without Kafka."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streams.facts import TAKE_OVER_KEY
from streams.judge import Judge, Output
from streams.outputs import Decode, Encode, encode_output, read_memory, read_output
from streams.pipeline import Outgoing
from streams.router import OutgoingFact, Router
from streams.stage import Work
from xiezhi.errors import BadRecordError
from xiezhi.log import RawRecord
from xiezhi.store import KeyedStore

Clock = Callable[[], int]
OnSaid = Callable[[Sequence[Output], int], None]


class RouterCore:
    """Routes one input partition to the fact topic."""

    def __init__(
        self,
        router: Router,
        fact_topic: str,
        clock: Clock,
        on_batch: Callable[[RawRecord], None] = lambda last: None,
    ) -> None:
        """`on_batch` gets the last record of every batch."""
        self._router, self._fact_topic, self._clock = router, fact_topic, clock
        self._on_batch = on_batch

    @property
    def store(self) -> KeyedStore:
        return self._router.store

    def restore(self, records: Sequence[RawRecord]) -> None:
        self._route(records)  # what it would send was delivered before the offset was committed

    def process(self, records: Sequence[RawRecord]) -> Work:
        if records:
            self._on_batch(records[-1])
        return self._route(records)

    def _route(self, records: Sequence[RawRecord]) -> Work:
        work, routed_ms = Work(), self._clock()
        facts: list[OutgoingFact] = []
        for record in records:
            try:
                facts += self._router.route(record, routed_ms)
            except BadRecordError as error:
                work.bad.append((record, error))
        work.outgoing = [Outgoing(self._fact_topic, key, value, headers) for key, value, headers in facts]
        return work


class JudgeCore:
    """Judges one fact partition; statements go to the output partitions of the same number."""

    def __init__(
        self,
        judge: Judge,
        partition: int,
        encode: Encode,
        decode: Decode,
        clock: Clock,
        on_said: OnSaid = lambda outputs, judged_ms: None,
    ) -> None:
        """`on_said` learns of statements and when they were judged, in milliseconds since 1970."""
        self._judge, self._partition = judge, partition
        self._encode, self._decode, self._clock = encode, decode, clock
        self._on_said = on_said
        self._speaking = False  # only from the first batch on: by then it has been told all that was said

    @property
    def store(self) -> KeyedStore:
        return self._judge.store

    def restore(self, records: Sequence[RawRecord]) -> None:
        self._judge.restore(records)

    def process(self, records: Sequence[RawRecord]) -> Work:
        work = Work()
        self._speaking = True
        outputs = self._judge.apply(records, lambda raw, error: work.bad.append((raw, error)))
        return self._say(work, outputs)

    def adopt(self, records: Sequence[RawRecord]) -> Work:
        """Take in what the output partitions hold; what others said is judged again, at the latest by `process`."""
        work = Work()
        for raw in records:
            self._judge.note_outputs_read(raw.topic, raw.offset + 1)
            try:
                output_id, view, said = read_memory(raw)
                if not self._judge.knows(output_id, view, said.position):  # else its own, as nearly all
                    self._judge.adopt(*read_output(raw, self._decode))
            except BadRecordError as error:
                work.bad.append((raw, error))  # not written by a judge
        if self._speaking:
            return self._say(work, self._judge.evaluate())
        self._judge.postpone()
        return work

    def is_to_speak(self, records: Sequence[RawRecord]) -> bool:
        """Whether, silent so far, it will be told among `records` that it may speak.

        It must then hear first all that was said, or it would say again what it has not heard of yet.
        """
        return not self._judge.speaks and any(raw.key == TAKE_OVER_KEY for raw in records)

    @property
    def sweeping(self) -> tuple[str, ...]:
        """Names of the joins whose keys are being judged again; "" for all joins."""
        return self._judge.sweeps.open if self._judge.speaks else ()

    @property
    def swept_upto(self) -> int | None:
        """The offset of the oldest activation that is not yet judged on every key; None when there is none.

        0 while an earlier generation speaks.
        """
        return self._judge.sweeps.begun if self._judge.speaks else 0

    @property
    def swept(self) -> int:
        """How many keys were judged again so far."""
        return self._judge.sweeps.passed_views

    def rejudge(self, views_max: int) -> Work:
        """Judge some more keys again; to be called once the partition was told what was said."""
        return self._say(Work(), self._judge.rejudge(views_max))

    def outputs_read(self, topic: str) -> int:
        """The next offset to read of this partition of an output topic."""
        return self._judge.outputs_read(topic)

    def _say(self, work: Work, outputs: Sequence[Output]) -> Work:
        judged_ms = self._clock()
        self._on_said(outputs, judged_ms)
        for output in outputs:
            statement = encode_output(output, self._encode, judged_ms)
            work.outgoing.append(
                Outgoing(
                    statement.topic, statement.key, statement.value, list(statement.headers), self._partition
                )
            )
        return work
