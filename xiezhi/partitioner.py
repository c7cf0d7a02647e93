"""Where a record belongs: murmur2 of its key, as every producer of the bus and Java's clients choose the partition.

The arithmetic is librdkafka's own (`rd_kafka_msg_partitioner_murmur2` of `rdkafka.h`), found through the client that
is loaded anyway: publisher and reader cannot differ, and in Python it would take three times as long.
"""

from __future__ import annotations

import ctypes

from confluent_kafka import cimpl

# Not CDLL: letting go of the interpreter's lock for some nanoseconds costs more than the call.
_murmur2 = ctypes.PyDLL(cimpl.__file__).rd_kafka_msg_partitioner_murmur2
_murmur2.restype = ctypes.c_int32
_murmur2.argtypes = (
    ctypes.c_void_p,  # the topic, which this partitioner does not look at
    ctypes.c_char_p,
    ctypes.c_size_t,
    ctypes.c_int32,
    ctypes.c_void_p,  # what the application attached to topic and message, likewise
    ctypes.c_void_p,
)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a topic with so many to which a record with this key belongs; ValueError for none."""
    if partitions < 1:
        raise ValueError(f"a topic with {partitions} partitions")  # in C it would end the process
    placed: int = _murmur2(None, key, len(key), partitions, None, None)
    return placed
