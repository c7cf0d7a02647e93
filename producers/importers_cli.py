"""`xiezhi import ocds` and `xiezhi import bods`: other people's open data onto the bus.

Everything read is accounted for: published, left aside by reason, or refused into a file with place, field and
reason. Importing the same files again is harmless: the records carry the same event ids.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from producers.bods.index import Index
from producers.bods.reader import BodsImport
from producers.importing.documents import STDIN
from producers.importing.outcomes import Imported, Located, Outcome, Place, Refused, Tally, Withdrawn
from producers.ocds.reader import read_ocds
from xiezhi.cli.terminal import table, to_json
from xiezhi.envelope import Envelope
from xiezhi.errors import DeliveryError, RecordRefusedError, RegistryUnavailableError
from xiezhi.files.records import Refusal
from xiezhi.files.refused import RefusedRecords
from xiezhi.publish import Publisher
from xiezhi.settings import Settings
from xiezhi.tokeniser import DEFAULT_KEY_FILE, LocalTokeniser

EXIT_SOME_REFUSED = 1
EXIT_NOT_DELIVERED = 2
#: Data from outside GB/T 2260: no division.
NO_JURISDICTION = "000000000000"
_PROGRESS_EVERY_S = 5.0

Reader = Callable[[Callable[[int], None]], Iterable[Located]]


@dataclass(frozen=True)
class Options:
    """What both importers are told."""

    form: str
    files: tuple[str, ...]
    dry_run: bool
    source: str
    jurisdiction: str
    refused_file: Path
    as_json: bool


@click.group(name="import", short_help="Import open data: OCDS, BODS. 导入公开数据")
def import_() -> None:
    """Import open data in a standard format. 导入标准格式的公开数据。"""


def _division(_: click.Context, __: click.Parameter, value: str) -> str:
    if not (value.isascii() and value.isdigit() and len(value) == len(NO_JURISDICTION)):
        raise click.BadParameter("expected 12 digits")
    return value


def _options(form: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What every importer can be told: the fields of `Options`."""
    given = (
        click.argument(
            "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True)
        ),
        click.option("--dry-run", is_flag=True, help="Check everything; send nothing, need no broker."),
        click.option(
            "--source",
            envvar="XIEZHI_SOURCE",
            default=f"urn:xiezhi:import:{form}",
            show_default=True,
            help="URN of who publishes the data.",
        ),
        click.option(
            "--jurisdiction",
            default=NO_JURISDICTION,
            show_default=True,
            callback=_division,
            help="12-digit division code of the records.",
        ),
        click.option(
            "--refused",
            "refused_file",
            type=click.Path(path_type=Path, dir_okay=False),
            default=f"{form}.refused.jsonl",
            show_default=True,
            help="Where refusals go.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the summary as one line of JSON."),
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(given):
            command = option(command)
        return command

    return decorate


@import_.command()
@_options("ocds")
def ocds(**given: Any) -> None:
    """Import procurement data in OCDS 1.1.

    FILES hold releases, release packages or record packages, or any of them as JSON Lines; - is standard input.

    Exit code: 0 everything was sent, 1 something was refused, 2 some records were not delivered.
    导入 OCDS 1.1 采购数据。
    """
    options = Options(form="ocds", **given)
    _run(options, lambda progress: _each(options.files, lambda path: read_ocds(path, progress=progress)))


@import_.command()
@_options("bods")
@click.option(
    "--token-key",
    type=click.Path(path_type=Path),
    default=DEFAULT_KEY_FILE,
    envvar="XIEZHI_TOKEN_KEY",
    show_default=True,
    help="Key for tokens of persons (development only); made when missing.",
)
@click.option(
    "--index",
    "index_file",
    type=click.Path(dir_okay=False),
    default="",
    help="Keep in this file what statement ids mean, for later files that refer to or replace them.",
)
def bods(token_key: Path, index_file: str, **given: Any) -> None:
    """Import beneficial ownership in BODS 0.1 to 0.4.

    FILES hold statements as a JSON array or as JSON Lines; - is standard input.

    Exit code: 0 everything was sent, 1 something was refused, 2 some records were not delivered.
    导入 BODS 受益所有权数据。
    """
    options = Options(form="bods", **given)
    with closing(Index(index_file)) as index:
        statements = BodsImport(index, LocalTokeniser(token_key), options.source)
        _run(
            options,
            lambda progress: statements.read(options.files, progress=progress),
            when_sent=index.keep,
        )


def _each(files: Iterable[str], read: Callable[[str], Iterator[Located]]) -> Iterator[Located]:
    for file in files:
        yield from read(file)


def _run(options: Options, read: Reader, *, when_sent: Callable[[], None] = lambda: None) -> None:
    with ExitStack() as opened:
        refused = opened.enter_context(RefusedRecords(options.refused_file))
        publisher = None
        if not options.dry_run:
            publisher = opened.enter_context(Publisher(Settings(), source=options.source))
        run = Run(options, refused, publisher)
        run.import_all(read)
        if publisher and not run.interruption:
            when_sent()
    report(run)
    click.get_current_context().exit(run.exit_code)


@dataclass
class Run:
    """One import on its way."""

    options: Options
    refused: RefusedRecords
    publisher: Publisher | None  # None: dry run
    tally: Tally = field(default_factory=Tally)
    interruption: str = ""  # why the rest was not tried
    _bytes_read: int = 0
    _said_at: float = field(default_factory=time.monotonic)

    def import_all(self, read: Reader) -> None:
        """Send what can be sent, write down what is refused; a broker or registry that is away ends the run."""
        try:
            for place, outcome in read(self._count_bytes):
                self._take(place, outcome)
                self._say_progress()
        except (DeliveryError, RegistryUnavailableError) as error:
            self.interruption = str(error)
        try:
            if self.publisher:
                self.publisher.flush()
        except DeliveryError as error:
            self.interruption = self.interruption or str(error)

    def _take(self, place: Place, outcome: Outcome) -> None:
        if isinstance(outcome, Imported | Withdrawn):
            try:
                self._send(outcome)
            except RecordRefusedError as error:
                outcome = Refused(error.field, error.reason, outcome.record_id)
        if isinstance(outcome, Refused):
            where = {"file": place.file, "item": place.item}
            self.refused.write(Refusal(place.line, outcome.reason, where, outcome.field, outcome.record_id))
        self.tally.count(outcome)

    def _send(self, outcome: Imported | Withdrawn) -> None:
        contract, at, version = outcome.contract, outcome.occurred_ms, outcome.version
        division = self.options.jurisdiction
        if self.publisher is None:
            Envelope.create(
                source=self.options.source,
                type=contract.topic,
                subject=outcome.record_id,
                occurred_ms=at,
                version=version,
                jurisdiction=division,
            )
        elif isinstance(outcome, Imported):
            self.publisher.publish(
                contract, outcome.record, occurred_ms=at, version=version, jurisdiction=division
            )
        else:
            self.publisher.withdraw(
                contract, outcome.record_id, occurred_ms=at, version=version, jurisdiction=division
            )

    def _count_bytes(self, size: int) -> None:
        self._bytes_read += size

    def _say_progress(self) -> None:
        if time.monotonic() - self._said_at > _PROGRESS_EVERY_S:
            self._said_at = time.monotonic()
            published = sum(self.tally.published.values())
            said = f"{self._bytes_read / 1e6:,.1f} MB read, {published:,} records, {self.tally.refused:,} refused"
            click.echo(f"… {said}", err=True)

    @property
    def exit_code(self) -> int:
        if self.interruption:
            return EXIT_NOT_DELIVERED
        return EXIT_SOME_REFUSED if self.tally.refused else 0


def report(run: Run) -> None:
    """The summary on stdout, remedies on stderr."""
    if run.options.as_json:
        click.echo(to_json(summary(run)))
    else:
        for line in table(("", "", "count 计数"), _rows(run), cells_max=100):
            click.echo(line)
    if run.tally.refused:
        click.echo(f"refused, with file, line, field and reason: {run.refused.path}", err=True)
    if run.interruption:
        click.echo(f"xiezhi: {run.interruption}", err=True)


def summary(run: Run) -> dict[str, Any]:
    """What became of everything, for programs."""
    return {
        "format": run.options.form,
        "files": ["stdin" if file == STDIN else file for file in run.options.files],
        "dry_run": run.publisher is None,
        **run.tally.to_dict(),
        "refused_file": str(run.refused.path) if run.tally.refused else None,
        "delivered": run.publisher.delivered if run.publisher else 0,
        "not_delivered": run.publisher.failed if run.publisher else 0,
    }


def _rows(run: Run) -> Iterator[tuple[str, str, str]]:
    tally = run.tally
    yield "read 已读", "releases, records or statements", f"{tally.read:,}"
    published = "would publish 可发布" if run.publisher is None else "published 已发布"
    for head, counts in (
        (published, tally.published),
        ("withdrawn 已撤回", tally.withdrawn),
        ("left aside 未采用", tally.left_aside),
        ("remark 说明", tally.remarks),
    ):
        for what, count in counts.most_common():
            yield head, what, f"{count:,}"
    yield "refused 已拒收", "", f"{tally.refused:,}"
    if run.publisher:
        yield "delivered 已送达", "", f"{run.publisher.delivered:,}"
        yield "not delivered 未送达", "", f"{run.publisher.failed:,}"


COMMANDS: tuple[click.Command, ...] = (import_,)
