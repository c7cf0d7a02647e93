"""Where the garbage collector may find an admin client."""

from __future__ import annotations

import subprocess
import sys

#: Drops a client as part of a cycle, which its own thread finds by collecting in the callback of an answer.
COLLECTED_BY_ITSELF = """
import gc, importlib, sys, threading
module, name = sys.argv[1].split(":")
client = getattr(importlib.import_module(module), name)({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
collected = threading.Event()
answer = client.describe_cluster(request_timeout=0.2)
answer.add_done_callback(lambda _: (gc.collect(), collected.set()))
cycle = [client]
cycle.append(cycle)
gc.disable()
del client, cycle
assert collected.wait(30)
"""


#: A process of its own, which has no other clients: what is dropped is gone, whichever way.
DROPPED = """
import gc, os, time
from confluent_kafka import KafkaException
from xiezhi.admin_client import Admin

def client():
    return Admin({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})

def is_a_clients(task):
    try:
        return open(f"/proc/self/task/{task}/comm").read().startswith("rdk:")
    except (FileNotFoundError, ProcessLookupError):
        return False  # it has just ended

def threads():
    return sum(map(is_a_clients, os.listdir("/proc/self/task")))

def require_gone():
    deadline = time.monotonic() + 30
    while threads():
        assert time.monotonic() < deadline, "its threads go on"
        time.sleep(0.02)

client()
require_gone()
print("at once")
cycle = [client()]
cycle.append(cycle)
assert threads() > 0
del cycle
gc.collect()
require_gone()
print("in a cycle")
try:
    Admin({"no.such.option": 1})
except KafkaException:
    gc.collect()
    client()
    require_gone()
    print("refused")
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


def test_clients_that_are_dropped_end_their_threads() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DROPPED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["at", "once", "in", "a", "cycle", "refused"]
