"""`xiezhi dead-letters`: the records that no stage could use, why, and sending them again once the cause is mended.

Lists never show a record's content; `show` does, made harmless for the terminal, and leaves a record on the access
trail first, as does sending again.
"""

from __future__ import annotations

import logging
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import click
from confluent_kafka import Producer

from xiezhi.access import Act, record_access
from xiezhi.cli.dead_letter_pages import listing, page, to_object
from xiezhi.cli.purpose import purpose_option
from xiezhi.cli.terminal import clean, to_json
from xiezhi.codec import Codec
from xiezhi.contracts.types import to_instant_ms
from xiezhi.dead_letter_log import (
    ATTEMPTS_MAX,
    REPLAY_STAGE,
    DeadRecord,
    Replayed,
    Wanted,
    dead_records,
    read_letters,
    replay,
)
from xiezhi.dead_letters import MESSAGE_BYTES_MAX, DeadLetters
from xiezhi.errors import BadRecordError
from xiezhi.log import LogReader
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings
from xiezhi.wall_clock import now_ms

_AGO = re.compile(r"([0-9]{1,6})([smhd])")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Since(click.ParamType):
    """An age (`90m`, `2h`, `7d`) or an instant, as milliseconds since 1970."""

    name = "since"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if ago := _AGO.fullmatch(value):
            return now_ms() - int(ago[1]) * _UNIT_MS[ago[2]]
        try:
            return int(to_instant_ms(value))
        except ValueError:
            self.fail("expected an age such as 90m, 2h, 7d or an instant such as 2026-03-01T09:00:00+08:00")


_topic = click.option("--topic", default="", metavar="TOPIC", help="Only records of this topic.")
_reason = click.option("--reason", default="", metavar="CODE", help="Only this reason, e.g. unknown_schema.")
_since = click.option(
    "--since", type=Since(), default=0, metavar="WHEN", help="2h, 7d or an instant with time zone."
)
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")


@click.group("dead-letters")
def group() -> None:
    """Records that could not be used, and why. 死信。"""


@group.command("list")
@_topic
@_reason
@_since
@click.option(
    "--all", "everything", is_flag=True, help="Also those that were sent again and did not come back."
)
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Newest so many."
)
@_json
def list_letters(topic: str, reason: str, since: int, everything: bool, limit: int, as_json: bool) -> None:
    """Records that wait, newest failure first."""
    found = [
        record
        for record in _read(Settings(), Wanted(topic=topic, since_ms=since))
        if (everything or record.waits) and reason in ("", record.newest.content.reason)
    ]
    for line in [to_json(to_object(each)) for each in found[:limit]] if as_json else listing(found[:limit]):
        click.echo(line)
    if len(found) > limit:
        click.echo(f"{len(found) - limit} more; --limit shows more of them", err=True)


@group.command()
@click.argument("record_id", metavar="ID")
@click.option(
    "--bytes", "preview", type=click.IntRange(0, 1 << 20), default=256, show_default=True, help="To preview."
)
@_json
@purpose_option
def show(record_id: str, preview: int, as_json: bool, purpose: str) -> None:
    """One record: reason, headers, attempts and a preview of its bytes. ID is topic/partition/offset."""
    wanted = Wanted(topic=record_id.split("/")[0], keep_values=True)
    settings = Settings()
    record = _chosen([record_id], _read(settings, wanted))[0]
    act = Act("read", "dead-letter", (record.origin,), "dead-letters show")
    record_access(settings, act, purpose=purpose)
    for line in [to_json(to_object(record, whole=True))] if as_json else page(record, preview):
        click.echo(line)


