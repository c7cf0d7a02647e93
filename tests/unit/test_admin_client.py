"""Where the garbage collector may find an admin client."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from typing import Any

import pytest
from confluent_kafka import KafkaException

from tests.running_bus import wait_for
from xiezhi.admin_client import Admin

NOBODY = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}

#: Drops a client as part of a cycle, which its own thread finds by collecting in the callback of an answer.
COLLECTED_BY_ITSELF = """
import gc, importlib, sys, threading
module, name = sys.argv[1].split(":")
client = getattr(importlib.import_module(module), name)({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
collected = threading.Event()
answer = client.describe_cluster(request_timeout=1.0)
answer.add_done_callback(lambda _: (gc.collect(), collected.set()))
cycle = [client]
cycle.append(cycle)
gc.disable()
del client, cycle
assert collected.wait(30)
"""


def collected_by_itself(kind: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COLLECTED_BY_ITSELF, kind],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_client_that_its_own_thread_collects_does_no_harm() -> None:
    done = collected_by_itself("xiezhi.admin_client:Admin")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_client_below_still_ends_the_process() -> None:
    """Otherwise `Admin` is no longer needed."""
    done = collected_by_itself("confluent_kafka.admin:AdminClient")
    assert done.returncode < 0
    assert "rd_kafka_destroy() called from librdkafka owned thread" in done.stderr


def test_a_client_that_is_dropped_ends_its_threads() -> None:
    Admin(NOBODY)  # the thread that destroys stays
    wait_for(lambda: not of_librdkafka(), 10.0, "threads of a client that was dropped at once end")
    cycle: list[Any] = [Admin(NOBODY)]
    cycle.append(cycle)
    assert of_librdkafka()
    del cycle
    gc.collect()
    wait_for(lambda: not of_librdkafka(), 10.0, "threads of a client in a cycle end")


def test_a_client_that_could_not_be_made_is_dropped_too() -> None:
    with pytest.raises(KafkaException, match=r"no\.such\.option"):
        Admin({"no.such.option": 1})
    gc.collect()
    Admin(NOBODY)  # another one can be made
    wait_for(lambda: not of_librdkafka(), 10.0, "all threads end")


def of_librdkafka() -> list[str]:
    """Names of this process's threads that belong to a client."""
    names = []
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/comm", encoding="utf-8") as comm:
                names.append(comm.read().strip())
        except FileNotFoundError:
            continue  # it has just ended
    return [name for name in names if name.startswith("rdk:")]
