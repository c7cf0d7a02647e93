"""Lets aiokafka hand out raw records, and read batches in which the name of a header is not UTF-8.

Its own record has three fields that nobody looks at, and what is consumed here would be copied once more.

Kafka asks for UTF-8 there and no broker checks it; a C client that writes GB18030 gets through. aiokafka then fails on
the whole batch and can never read past it, so one such record would stop its consumer for good. Here the batch is read
once more in the slow way, and that record alone has UNREADABLE_HEADERS, as when other clients read it.

Checked against aiokafka 0.14.0, whose internals it stands in for; pin it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import _MemoryRecordsPy

from xiezhi.log import UNREADABLE_HEADERS, RawRecord


def install() -> None:
    """Let every aiokafka consumer of this process read with the classes below. May be called twice."""
    fetcher.MemoryRecords = Records
    fetcher.PartitionRecords = PartitionRecords


class PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc] # aiokafka is untyped here
    """The records of one fetch and partition; without deserialisers."""

    def _consumer_record(self, tp: Any, record: Any) -> RawRecord:
        return RawRecord(
            tp.topic,
            tp.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            tuple(record.headers),
        )


class Records(_MemoryRecordsPy):  # type: ignore[misc] # aiokafka is untyped here
    """What one fetch brought of one partition: batches, one after the other."""

    def next_batch(self) -> Any:
        data = self._next_slice
        batch = super().next_batch()
        return _Batch(batch, data) if isinstance(batch, DefaultRecordBatch) else batch


class _Batch:
    """A batch that is read fast, or, when that fails, slowly. Everything else is the fast one's."""

    def __init__(self, batch: Any, data: Any) -> None:
        self._batch, self._data = batch, data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            return map(_readable, _SlowBatch(self._data))

    def __next__(self) -> Any:
        return next(self._batch)


class _SlowBatch(_DefaultRecordBatchPy):  # type: ignore[misc] # likewise
    """Takes the names of headers as they come; bytes that are not UTF-8 become surrogates."""

    _buffer: Any

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Buffer(self._buffer)


class _Buffer(bytearray):
    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return _Name(part) if isinstance(part, bytearray) else part


class _Name(bytearray):
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "surrogateescape")


def _readable(record: Any) -> Any:
    if all(_is_utf8(name) for name, _ in record.headers):
        return record
    return _DefaultRecordPy(
        record.offset,
        record.timestamp,
        record.timestamp_type,
        record.key,
        record.value,
        list(UNREADABLE_HEADERS),
    )


def _is_utf8(name: str) -> bool:
    return not any("\udc80" <= character <= "\udcff" for character in name)
