"""`xiezhi province`: make the synthetic province, as files or straight onto the bus."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import click

from producers.province.files import LABELS, write_province
from producers.province.generate import DEFAULT_SIZE, Province, generate
from producers.province.publication import Publication
from producers.province.publishing import paced, publish_all
from xiezhi.codec import Codec
from xiezhi.contracts.types import to_instant_ms
from xiezhi.envelope import format_instant
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings
from xiezhi.wall_clock import now_ms

_PROGRESS_EVERY_S = 5.0  # a long publication shows that it moves


@click.command(short_help="Make the synthetic province, with planted cases. 模拟省份")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same province.")
@click.option("--records", type=click.IntRange(min=0), default=DEFAULT_SIZE, show_default=True)
@click.option("--until", help="End of its two years: ISO 8601 with a time zone. Default: now.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write JSON Lines files here.")
@click.option(
    "--publish",
    "phase",
    type=click.Choice(["main", "corrections"]),
    is_flag=False,
    flag_value="main",
    help="Publish the main phase, or (=corrections) what follows the alerts.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=1000.0,
    show_default=True,
    help="Records/s.",
)
def province(
    seed: int,
    records: int,
    until: str | None,
    out: Path | None,
    phase: Literal["main", "corrections"] | None,
    rate: float,
) -> None:
    """Make the synthetic province: two years of departments' records with planted cases. 模拟省份

    Everything in it is made up and says so. Labels tell what should be found; no stream reads them.
    """
    if out is None and phase is None:
        raise click.UsageError("say where it should go: --out DIR, --publish or both")
    made = generate(seed, records, until_ms=_instant(until))
    click.echo(_described(made))
    if out is not None:
        write_province(made, out)
        click.echo(f"written to {out}; what should be found: {out / LABELS}")
    if phase is not None:
        publications = made.publications if phase == "main" else made.corrections
        settings = Settings()
        codec = Codec(ConfluentRegistry(settings.registry_url))
        sent = publish_all(_shown(paced(publications, rate)), settings, codec)
        click.echo(f"{phase}: {sent:,} published")


def _instant(until: str | None) -> int:
    if until is None:
        return now_ms()
    try:
        return int(to_instant_ms(until))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--until") from None


def _described(made: Province) -> str:
    records = len({(p.contract.name, p.record_id) for p in made.publications})
    expected = Counter(label.expected for label in made.labels)
    return (
        f"synthetic province, seed {made.seed}, until {format_instant(made.until_ms)}: {records:,} records in "
        f"{len(made.publications):,} publications, {len(made.corrections)} to follow the alerts; "
        f"{expected['open']} alerts expected, {expected['withdrawn']} to be withdrawn, {expected['none']} decoys"
    )


def _shown(publications: Iterable[Publication]) -> Iterator[Publication]:
    """The same publications; says from time to time how many have gone by."""
    said_at = time.monotonic()
    for number, publication in enumerate(publications):
        if time.monotonic() - said_at > _PROGRESS_EVERY_S:
            said_at = time.monotonic()
            click.echo(f"… {number:,} published", err=True)
        yield publication
