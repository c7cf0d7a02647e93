"""A record belongs where every client of Kafka that uses murmur2 would put it."""

from __future__ import annotations

import pytest

from xiezhi.partitioner import partition_of

#: Key and `Utils.murmur2` of it as a signed integer, from Kafka's own test (`UtilsTest.testMurmur2`).
KAFKAS = (
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
)


@pytest.mark.parametrize(("key", "hashed"), KAFKAS)
def test_a_key_belongs_where_kafka_s_java_client_puts_it(key: bytes, hashed: int) -> None:
    for partitions in (1, 2, 3, 12, 2**31 - 1):
        assert partition_of(key, partitions) == (hashed & 0x7FFFFFFF) % partitions


def test_keys_of_any_bytes_and_none_have_a_place() -> None:
    for key in (b"", b"\x00", b"a\x00b", b"\xff" * 4_001):
        assert 0 <= partition_of(key, 2) < 2
    assert {partition_of(b"a\x00%d" % n, 64) for n in range(2_000)} == set(range(64)), "all of a key counts"


@pytest.mark.parametrize("partitions", [0, -1])
def test_a_topic_without_partitions_is_refused(partitions: int) -> None:
    with pytest.raises(ValueError, match="partitions"):
        partition_of(b"key", partitions)
