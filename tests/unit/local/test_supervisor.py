"""The supervisor and the processes under it, with small children written in Python."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from xiezhi.local.process import Command, Process
from xiezhi.local.supervisor import RestartPolicy, Supervisor

SLEEPS = "import time; print('up', flush=True); time.sleep(600)"
IGNORES_TERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SLEEPS
HAS_A_CHILD = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {IGNORES_TERM!r}])
print(child.pid, flush=True)
time.sleep(600)
"""

Start = Callable[..., Process]


def eventually(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Start]:
    """Makes processes that run a Python text; whatever still runs is killed after the test."""
    made: list[Process] = []

    def make(text: str, *, name: str = "child", grace_s: float = 20.0) -> Process:
        argv = (sys.executable, "-c", text)
        made.append(Process(Command(name, argv, tmp_path, tmp_path / f"{name}.log", {}, grace_s)))
        return made[-1]

    yield make
    for each in made:
        each.kill()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_process_runs_in_a_group_of_its_own_and_logs_to_its_file(process: Start) -> None:
    child = process(SLEEPS)
    child.start()
    eventually(lambda: child.log_tail() == "up")
    assert child.pid is not None
    assert os.getpgid(child.pid) == child.pid != os.getpgrp()
    assert child.stop() == -signal.SIGTERM


def test_a_process_that_ignores_term_is_killed_after_its_grace(process: Start) -> None:
    child = process(IGNORES_TERM, grace_s=0.3)
    child.start()
    eventually(lambda: child.log_tail() == "up")
    assert child.stop() == -signal.SIGKILL


def test_what_a_process_started_ends_with_it(process: Start) -> None:
    child = process(HAS_A_CHILD)
    child.start()
    eventually(lambda: child.log_tail(2).endswith("up"))
    grandchild = int(child.log_tail(2).split()[0])
    child.stop()
    eventually(lambda: not is_alive(grandchild))


def test_what_a_crashed_process_started_ends_when_the_crash_is_noticed(process: Start) -> None:
    child = process(HAS_A_CHILD)
    child.start()
    eventually(lambda: child.log_tail(2).endswith("up"))
    grandchild = int(child.log_tail(2).split()[0])
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    eventually(lambda: child.exit_code == -signal.SIGKILL)
    eventually(lambda: not is_alive(grandchild))


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", SLEEPS]
    owner_text = f"""
import time
from pathlib import Path
from xiezhi.local.process import Command, Process
process = Process(Command("child", tuple({argv!r}), Path("."), Path({str(tmp_path / "log")!r})))
process.start()
print(process.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", owner_text], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        assert is_alive(child)
        owner.kill()
    eventually(lambda: not is_alive(child))


def test_children_outlive_the_thread_that_started_them(process: Start) -> None:
    from threading import Thread

    child = process(SLEEPS)
    thread = Thread(target=child.start)
    thread.start()
    thread.join()
    eventually(lambda: child.log_tail() == "up")
    assert child.is_running


def test_a_program_that_cannot_be_started_says_so_in_its_log(tmp_path: Path) -> None:
    child = Process(Command("child", ("/nonexistent/program",), tmp_path, tmp_path / "log"))
    child.start()
    assert child.wait(10.0)
    assert child.exit_code == 127
    assert child.log_tail() == "cannot start /nonexistent/program: No such file or directory"


def test_a_log_that_has_grown_is_moved_aside_at_the_next_start(process: Start) -> None:
    child = process(SLEEPS)
    child.command.log.write_bytes(b"x" * 10_000_001)
    child.start()
    eventually(lambda: child.log_tail() == "up")
    assert child.command.log.with_name("child.log.1").stat().st_size == 10_000_001


def test_a_service_that_ends_is_restarted_after_growing_pauses(process: Start) -> None:
    said: list[str] = []
    clock = Clock()
    child = process("raise SystemExit(3)", name="judge")
    supervisor = Supervisor([child], said.append, policy=RestartPolicy(1.0, 3.0, 60.0), clock=clock)
    supervisor.start()
    for pause_s in (1.0, 2.0, 3.0, 3.0):
        assert child.wait(10.0)
        first = child.pid
        assert supervisor.step()
        assert f"judge ended with exit code 3; restarting in {pause_s:g} s" in said[-1]
        clock.now += pause_s - 0.1
        assert not supervisor.step()
        clock.now += 0.2
        assert supervisor.step()
        assert "judge was restarted" in said[-1]
        assert child.pid != first
    assert supervisor.members[0].restarts == 4


def test_a_service_that_was_healthy_is_restarted_soon(process: Start) -> None:
    said: list[str] = []
    clock = Clock()
    child = process(SLEEPS)
    supervisor = Supervisor([child], said.append, policy=RestartPolicy(1.0, 30.0, 60.0), clock=clock)
    supervisor.start()
    for _ in range(3):
        clock.now += 61.0
        assert not supervisor.step()
        child.kill()
        assert supervisor.step()
        assert "was killed by signal 9; restarting in 1 s" in said[-1]
        clock.now += 1.0
        assert supervisor.step()


def test_exit_code_78_is_reported_with_its_reason_and_not_restarted(process: Start) -> None:
    said: list[str] = []
    clock = Clock()
    child = process("print('the rule code is not the activated one'); raise SystemExit(78)", name="judge")
    supervisor = Supervisor([child], said.append, clock=clock)
    supervisor.start()
    assert child.wait(10.0)
    assert supervisor.step()
    assert "judge stopped and is not restarted: the rule code is not the activated one" in said[0]
    clock.now += 3600.0
    assert not supervisor.step()
    assert not child.is_running
    assert supervisor.members[0].given_up == "the rule code is not the activated one"


def test_one_that_ends_does_not_disturb_the_others(process: Start) -> None:
    ends, stays = process("raise SystemExit(78)", name="ends"), process(SLEEPS, name="stays")
    supervisor = Supervisor([ends, stays], print)
    supervisor.start()
    assert ends.wait(10.0)
    supervisor.step()
    assert stays.is_running


def test_stopping_asks_all_at_once_and_kills_who_does_not_listen(process: Start) -> None:
    said: list[str] = []
    deaf = [process(IGNORES_TERM, name=f"deaf{i}", grace_s=0.5) for i in range(3)]
    willing = process(SLEEPS, name="willing")
    supervisor = Supervisor([*deaf, willing], said.append)
    supervisor.start()
    eventually(lambda: all(child.log_tail() == "up" for child in (*deaf, willing)))
    begun = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - begun < 1.4, "graces were added up"
    assert [child.exit_code for child in deaf] == [-signal.SIGKILL] * 3
    assert willing.exit_code == -signal.SIGTERM
    assert said == [f"deaf{i} did not stop within 0.5 s and was killed" for i in range(3)]


def test_a_stopped_supervisor_may_be_stopped_again(process: Start) -> None:
    supervisor = Supervisor([process(SLEEPS)], print)
    supervisor.start()
    supervisor.stop()
    supervisor.stop()


def test_a_child_sees_the_environment_it_was_given(tmp_path: Path) -> None:
    text = "import json, os; print(json.dumps(os.environ['XIEZHI_WORKER']))"
    argv = (sys.executable, "-c", text)
    child = Process(Command("child", argv, tmp_path, tmp_path / "log", {"XIEZHI_WORKER": "7"}))
    child.start()
    assert child.wait(10.0)
    assert json.loads(child.log_tail()) == "7"
