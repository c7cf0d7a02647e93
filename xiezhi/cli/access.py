"""`xiezhi access`: the access trail, who looked at or did what, why and when. Looking at it is an access, too."""

from __future__ import annotations

from collections.abc import Sequence

import click

from xiezhi.access import Act, record_access
from xiezhi.access_log import Wanted, read_accesses
from xiezhi.cli.dead_letters import Since
from xiezhi.cli.purpose import purpose_option
from xiezhi.cli.terminal import instant, table, to_json
from xiezhi.codec import Codec
from xiezhi.contracts.access import Access
from xiezhi.log import LogReader
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings


@click.group("access")
def group() -> None:
    """Who looked at or did what, for which purpose, when. 访问留痕。"""


@group.command("list")
@click.option("--actor", default="", metavar="URN", help="Only this actor, e.g. urn:xiezhi:user:auditor-1.")
@click.option(
    "--object",
    "object_id",
    default="",
    metavar="ID",
    help="Only acts on what has this id, or one that begins so.",
)
@click.option("--since", type=Since(), default=0, metavar="WHEN", help="2h, 7d or an instant with time zone.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
@purpose_option
def list_accesses(actor: str, object_id: str, since: int, limit: int, as_json: bool, purpose: str) -> None:
    """Acts on the trail, newest first, this one among them.

    Looks at alerts are on it once the alert-store service has forwarded them.
    """
    settings = Settings()
    act = Act("export" if as_json else "search", "access", (object_id,) if object_id else (), "access list")
    record_access(settings, act, purpose=purpose)
    codec = Codec(ConfluentRegistry(settings.registry_url))
    with LogReader(settings.bootstrap_servers) as reader:
        found = read_accesses(reader, codec, Wanted(actor, object_id, since))
    for line in (
        [to_json(one.model_dump(mode="json")) for one in found[:limit]] if as_json else listing(found[:limit])
    ):
        click.echo(line)
    if len(found) > limit:
        click.echo(f"{len(found) - limit} more; --limit shows more of them", err=True)


def listing(accesses: Sequence[Access]) -> list[str]:
    """A table; of several objects the first and how many more."""
    heads = ("when", "actor", "action", "command", "purpose", "object")
    return table(heads, map(_cells, accesses))


def _cells(access: Access) -> tuple[str, ...]:
    more = f" +{len(access.object_ids) - 1}" if access.object_ids else ""
    return (
        instant(access.accessed_ms),
        access.actor,
        access.action,
        access.command or "-",
        access.purpose,
        f"{access.object_type} {access.object_id}{more}",
    )


COMMANDS: tuple[click.Command, ...] = (group,)
