"""Every local disk of a running bus is full, then has room again: said clearly, nothing lost, all goes on by itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.faults.disk.small_disks import private, why_not

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300.0
INSTEAD = "tests/integration/test_audit_on_kafka.py::test_a_disk_without_room_is_waited_for"


def test_full_disks_are_said_and_survived(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if why := why_not(tmp_path):
        with capfd.disabled():
            print(  # noqa: T201 -- nobody may believe that more was tested
                f"\n{'!' * 100}\nNO DISK WAS FILLED: this machine mounts no tmpfs in a namespace of its own ({why}).\n"
                "test_full_disks_are_said_and_survived saw nothing here. What is left is a limit of file sizes under "
                f"the audit log:\n{INSTEAD}\n{'!' * 100}"
            )
        return
    drilled = subprocess.run(
        private(["-m", "tests.faults.disk", str(tmp_path)]), cwd=ROOT, timeout=TIMEOUT_S, check=False
    )
    said = capfd.readouterr()
    with capfd.disabled():
        print(f"\n{said.out}")  # noqa: T201 -- the report of this run
    assert drilled.returncode == 0, said.out + said.err