@group.command("replay")
@click.argument("record_ids", metavar="[ID]...", nargs=-1)
@_topic
@_reason
@_since
@click.option("--dry-run", is_flag=True, help="Say what would be sent; send nothing.")
@click.option(
    "--force", is_flag=True, help=f"Also what failed {ATTEMPTS_MAX} times or was sent again already."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@purpose_option
@click.pass_context
def replay_letters(
    ctx: click.Context,
    record_ids: tuple[str, ...],
    topic: str,
    reason: str,
    since: int,
    dry_run: bool,
    force: bool,
    yes: bool,
    purpose: str,
) -> None:
    """Send records again, unchanged, to where they came from.

    Choose by ID (topic/partition/offset), --topic, --reason or --since. Mend the cause first. A record that failed
    three times is refused.
    """
    if not (record_ids or topic or reason or since):
        raise click.UsageError("say which: one or more IDs, --topic, --reason or --since")
    settings = Settings()
    found = _read(settings, Wanted(topic=topic, since_ms=since, keep_values=True))
    chosen = [
        record
        for record in (_chosen(record_ids, found) if record_ids else found)
        if (force or record.waits) and reason in ("", record.newest.content.reason)
    ]
    worn_out = [] if force else [each for each in chosen if each.newest.content.attempts >= ATTEMPTS_MAX]
    sendable = [each for each in chosen if each not in worn_out]
    for record in worn_out:
        click.echo(
            f"refused {clean(record.origin)}: failed {ATTEMPTS_MAX} times; --force sends it all the same",
            err=True,
        )
    _announce(sendable, dry_run=dry_run)
    if sendable and not dry_run:
        if not yes and not click.confirm("Send them?"):
            click.echo("nothing was sent")
            ctx.exit(1)
        act = Act("change", "dead-letter", tuple(each.origin for each in sendable), "dead-letters replay")
        record_access(settings, act, purpose=purpose)
        if _send(settings, sendable):
            ctx.exit(1)
    if worn_out:
        ctx.exit(1)


def _announce(records: Sequence[DeadRecord], *, dry_run: bool) -> None:
    if not records:
        click.echo("nothing to send")
    for name, number in sorted(Counter(each.newest.content.source.topic for each in records).items()):
        click.echo(f"{'would send' if dry_run else 'to send'}: {number} to {clean(name)}")
    for record in records if dry_run else ():
        click.echo(f"  {clean(record.origin)}  {clean(record.newest.content.reason)}")


def _send(settings: Settings, records: Sequence[DeadRecord]) -> int:
    """Replays and says what became of it; the number of failures."""
    options = {"bootstrap.servers": settings.bootstrap_servers, "client.id": "xiezhi-dead-letters"}
    producer = Producer(
        {
            **options,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "message.max.bytes": MESSAGE_BYTES_MAX,
        },
        logger=logging.getLogger("librdkafka"),
    )
    codec = Codec(ConfluentRegistry(settings.registry_url))
    letters = DeadLetters(producer, codec, stage=REPLAY_STAGE, limit_per_minute=sys.maxsize, clock=now_ms)
    outcome: Counter[bool] = Counter()

    def report(result: Replayed) -> None:
        outcome[not result.error] += 1
        if result.error:
            click.echo(f"not sent {clean(result.record.origin)}: {clean(result.error)}", err=True)

    try:
        replay(records, producer, letters, on_result=report)
    finally:
        click.echo(
            f"sent {outcome[True]}, not sent {outcome[False]}; what fails again comes back to this list"
        )
    return outcome[False]


def _read(settings: Settings, wanted: Wanted) -> list[DeadRecord]:
    codec = Codec(ConfluentRegistry(settings.registry_url))
    with LogReader(settings.bootstrap_servers) as reader:
        return dead_records(_readable(read_letters(reader, codec, wanted)))


def _readable(letters: Iterator[Any]) -> Iterator[Any]:
    for letter in letters:
        if isinstance(letter, BadRecordError):
            click.echo(f"passed over: {clean(letter.detail)}", err=True)
        else:
            yield letter


def _chosen(record_ids: Sequence[str], records: Sequence[DeadRecord]) -> list[DeadRecord]:
    """The records called by any address of theirs, each once."""
    by_address = {address: record for record in records for address in record.addresses}
    unknown = [clean(each) for each in record_ids if each not in by_address]
    if unknown:
        raise click.UsageError(
            f"no dead letter has the ID {', '.join(unknown)}; `xiezhi dead-letters list` shows all"
        )
    return list({by_address[each].origin: by_address[each] for each in record_ids}.values())


COMMANDS: tuple[click.Command, ...] = (group,)
