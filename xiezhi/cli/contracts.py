"""`xiezhi contracts`: look at the contracts of this project, and bring registry and broker to what they say."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import click

from xiezhi.access import Act, accesses, publish_accesses, refusing
from xiezhi.cli.purpose import purpose_option
from xiezhi.contracts.base import Contract
from xiezhi.contracts.bus import ACCESS, BUS_CONTRACTS
from xiezhi.contracts.examples import invalid_example, valid_example
from xiezhi.contracts.reference import render, render_all
from xiezhi.contracts.rollout import Rollout
from xiezhi.project import load_project
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings
from xiezhi.topics import Topics, topic_plan
from xiezhi.wall_clock import now_ms

#: What an example needs beside its fields to be a line of a file for `xiezhi publish`.
_STATEMENT = {"version": 0, "occurred_at": "2026-04-20T14:03:11+08:00", "jurisdiction": "110000000000"}


@click.group()
def contracts() -> None:
    """Record types of this bus: schemas, examples, topics. 数据契约。"""


@contracts.command()
@purpose_option
def apply(purpose: str) -> None:
    """Set compatibility, register what changed, create missing topics. May be run again at any time."""
    settings = Settings()
    with _rollout() as rollout:
        if not rollout.check():
            click.echo("nothing to change: registry and topics are as the contracts say")
            return
        act = Act("change", "contracts", (_fingerprint(rollout.contracts),), "contracts apply")
        records = accesses(settings, act, purpose=purpose, now_ms=now_ms())
        changes = _of_the_trail(rollout).apply(click.echo)  # first of all what the act is recorded with
        with refusing(act):
            publish_accesses(settings, records)
        changes += rollout.apply(click.echo)
    click.echo(f"{changes} changes")


def _of_the_trail(rollout: Rollout) -> Rollout:
    plan = tuple(topic for topic in rollout.plan if topic.name == ACCESS.topic)
    return replace(rollout, contracts=(ACCESS,), plan=plan)


def _fingerprint(declared: Iterable[Contract]) -> str:
    """Which contracts exactly: SHA-256 over subjects and schemas."""
    schemas = {contract.subject: contract.schema for contract in declared}
    return hashlib.sha256(json.dumps(schemas, sort_keys=True).encode()).hexdigest()


@contracts.command()
def check() -> None:
    """Compare registry and topics with the contracts; change nothing. Exit code 1 on any difference."""
    with _rollout() as rollout:
        differences = rollout.check()
    for difference in differences:
        click.echo(difference)
    if differences:
        sys.exit(1)
    click.echo("registry and topics are as the contracts say")


@contracts.command("list")
def list_() -> None:
    """Name, topic, classification and meaning of every contract."""
    for contract in load_project().contracts():
        grade = contract.classification.value
        click.echo(f"{contract.name:<22} {contract.topic:<26} {grade:<10} {contract.schema['doc']}")


@contracts.command()
@click.argument("name", required=False)
@click.option(
    "--all", "everything", is_flag=True, help="Every contract as one page (docs/reference/contracts.md)."
)
@click.option("--avro", is_flag=True, help="The Avro schema as it is registered.")
def show(name: str | None, everything: bool, avro: bool) -> None:
    """Fields, meanings and examples of a contract, as Markdown. NAME is like finance.payment."""
    if everything == (name is not None) or (everything and avro):
        raise click.UsageError("give the NAME of one contract, or --all")
    if name is None:
        click.echo(render_all(load_project().contracts()), nl=False)
    elif avro:
        click.echo(json.dumps(load_project().contract(name).schema, ensure_ascii=False, indent=2))
    else:
        click.echo(render(load_project().contract(name)), nl=False)


@contracts.command()
@click.argument("name")
@click.option(
    "--invalid", is_flag=True, help="One that is refused; what is wrong with it goes to standard error."
)
def example(name: str, invalid: bool) -> None:
    """One record of the contract NAME as a line for `xiezhi publish NAME -`."""
    contract = load_project().contract(name)
    if not invalid:
        click.echo(_line(contract, valid_example(contract)))
        return
    broken = invalid_example(contract)
    click.echo(_line(contract, broken.record))
    click.echo(f"refused because of {broken.field}: {broken.reason}", err=True)


def _line(contract: Contract, record: dict[str, object]) -> str:
    published = contract not in BUS_CONTRACTS  # the bus's own records are written by its services only
    return json.dumps({**record, **_STATEMENT} if published else record, ensure_ascii=False)


@contextmanager
def _rollout() -> Iterator[Rollout]:
    settings, declared = Settings(), load_project().contracts()
    with ConfluentRegistry(settings.registry_url) as registry:
        topics = Topics(settings.bootstrap_servers)
        yield Rollout(declared, topic_plan(declared, settings), registry, topics)


COMMANDS: tuple[click.Command, ...] = (contracts,)
