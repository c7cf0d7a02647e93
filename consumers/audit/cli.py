"""`xiezhi audit` and `xiezhi receipt`: set up the audit log, check it, continue it with another key, prove an alert."""

from __future__ import annotations

import sys
import time
from collections.abc import Container, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xiezhi.access import Act, record_access
from xiezhi.cli.purpose import purpose_option
from xiezhi.contracts.naming import ACCESS
from xiezhi.errors import AuditError, ConfigurationError
from xiezhi.settings import Settings

if TYPE_CHECKING:
    from consumers.audit.checking import Findings
    from consumers.audit.folder import AuditFolder
    from consumers.audit.index import LeafIndex, Place
    from consumers.audit.proving import Address, Prover
    from xiezhi.audit.checkpoint import SignedCheckpoint
    from xiezhi.audit.receipt import Case
    from xiezhi.log import LogReader

_LOOK_EVERY_S = 0.5
_PROGRESS_EVERY_S = 2.0
_PROBLEMS_EXIT = 1


@click.group(short_help="The tamper-evident log: set up, check, continue. 审计日志")
def audit() -> None:
    """The tamper-evident log of every record of the bus. 审计日志。"""


@audit.command()
@click.option("--origin", default="", metavar="NAME", help="Name of the log; default: a random one.")
@click.option(
    "--start-over", is_flag=True, help="The log of this bus is lost for good: begin one without it."
)
def init(origin: str, start_over: bool) -> None:
    """Create key and log if there are none, and print the public key. May be run again at any time."""
    from consumers.audit.folder import AuditFolder

    settings = Settings()
    folder = AuditFolder.of(settings)
    if not folder.numbers():
        if not start_over:
            _refuse_second(settings)
        folder.create_first(origin)
        click.echo(f"created the audit log {folder.log(1)}")
    number = folder.newest()
    click.echo(f"public key {folder.public_key(number)}:\n{folder.verifier(number)}")
    click.echo(
        "Give it to whoever will check receipts, by another way than the receipts. 公钥须另途送达核验人。"
    )


@audit.command()
@click.option(
    "--timeout", "timeout_s", default=60.0, show_default=True, help="Seconds to wait for the service."
)
def check(timeout_s: float) -> None:
    """Is every record a leaf, exactly once, unchanged; is the log as it was signed? Exit code 1 when not."""
    from consumers.audit import checking
    from consumers.audit.topics import TOPICS

    settings = Settings()
    with _reading(settings) as (folder, index, log):
        ends = checking.ends_of(log, TOPICS)
        _wait_for(index, ends, timeout_s)
        findings = checking.check(
            folder.readers(),
            log,
            index=index.content(),
            seen=_seen(settings, folder, log),
            ends=ends,
            erased=partial(_erasures, settings),
            progress=_Progress(),
        )
    _tell(findings)


@audit.command()
def status() -> None:
    """Logs, keys, leaves, recorded gaps, and how far the service is behind. Exit code 1 when it is not running."""
    from consumers.audit.folder import AuditFolder
    from consumers.audit.index import LeafIndex
    from consumers.audit.service import GROUP
    from consumers.audit.topics import TOPICS
    from xiezhi.lag import Lags

    settings = Settings()
    folder = AuditFolder.of(settings)
    newest = folder.reader(folder.newest())
    for number, reader in folder.readers().items():
        latest = reader.latest()
        click.echo(f"log {number}      {latest.origin}: {latest.size} leaves, root {latest.root.hex()}")
    index = LeafIndex.open(folder.index)
    for topic, partition, start, end, reason in index.gaps():
        click.echo(f"gap        {topic}/{partition}: offsets {start} to {end - 1} ({reason})")
    index.close()
    lags = Lags(settings.bootstrap_servers, {GROUP: list(TOPICS)})
    click.echo(f"behind     {sum(one.records for one in lags.read())} records")
    running = newest.is_being_written()
    click.echo(f"service    {'runs' if running else 'does not run'}\nkey        {newest.verifier}")
    if not running:
        sys.exit(_PROBLEMS_EXIT)


@audit.command()
@click.option("--lost-key", is_flag=True, help="The private key is gone: the old log cannot be closed.")
@purpose_option
def rekey(lost_key: bool, purpose: str) -> None:
    """Continue the log with a new one under a new key; stop the audit service first.

    The old log is closed by naming the new key, the new one begins with the last checkpoint of the old one. With
    --lost-key, and when the end of the old log was lost, only the latter is possible, and the new key must be made
    known as the first one was. An interrupted rekey goes on when it is run again.
    """
    from consumers.audit.anchor import latest_said, signed_after_ms
    from consumers.audit.folder import AuditFolder
    from xiezhi.codec import Codec
    from xiezhi.log import LogReader
    from xiezhi.registry import ConfluentRegistry

    settings = Settings()
    folder = AuditFolder.of(settings)
    with LogReader(settings.bootstrap_servers) as log:
        reader = folder.reader(folder.to_continue())
        verifier, codec = reader.verifier, Codec(ConfluentRegistry(settings.registry_url))
        said = latest_said(log, codec, verifier, since_ms=signed_after_ms(reader))
    act = Act("change", "audit-log", (verifier.name,), "audit rekey")
    record_access(settings, act, purpose=purpose)
    verifier = folder.continue_(said, lost_key=lost_key)
    click.echo(f"log {folder.newest()} continues the one before; its public key:\n{verifier}")


