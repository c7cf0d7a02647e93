"""A header whose name is not UTF-8 costs its own record alone its headers, never the batch or the partition."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from xiezhi.log import UNREADABLE_HEADERS, RawRecord
from xiezhi.record_batches import PartitionRecords, Records, install

PLACE, NAME = b"name", "来源".encode("gb18030")
NONE, GZIP, LZ4 = 0, 1, 3


def batch(*names: str, compression: int = NONE, base: int = 0) -> bytearray:
    """A batch with a record per name of a header."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for offset, name in enumerate(names):
        builder.append(offset, 1_700_000_000_000, b"k%d" % offset, b"v" * 50, [("ce_id", b"1"), (name, None)])
    built = builder.build()
    struct.pack_into(">q", built, 0, base)
    return bytearray(built)


def with_a_name_of_gb18030(built: bytearray) -> bytearray:
    """The same batch with the one name `name` replaced, its checksum mended."""
    at = built.index(PLACE)
    built[at : at + len(PLACE)] = NAME
    struct.pack_into(">I", built, 17, calc_crc32c(bytes(built[21:])))
    return built


def read(data: bytes) -> list[Any]:
    records, found = Records(data), []
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        assert not one.is_control_batch
        found += list(one)
        assert one.next_offset == found[-1].offset + 1
    return found


def shown(record: Any) -> tuple[Any, ...]:
    return record.offset, record.timestamp, record.key, record.value, list(record.headers)


@pytest.mark.parametrize("compression", [NONE, GZIP, LZ4])
def test_batches_are_read_as_aiokafka_reads_them(compression: int) -> None:
    data = bytes(batch("a", "b", compression=compression) + batch("名", "c", compression=compression, base=2))
    plain, expected = fetcher.MemoryRecords(data), []
    while plain.has_next():
        expected += list(plain.next_batch())
    assert [shown(one) for one in read(data)] == [shown(one) for one in expected]
    assert [one.offset for one in expected] == [0, 1, 2, 3]


def test_a_name_that_is_not_utf_8_costs_that_record_alone_its_headers() -> None:
    broken = with_a_name_of_gb18030(batch("a", "name", "名", base=2))
    found = read(bytes(batch("b", "c") + broken + batch("d", base=5)))
    assert [one.offset for one in found] == [0, 1, 2, 3, 4, 5]
    assert [one.key for one in found] == [b"k0", b"k1", b"k0", b"k1", b"k2", b"k0"]
    assert {one.value for one in found} == {b"v" * 50}
    unreadable = list(UNREADABLE_HEADERS)
    assert [list(one.headers) == unreadable for one in found] == [False, False, False, True, False, False]
    assert list(found[4].headers) == [("ce_id", b"1"), ("名", None)]


class _Message:
    """What confluent-kafka does with such a record."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def headers(self) -> object:
        raise self._error

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return 0

    offset = partition
    key = value = topic

    def timestamp(self) -> tuple[int, int]:
        return 2, 5


@pytest.mark.parametrize(
    "error", [SystemError("exception set"), UnicodeDecodeError("utf-8", b"\xc0", 0, 1, "?")]
)
def test_the_other_client_s_view_of_such_a_record_is_the_same(error: Exception) -> None:
    assert RawRecord.from_message(_Message(error)).headers == UNREADABLE_HEADERS


def test_consumers_are_handed_raw_records_of_what_was_not_read_before() -> None:
    data = bytes(batch("a", "b", "c", base=3))
    place = TopicPartition("t", 1)
    records = PartitionRecords(place, Records(data), [], 4, None, None, True, READ_COMMITTED)
    at_ms, value = 1_700_000_000_000, b"v" * 50
    assert list(records) == [
        RawRecord("t", 1, 4, at_ms, b"k1", value, (("ce_id", b"1"), ("b", None))),
        RawRecord("t", 1, 5, at_ms, b"k2", value, (("ce_id", b"1"), ("c", None))),
    ]
    assert records.next_fetch_offset == 6


@pytest.fixture
def restored() -> Iterator[None]:
    before = fetcher.MemoryRecords, fetcher.PartitionRecords
    yield
    fetcher.MemoryRecords, fetcher.PartitionRecords = before


def test_consumers_of_this_process_read_so_once_installed(restored: None) -> None:
    install()
    install()
    assert (fetcher.MemoryRecords, fetcher.PartitionRecords) == (Records, PartitionRecords)
