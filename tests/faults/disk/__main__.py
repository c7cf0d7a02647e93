"""`python -m tests.faults.disk HOME`: every local disk of a running bus is full, then has room again.

To be run where it may mount (`small_disks.private`). Stores of router and judge, audit log, alert store and spans have
a small disk each; all are filled under load. Each service must say so in one sentence that names the place and the
remedy; once there is room, all goes on by itself and nothing may be lost. Exit code 1: it was not so.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from schemas.catalogue import ALLOWANCE, DEATH
from tests.answers import oracle, published_ids, said, stored
from tests.faults.disk.small_disks import SmallDisk
from tests.load import Published, load
from tests.running_bus import RunningBus, running_bus, wait_for
from xiezhi.local.supervisor import RestartPolicy
from xiezhi.publish import Publisher
from xiezhi.telemetry.span_store import folder_of

SEED = 7
MATTERS = (
    120  # of which half are used, four records each: a quarter before, three quarters while disks are full
)
#: Benefits after a death are said at once; nobody has to wait for a settle time.
AT_ONCE = (DEATH, ALLOWANCE)
PATIENCE_S = 60.0
#: Two dozen small RocksDB stores take ten; log, alerts and spans next to nothing.
STORE_MB, LOG_MB = 48, 8
#: What must have been said of each disk: the place, what becomes of the data, the remedy. All of it in one line.
SENTENCES: Mapping[str, tuple[str, str]] = {
    "traces": ("alert-store", r"spans dropped so far: .*/data/traces: No space.* free some space"),
    "audit": (
        "audit",
        r"the audit log stands still, nothing is lost, it is tried again: .*/data/audit/.* has room",
    ),
    "alerts": (
        "alert-store",
        r"alert store .*/data/alerts\.sqlite3: .* free some space there: nothing is lost",
    ),
    "judge": (
        "judge",
        r"CRITICAL.* cannot (?:write to|open) the store at .*/data/judge/.* free some space there: nothing is lost",
    ),
    "router": (
        "router",
        r"CRITICAL.* cannot (?:write to|open) the store at .*/data/router/.* free some space there: nothing is lost",
    ),
}
#: Filled one lot after the other: what is full stops those behind it, and each must have met its own full disk.
LOTS = (("traces", "audit"), ("alerts",), ("judge", "router"))


def drill(home: Path) -> None:
    """Raises AssertionError when something did not hold."""
    data = home / "data"
    disks = {"alerts": SmallDisk(data, LOG_MB)}
    for name in ("traces", "audit", "judge", "router"):
        disks[name] = SmallDisk(data / name, STORE_MB if name in ("judge", "router") else LOG_MB)
    records = [one for one in load(SEED, MATTERS, int(time.time() * 1000)) if one.contract in AT_ONCE]
    quarter = -(-len(records) // (1 + len(LOTS)))
    begun = time.monotonic()
    with running_bus(home / "stack", restarts=RestartPolicy(max_s=2.0), data_dir=data) as bus:
        publish(bus, records[:quarter])
        bus.quiet()
        note(f"{quarter} records judged, stored and audited after {time.monotonic() - begun:.0f} s")
        auditing = bus.pids()["audit"]
        full: list[SmallDisk] = []
        for number, lot in enumerate(LOTS, 1):
            full += [disks[name] for name in lot]
            fill(full)
            publish(bus, records[number * quarter : (number + 1) * quarter])
            for name in lot:
                note(f"{name}: {said_of(bus, name, full)}")
        assert bus.pids()["audit"] == auditing, "the audit service waits, it does not end"
        for disk in full:
            disk.make_room()
        freed = time.monotonic()
        bus.quiet()
        note(f"all was passed {time.monotonic() - freed:.0f} s after there was room")
        judge_all(bus, records)
    note(f"done after {time.monotonic() - begun:.0f} s")


def publish(bus: RunningBus, records: list[Published]) -> None:
    with Publisher(bus.settings, source="urn:xiezhi:synthetic:load") as publisher:
        for record in records:
            record.send(publisher)


def said_of(bus: RunningBus, disk: str, full: list[SmallDisk]) -> str:
    """The line in which the service that writes to this disk says that it is full."""
    service, pattern = SENTENCES[disk]
    found: list[str] = []

    def look() -> bool:
        fill(full)  # a process that ends gives room back
        found.extend(re.findall(f"^.*{pattern}.*$", bus.log_of(service), re.MULTILINE))
        return bool(found)

    wait_for(look, PATIENCE_S, f"{service} says: {pattern}")
    return found[0]


def fill(disks: list[SmallDisk]) -> None:
    for disk in disks:
        disk.fill()


def judge_all(bus: RunningBus, records: list[Published]) -> None:
    """Nothing lost, nothing twice, the answer of the oracle, a clean audit log, and spans again."""
    expected, topic = oracle(bus.settings), said(bus.settings)
    standing, repeated = stored(bus.settings)
    sent = {(one.contract.topic, one.record_id, one.version) for one in records}
    checked = bus.cli("audit", "check")
    note(
        f"{len(sent)} statements sent, {len(sent) - len(published_ids(bus.settings))} lost, {len(expected)} alerts "
        f"stand, {topic.repeats} physical repeats, {len(repeated)} repeated effects"
    )
    note(checked.stdout.strip().splitlines()[-1])
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert len(published_ids(bus.settings)) == len(sent)
    assert len(expected) > 5
    assert topic.conflicts == []
    assert topic.standing == expected
    assert standing == expected
    assert repeated == []
    assert list(folder_of(bus.settings).iterdir())


def note(text: str) -> None:
    print(text, flush=True)  # noqa: T201 -- the report


if __name__ == "__main__":
    drill(Path(sys.argv[1]))