@audit.command("erase-salts")
@click.argument("addresses", metavar="TOPIC/PARTITION/OFFSET…", nargs=-1, required=True)
@click.confirmation_option(prompt="Nobody will be able to prove what these records said. Go on?")
@purpose_option
def erase_salts(addresses: tuple[str, ...], purpose: str) -> None:
    """Forget the salts of records, for ever; stop the audit service first.

    The log keeps its leaves and proofs; what they commit to cannot be shown or guessed any more (privacy erasure). The
    access trail says so for good, and `xiezhi audit check` asks it about every salt that is gone: one that was removed
    in any other way is a problem. The trail itself cannot be erased.
    """
    from consumers.audit.erasures import erasure

    settings = Settings()
    wanted = tuple(map(_parsed_address, addresses))
    if any(address.topic == ACCESS for address in wanted):
        raise click.UsageError(f"records of {ACCESS} say who did what, and cannot be erased")
    with _reading(settings) as (folder, index, _), ExitStack() as opened:
        index.follow(folder.readers())
        leaves = {address: _leaf_of(index, address) for address in wanted}
        logs = {
            number: opened.enter_context(folder.open(number))
            for number in {log for log, _ in leaves.values()}
        }
        # Only now: what is on the trail excuses a missing salt for ever.
        record_access(settings, erasure(tuple(map(str, wanted))), purpose=purpose)
        for address, (number, leaf) in leaves.items():
            logs[number].erase_salt(leaf)
            click.echo(f"erased the salt of {address} (leaf {leaf} of log {number})")


@click.command()
@click.argument("alert_id", metavar="ALERT")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="New file.",
)
@click.option("--redacted", is_flag=True, help="Without the alert's content: for whoever must not read it.")
@click.option(
    "--timeout", "timeout_s", default=30.0, show_default=True, help="Seconds to wait for a checkpoint."
)
@purpose_option
def receipt(alert_id: str, output: Path, redacted: bool, timeout_s: float, purpose: str) -> None:
    """Write the proof of an alert into one file, to be checked offline. 预警凭证。

    ALERT may be the unique beginning of an id; the statement that stands is proven. Check the file with `xiezhi
    verify`, or with verify_receipt.py where nothing of the bus is installed.
    """
    from consumers.audit.proving import Prover
    from xiezhi.audit.receipt import full_receipt, redacted_receipt
    from xiezhi.audit.verify_receipt import NotProvenError, verify
    from xiezhi.registry import ConfluentRegistry

    settings = Settings()
    alert, place = _standing(settings, alert_id)
    with _reading(settings) as (folder, index, log):
        prover = Prover(folder.readers(), index, log, ConfluentRegistry(settings.registry_url))
        case, number = _wait_for_case(prover, place, timeout_s)
        data = redacted_receipt(case) if redacted else full_receipt(case)
        try:
            verify(data, str(folder.verifier(number)))  # nobody is handed what does not prove
        except NotProvenError as error:
            raise AuditError(f"no receipt of {place}: {error}") from error
    record_access(settings, Act("export", "alert", (alert,), "receipt"), purpose=purpose)
    try:
        with output.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise ConfigurationError(f"cannot write {output}: {error.strerror}") from error
    variant = "redacted receipt 隐去内容的凭证" if redacted else "receipt 凭证"
    click.echo(f"{variant} of {place}: {output} ({len(data)} bytes)")
    click.echo(f"check it with: xiezhi verify {output} --key {folder.public_key(number)}")


def _wait_for_case(prover: Prover, place: Address, timeout_s: float) -> tuple[Case, int]:
    from consumers.audit.proving import MissingLeafError

    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return prover.case(place)
        except MissingLeafError as error:
            if time.monotonic() > deadline:
                raise AuditError(
                    f"{error} after {timeout_s:.0f} s; does the audit service run? `xiezhi audit status` says"
                ) from error
        time.sleep(_LOOK_EVERY_S)


def _standing(settings: Settings, prefix: str) -> tuple[str, Address]:
    """The alert whose id begins so, and where the statement stands that the alert store holds for it."""
    from consumers.alerts.database import path_of, url_of
    from consumers.alerts.store import AlertStore
    from consumers.audit.proving import Address

    if not path_of(settings).exists():
        raise ConfigurationError(f"there is no alert store at {path_of(settings)}; set XIEZHI_DATA_DIR")
    store = AlertStore.open(url_of(settings), durable=False)
    try:
        found = store.find(prefix, limit=2) if prefix else ()
        if not found or (len(found) > 1 and found[0] != prefix):
            several = "several alerts have" if found else "no alert has"
            raise click.UsageError(
                f"{several} an id that begins with {prefix!r}; `xiezhi alerts list` shows all"
            )
        said = store.history(found[0])[-1].statement
    finally:
        store.close()
    return found[0], Address(said.topic, said.partition, said.offset)


