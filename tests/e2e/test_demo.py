"""`make demo` as a newcomer has it: it ends well, says what was planted and found, and what it advises next works."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import free_ports
from tests.running_bus import wait_for
from xiezhi.local.settings import LOOPBACK

ROOT = Path(__file__).parents[2]
RECORDS = 3_000
DEMO_TIMEOUT_S = 400.0
COMMAND_TIMEOUT_S = 60.0
RULES = {"A01", "A02", "C01", "C03", "C04", "F02", "H05", "P01", "P02", "P12", "P13", "S01"}
#: A row of the table: rule, planted, found | to withdraw, withdrawn | falsely raised | decoys, notified.
ROW = re.compile(r"^(\w+) +(\d+) +(\d+) \| +(\d+) +(\d+) \| +(\d+) \| +(\d+) +(\d+)$", re.M)


@dataclass(frozen=True, slots=True)
class Demo:
    """One demonstration that has ended: its data, its exit code and what it printed."""

    home: Path
    code: int
    output: str

    @property
    def advice(self) -> list[list[str]]:
        """The commands that it says to try next, without the path to the program."""
        lines = re.findall(r"^ +\.venv/bin/xiezhi (.*)$", self.output, re.M)
        return [shlex.split(line, comments=True) for line in lines]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    home = tmp_path_factory.mktemp("demo") / "home"
    done = subprocess.run(
        [sys.executable, "-m", "deploy.demo", "--records", str(RECORDS), "--home", str(home)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEMO_TIMEOUT_S,
        check=False,
    )
    return Demo(home, done.returncode, done.stdout)


@pytest.fixture(scope="module")
def environment(demo: Demo) -> dict[str, str]:
    """As after `export XIEZHI_DATA_DIR=…`, which the demo advises, with ports that nobody else uses."""
    assert f"export XIEZHI_DATA_DIR={demo.home}" in demo.output
    ports = free_ports()
    return {
        **os.environ,
        "XIEZHI_DATA_DIR": str(demo.home),
        "XIEZHI_BOOTSTRAP_SERVERS": f"{LOOPBACK}:{ports.broker}",
        "XIEZHI_REGISTRY_URL": f"http://{LOOPBACK}:{ports.registry}/apis/ccompat/v7",
    }


def xiezhi(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "xiezhi.cli.main", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )


def test_the_demo_ends_well_and_says_so(demo: Demo) -> None:
    assert demo.code == 0, demo.output
    assert "everything held" in demo.output
    assert "same 一致: True" in demo.output
    assert "0 dead letters" in demo.output


def test_everything_planted_is_found_nothing_else_is_and_no_decoy_is_notified(demo: Demo) -> None:
    rows = {row[0]: list(map(int, row[1:])) for row in ROW.findall(demo.output)}
    assert set(rows) == RULES | {"all"}
    for rule, (planted, found, to_withdraw, withdrawn, false, decoys, notified) in rows.items():
        assert (found, withdrawn, false, notified) == (planted, to_withdraw, 0, 0), rule
        assert planted > 0, rule
        assert decoys > 0, rule


def test_alerts_are_shown_as_they_come(demo: Demo) -> None:
    before_the_table = demo.output.partition("planted")[0]
    assert "publishing" in before_the_table
    assert len(re.findall(r"^  .*(raised|提出)", before_the_table, re.M)) > 0


def test_what_it_advises_works_on_what_it_left_while_nothing_runs(
    demo: Demo, environment: dict[str, str]
) -> None:
    list_red, show = [words for words in demo.advice if words[:2] in (["alerts", "list"], ["alerts", "show"])]
    listed = xiezhi(environment, *list_red)
    assert listed.returncode == 0, listed.stderr
    assert len(listed.stdout.splitlines()) > 5
    shown = xiezhi(environment, *show)
    assert shown.returncode == 0, shown.stderr
    assert show[-1] in shown.stdout
    assert "疑似" in shown.stdout


def test_the_rest_of_it_works_once_the_same_data_are_up_again(
    demo: Demo, environment: dict[str, str]
) -> None:
    rest = [words for words in demo.advice if words[:2] not in (["alerts", "list"], ["alerts", "show"])]
    assert [words[0] for words in rest] == ["up", "alerts", "contracts", "rules"]
    _, follow, contracts, rules = rest
    with up(environment, demo.home / "up.log"):
        listed = xiezhi(environment, *contracts)
        assert "finance.payment.v1" in listed.stdout
        active = xiezhi(environment, *rules)
        assert {line.split()[0] for line in active.stdout.splitlines()} == RULES, active.stderr
        assert followed(environment, follow) > 5
        said = xiezhi(environment, "status")
        assert said.returncode == 0, said.stdout
    assert xiezhi(environment, "status").returncode == 1, "nothing is left running"


@contextmanager
def up(environment: dict[str, str], log: Path) -> Iterator[None]:
    """`xiezhi up` in another terminal, ended as by Ctrl-C."""
    with log.open("w") as file:
        command = [sys.executable, "-m", "xiezhi.cli.main", "up"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
        try:
            wait_for(
                lambda: process.poll() is not None or "stops all of it" in log.read_text(), 180.0, "it is up"
            )
            assert process.poll() is None, log.read_text()
            yield
            process.send_signal(signal.SIGINT)
            assert process.wait(90.0) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()


def followed(environment: dict[str, str], words: list[str]) -> int:
    """How many alerts `alerts follow` shows from the start; ended as by Ctrl-C."""
    command = [sys.executable, "-u", "-m", "xiezhi.cli.main", *words]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        deadline = threading.Timer(COMMAND_TIMEOUT_S, process.kill)
        deadline.start()
        shown = [process.stdout.readline() for _ in range(6)]
        process.send_signal(signal.SIGINT)
        shown += process.stdout.readlines()
        deadline.cancel()
        assert process.wait(COMMAND_TIMEOUT_S) == 0
    return sum("疑似" in line for line in shown)
