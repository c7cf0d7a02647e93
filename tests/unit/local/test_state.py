"""What a stack writes down for other terminals, and the lock against a second one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xiezhi.errors import ConfigurationError
from xiezhi.local.stack import end_leftovers
from xiezhi.local.state import ProcessRecord, StackLock, StackState, read_state, write_state

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]


def state_of(*processes: ProcessRecord) -> StackState:
    supervisor = ProcessRecord.of("supervisor", os.getpid(), Path("log"))
    return StackState(supervisor, "127.0.0.1:1", "http://127.0.0.1:2", processes)


def test_the_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = ProcessRecord.of("router", os.getpid(), Path("log"), zone="extranet", restarts=2, note="why")
    write_state(tmp_path, state_of(record))
    assert read_state(tmp_path) == state_of(record)
    assert record.is_alive


def test_no_state_was_written_where_no_stack_ran(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None


def test_an_unreadable_state_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{", "utf-8")
    with pytest.raises(ConfigurationError, match=r"stack.json is not readable .* remove it"):
        read_state(tmp_path)


def test_a_process_with_the_same_id_and_another_start_is_another_process() -> None:
    mine = ProcessRecord.of("me", os.getpid(), Path("log"))
    other = ProcessRecord("me", os.getpid(), mine.started_s - 3600.0, "log")
    assert mine.is_alive
    assert not other.is_alive


def test_an_ended_process_is_not_alive() -> None:
    with subprocess.Popen(SLEEPS) as child:
        record = ProcessRecord.of("child", child.pid, Path("log"))
        assert record.is_alive
        child.kill()
    assert not record.is_alive


def test_a_second_stack_on_the_same_folder_is_refused_with_the_first_ones_id(tmp_path: Path) -> None:
    first, second = StackLock(tmp_path), StackLock(tmp_path)
    first.acquire()
    assert second.owner() == os.getpid()
    with pytest.raises(ConfigurationError) as refused:
        second.acquire()
    assert f"another stack (process {os.getpid()}) already runs on {tmp_path}" in str(refused.value)
    assert "`xiezhi down`" in str(refused.value)
    first.release()
    assert second.owner() is None
    second.acquire()
    second.release()


def test_the_lock_ends_with_a_killed_owner(tmp_path: Path) -> None:
    text = f"""
import time
from pathlib import Path
from xiezhi.local.state import StackLock
lock = StackLock(Path({str(tmp_path)!r}))
lock.acquire()
print(flush=True)
time.sleep(600)
"""
    lock = StackLock(tmp_path)
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        assert lock.owner() == owner.pid
        owner.kill()
    assert lock.owner() is None
    lock.acquire()
    lock.release()


def test_what_a_killed_stack_left_running_is_ended(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    with (
        subprocess.Popen(SLEEPS, start_new_session=True) as willing,
        subprocess.Popen(
            [sys.executable, "-c", deaf], start_new_session=True, stdout=subprocess.PIPE
        ) as stubborn,
    ):
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        records = [ProcessRecord.of("child", child.pid, Path("log")) for child in (willing, stubborn)]
        write_state(tmp_path, state_of(*records))
        end_leftovers(tmp_path, grace_s=0.3)
        assert (willing.wait(5), stubborn.wait(5)) == (-signal.SIGTERM, -signal.SIGKILL)