def _parsed_address(text: str) -> Address:
    from consumers.audit.proving import Address

    topic, _, place = text.partition("/")
    partition, _, offset = place.partition("/")
    if not (topic and partition.isdecimal() and offset.isdecimal()):
        raise click.UsageError(f"{text!r} is not of the form TOPIC/PARTITION/OFFSET")
    return Address(topic, int(partition), int(offset))


def _leaf_of(index: LeafIndex, address: Address) -> tuple[int, int]:
    """(log, leaf). Raises AuditError."""
    found = index.find(address.topic, address.partition, address.offset)
    if found is None:
        raise AuditError(f"{address} is no leaf, so it has no salt")
    return found


def _erasures(settings: Settings) -> Container[str]:
    """What the access trail says as people see it: without what an aborted transaction wrote."""
    from consumers.audit.erasures import stated
    from xiezhi.codec import Codec
    from xiezhi.log import LogReader
    from xiezhi.registry import ConfluentRegistry

    with LogReader(settings.bootstrap_servers) as log:
        return stated(log, Codec(ConfluentRegistry(settings.registry_url)))


@contextmanager
def _reading(settings: Settings) -> Iterator[tuple[AuditFolder, LeafIndex, LogReader]]:
    from consumers.audit.folder import AuditFolder
    from consumers.audit.index import LeafIndex
    from xiezhi.log import LogReader

    folder = AuditFolder.of(settings)
    folder.newest()  # else there is nothing to read
    with ExitStack() as opened:
        index = LeafIndex.open(folder.index)
        opened.callback(index.close)
        log = opened.enter_context(
            LogReader(settings.bootstrap_servers, **{"isolation.level": "read_uncommitted"})
        )
        yield folder, index, log


def _refuse_second(settings: Settings) -> None:
    """A bus has one audit log: whoever lost its folder must not start another one without noticing."""
    from consumers.audit.anchor import origins_said
    from xiezhi.codec import Codec
    from xiezhi.log import LogReader
    from xiezhi.registry import ConfluentRegistry

    with LogReader(settings.bootstrap_servers) as log:
        origins = origins_said(log, Codec(ConfluentRegistry(settings.registry_url)))
    if origins:
        raise ConfigurationError(
            f"this bus has checkpoints of the audit log {', '.join(sorted(origins))}, and that log is not in "
            f"{settings.data_dir / 'audit'}; bring its folder back or set XIEZHI_DATA_DIR; if it is lost for good, "
            "`xiezhi audit init --start-over` begins another one. 总线已有审计日志，请恢复其目录"
        )


def _seen(settings: Settings, folder: AuditFolder, log: LogReader) -> dict[int, list[SignedCheckpoint]]:
    """What the bus knows of the newest log; who puts back an older copy of it does not put back the bus."""
    from consumers.audit.anchor import latest_said, signed_after_ms
    from xiezhi.codec import Codec
    from xiezhi.registry import ConfluentRegistry

    number = folder.newest()
    reader, codec = folder.reader(number), Codec(ConfluentRegistry(settings.registry_url))
    said = latest_said(log, codec, reader.verifier, since_ms=signed_after_ms(reader))
    return {} if said is None else {number: [said]}


def _wait_for(index: LeafIndex, ends: Mapping[Place, int], timeout_s: float) -> None:
    """Until the service has signed what is in Kafka by now, or gives no sign of it: the check will say so."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        reached = index.next_offsets()
        if all(reached.get(place, 0) >= end for place, end in ends.items()):
            return
        time.sleep(_LOOK_EVERY_S)


class _Progress:
    """A line on stderr now and then, so that nobody thinks that a long check hangs."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        if time.monotonic() - self._said_at >= _PROGRESS_EVERY_S:
            self._said_at = time.monotonic()
            click.echo(f"{what}: {done} of {total} leaves checked 已核对 …", err=True)


def _tell(findings: Findings) -> None:
    for problem in findings.problems:
        click.echo(f"PROBLEM 问题: {problem}")
    if findings.unsaid:
        click.echo(f"… and {findings.unsaid} more")
    if not findings.is_good:
        click.echo("the audit log is NOT complete and consistent 审计日志不完整或不一致")
        sys.exit(_PROBLEMS_EXIT)
    erased = f", {findings.erased} without salt (`xiezhi access list` says why)" if findings.erased else ""
    click.echo(
        f"{findings.leaves} leaves under {findings.checkpoints} checkpoints; {findings.compared} records of "
        f"{findings.partitions} partitions are leaves exactly once, as Kafka holds them{erased}"
    )
    click.echo("the audit log is complete and consistent 审计日志完整且一致")


COMMANDS: tuple[click.Command, ...] = (audit, receipt)
