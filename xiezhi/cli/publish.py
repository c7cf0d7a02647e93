"""`xiezhi publish` and `xiezhi withdraw`: a department's file onto the bus, one record off it.

Rows that break their contract are written to a file of refused records and the rest goes on. Publishing the same
file again is harmless: the records carry the same event ids.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import click

from xiezhi.access import Act, record_access
from xiezhi.cli.purpose import purpose_option
from xiezhi.contracts.base import Contract
from xiezhi.contracts.bus import BUS_CONTRACTS
from xiezhi.contracts.types import to_instant_ms
from xiezhi.envelope import Envelope
from xiezhi.errors import ConfigurationError, DeliveryError, RecordRefusedError, RegistryUnavailableError
from xiezhi.files.mapping import load_mapping
from xiezhi.files.records import Publication, Refusal, open_records
from xiezhi.files.refused import RefusedRecords
from xiezhi.project import load_project
from xiezhi.publish import Publisher
from xiezhi.settings import Settings
from xiezhi.tokeniser import DEFAULT_KEY_FILE, LocalTokeniser

EXIT_SOME_REFUSED = 1
EXIT_NOT_DELIVERED = 2
_PROGRESS_EVERY_S = 5.0  # a long file shows that it moves

_source = click.option(
    "--source", envvar="XIEZHI_SOURCE", help="URN of the publishing system. Default: urn:xiezhi:<owner>."
)


@click.command()
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--map", "map_file", type=click.Path(path_type=Path), help="YAML: which column is which field.")
@click.option(
    "--format", "form", type=click.Choice(["jsonl", "csv"]), help="Default: by suffix; jsonl for -."
)
@click.option("--dry-run", is_flag=True, help="Check every row; send nothing, need no broker.")
@_source
@click.option("--jurisdiction", default="", help="12-digit division code for rows that name none.")
@click.option(
    "--refused",
    "refused_file",
    type=click.Path(path_type=Path),
    help="Where refused rows go. Default: FILE.refused.jsonl.",
)
@click.option(
    "--token-key",
    type=click.Path(path_type=Path),
    default=DEFAULT_KEY_FILE,
    envvar="XIEZHI_TOKEN_KEY",
    show_default=True,
    help="Key for tokens of persons (development only); made when missing.",
)
def publish(
    name: str,
    file: str,
    map_file: Path | None,
    form: Literal["jsonl", "csv"] | None,
    dry_run: bool,
    source: str | None,
    jurisdiction: str,
    refused_file: Path | None,
    token_key: Path,
) -> None:
    """Publish the rows of FILE (JSON Lines or CSV; - is standard input) as records of the contract NAME.

    Exit code: 0 everything was sent, 1 some rows were refused, 2 some records were not delivered.
    发布数据:不合契约的行写入拒收文件,其余照常发布。
    """
    contract = _departments_contract(name)
    mapping = load_mapping(map_file) if map_file else None
    makes_tokens = mapping is not None and any(rule.token for _, rule in mapping.rules)
    source = source or f"urn:xiezhi:{contract.owner}"
    with ExitStack() as opened:
        outcomes = open_records(
            opened.enter_context(_opened(file)),
            form or _form_of(file),
            contract,
            mapping=mapping,
            tokeniser=LocalTokeniser(token_key) if makes_tokens else None,
            jurisdiction=jurisdiction,
        )
        refused = opened.enter_context(RefusedRecords(refused_file or _beside(file)))
        publisher = None if dry_run else opened.enter_context(Publisher(Settings(), source=source))
        run = _Run(contract, source, refused, publisher)
        run.publish(outcomes)
    _report(run)
    click.get_current_context().exit(run.exit_code)


@click.command()
@click.argument("name")
@click.argument("record_id")
@click.option("--version", type=click.IntRange(min=0), required=True, help="Greater than what it takes back.")
@click.option("--occurred-at", required=True, help="When it was withdrawn: ISO 8601 with a time zone.")
@click.option("--jurisdiction", required=True, help="12-digit division code of the record.")
@_source
@purpose_option
def withdraw(
    name: str,
    record_id: str,
    version: int,
    occurred_at: str,
    jurisdiction: str,
    source: str | None,
    purpose: str,
) -> None:
    """Take the record RECORD_ID of the contract NAME back. 撤回一条记录。"""
    contract = _departments_contract(name)
    try:
        occurred_ms = to_instant_ms(occurred_at)
    except ValueError:
        raise click.BadParameter("expected ISO 8601 with a time zone", param_hint="--occurred-at") from None
    settings, source = Settings(), source or f"urn:xiezhi:{contract.owner}"
    statement = Envelope.create(  # refuses what cannot be sent, before an act is recorded that never was
        source=source,
        type=contract.topic,
        subject=record_id,
        occurred_ms=occurred_ms,
        version=version,
        jurisdiction=jurisdiction,
    )
    record_access(settings, Act("change", contract.topic, (statement.event_id,), "withdraw"), purpose=purpose)
    with Publisher(settings, source=source) as publisher:
        publisher.withdraw(
            contract, record_id, occurred_ms=occurred_ms, jurisdiction=jurisdiction, version=version
        )
    click.echo(f"withdrawn: {contract.name} {record_id} version {version}")


@dataclass
class _Run:
    """One file on its way, and how many of its rows went which way."""

    contract: Contract
    source: str
    refused: RefusedRecords
    publisher: Publisher | None  # None: dry run
    accepted: int = 0
    interruption: str = ""  # why not everything that was accepted is on the bus

    def publish(self, outcomes: Iterator[Publication | Refusal]) -> None:
        """Refused rows are written down, the rest is sent; a broker or registry that is away ends the run."""
        said_at = time.monotonic()
        try:
            for outcome in outcomes:
                self._take(outcome)
                if time.monotonic() - said_at > _PROGRESS_EVERY_S:
                    said_at = time.monotonic()
                    click.echo(f"… {self}", err=True)
        except (DeliveryError, RegistryUnavailableError) as error:
            self.interruption = str(error)
        try:
            if self.publisher:
                self.publisher.flush()
        except DeliveryError as error:
            self.interruption = self.interruption or str(error)

    def _take(self, outcome: Publication | Refusal) -> None:
        if isinstance(outcome, Publication):
            try:
                self._send(outcome)
                self.accepted += 1
            except RecordRefusedError as error:
                outcome = Refusal(outcome.line, error.reason, {}, error.field, error.record_id)
        if isinstance(outcome, Refusal):
            self.refused.write(outcome)

    def _send(self, publication: Publication) -> None:
        if self.publisher:
            self.publisher.publish(
                self.contract,
                publication.record,
                occurred_ms=publication.occurred_ms,
                jurisdiction=publication.jurisdiction,
                version=publication.version,
            )
        else:
            Envelope.create(
                source=self.source,
                type=self.contract.topic,
                subject=publication.record.model_dump()["record_id"],
                occurred_ms=publication.occurred_ms,
                version=publication.version,
                jurisdiction=publication.jurisdiction,
            )

    @property
    def exit_code(self) -> int:
        if self.interruption:
            return EXIT_NOT_DELIVERED
        return EXIT_SOME_REFUSED if self.refused.count else 0

    def __str__(self) -> str:
        said = f"{self.contract.name}: {self.accepted:,} accepted, {self.refused.count:,} refused"
        if self.publisher is None:
            return f"{said}, nothing sent (dry run)"
        return f"{said}, {self.publisher.delivered:,} sent, {self.publisher.failed:,} not delivered"


def _report(run: _Run) -> None:
    click.echo(str(run))
    if run.refused.count:
        click.echo(f"refused rows, with line, field and reason: {run.refused.path}", err=True)
    if run.interruption:
        click.echo(f"xiezhi: {run.interruption}", err=True)


def _departments_contract(name: str) -> Contract:
    contract = load_project().contract(name)
    if contract in BUS_CONTRACTS:
        raise ConfigurationError(f"{contract.name} is written by the bus itself, not published")
    return contract


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as stream:
        yield stream


def _form_of(file: str) -> Literal["jsonl", "csv"]:
    suffix = Path(file).suffix.lower()
    if suffix in (".jsonl", ".ndjson") or file == "-":
        return "jsonl"
    if suffix == ".csv":
        return "csv"
    raise click.UsageError("say what the file is: --format jsonl or --format csv")


def _beside(file: str) -> Path:
    return Path("stdin.refused.jsonl" if file == "-" else f"{file}.refused.jsonl")


COMMANDS: tuple[click.Command, ...] = (publish, withdraw)
