"""`xiezhi rules`: what is active, activating a pack, removing a rule, and which rules lack data."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterable, Mapping
from typing import Any

import click

from schemas.catalogue import CONTRACTS
from streams import history
from streams.calendars import read_site_days
from streams.cards import Card, code_hash, load_pack, switched_off
from streams.joins import JOINS
from streams.kernel import Outcome
from streams.rule_reference import render, render_all
from xiezhi.access import Act, record_access
from xiezhi.cli.terminal import table
from xiezhi.codec import Codec
from xiezhi.contracts.activation import Activation
from xiezhi.contracts.bus import ACTIVATION
from xiezhi.errors import ConfigurationError
from xiezhi.log import LogReader
from xiezhi.publish import Publisher
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings
from xiezhi.wall_clock import now_ms

SOURCE = "urn:xiezhi:rules"
JURISDICTION_ALL = "000000000000"
PACKS = ("generic", "cn")


@click.group(short_help="Supervision rules: list, show, activate, readiness. 监督规则")
def rules() -> None:
    """Supervision rules: list them, activate a pack, see which lack data. 监督规则"""


@rules.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per rule.")
def list_rules(as_json: bool) -> None:
    """Rules that are or were active, with pack and version."""
    for rule_id, activation in sorted(_active(Settings()).items()):
        card = Card.from_json(activation["card"])
        if as_json:
            shown = {**activation, "title": {"zh": card.title.zh, "en": card.title.en}}
            click.echo(json.dumps(shown, ensure_ascii=False))
        else:
            state = "on " if activation["enabled"] else "off"
            version = f"v{activation['rule_version']}"
            click.echo(
                f"{rule_id:5} {state} {version:4} {activation['pack']:8} {card.severity:7} "
                f"{card.title.zh} / {card.title.en}"
            )


@rules.command("show")
@click.argument("rule_id", required=False)
@click.option("--all", "everything", is_flag=True, help="All rules, as docs/reference/rules.md.")
def show_rules(rule_id: str | None, everything: bool) -> None:
    """What a rule looks at, answers and can be told, in the packs of this machine. 规则说明"""
    site = read_site_days(Settings().working_days)
    packs = {name: load_pack(name, site) for name in PACKS}
    if everything:
        click.echo(render_all(JOINS, packs), nl=False)
        return
    known = [card.id for card in packs[PACKS[0]]]
    if rule_id not in known:
        raise click.UsageError(f"name one of {', '.join(known)}, or --all")
    click.echo(render(rule_id, JOINS, packs), nl=False)


@rules.command("apply")
@click.option("--pack", default="cn", show_default=True, help="Rule pack: generic, or cn on top of it.")
@click.option(
    "--reason", "--purpose", "reason", default="", help="Why, for the activation and for the access trail."
)
@click.option("--actor", default=getpass.getuser, help="Who, for the record. Default: the login name.")
def apply_rules(pack: str, reason: str, actor: str) -> None:
    """Activate every rule of a pack as it is on this machine; switch off the rules it does not have.

    Only what differs from the last activation is published, so that applying twice changes nothing.
    """
    settings = Settings()
    activate_pack(settings, pack, reason=reason, actor=actor)


def activate_pack(settings: Settings, pack: str, *, reason: str, actor: str) -> None:
    """Put into the log what differs between a pack as it is on this machine and the rules in force."""
    cards = {card.id: card for card in load_pack(pack, read_site_days(settings.working_days))}
    held = _active(settings)
    moment = now_ms()
    wanted = [_activation(card, pack, actor, reason, moment) for card in cards.values()]
    changed = [one for one in wanted if _differs(one, held.get(one.rule_id))]
    off = switched_off(pack)
    for rule_id, activation in held.items():
        if rule_id not in cards and activation["enabled"]:
            changed.append(_off(activation, actor, off.get(rule_id) or reason, moment))
    if changed:
        _publish(settings, changed, "rules apply", reason)
    click.echo(f"{len(changed)} rules changed, {len(wanted)} in pack {pack}")


@rules.command("remove")
@click.argument("rule_id")
@click.option("--why", required=True, help="What its withdrawals and the activation give as reason.")
@click.option("--actor", default=getpass.getuser, help="Who, for the record. Default: the login name.")
def remove_rule(rule_id: str, why: str, actor: str) -> None:
    """Switch a rule off: its standing alerts are withdrawn, and say why. 停用规则

    Its code need not be on this machine. Applying a pack that has the rule activates it again; a pack leaves it out
    with `removed: {RULE_ID: why}`.
    """
    settings = Settings()
    held = _active(settings).get(rule_id)
    if held is None:
        raise click.UsageError(f"no rule {rule_id!r} was ever active; see `xiezhi rules list`")
    if not held["enabled"]:
        click.echo(f"{rule_id} is off already")
        return
    _publish(settings, [_off(held, actor, why, now_ms())], "rules remove", why)


def _publish(settings: Settings, changed: list[Activation], command: str, reason: str) -> None:
    """Note the act on the access trail, then put the activations into the log, and say which."""
    record_access(
        settings, Act("change", "rule", tuple(one.rule_id for one in changed), command), purpose=reason
    )
    with Publisher(settings, source=SOURCE) as publisher:
        for one in changed:
            moment = one.activated_ms
            publisher.publish(
                ACTIVATION, one, occurred_ms=moment, version=moment, jurisdiction=JURISDICTION_ALL
            )
    for one in changed:
        click.echo(f"{'activated' if one.enabled else 'switched off'} {one.rule_id} v{one.rule_version}")


@rules.command("readiness")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per rule and reason.")
def readiness(as_json: bool) -> None:
    """Outcomes of every rule over the whole log, with reasons: which rules lack which records. 就绪情况"""
    settings = Settings()
    active = (rule_id for rule_id, activation in _active(settings).items() if activation["enabled"])
    outcomes = with_silent_rules(history.oracle(settings, CONTRACTS).outcomes, active)
    for line in _as_objects(outcomes) if as_json else _as_table(outcomes):
        click.echo(line)


_Counted = tuple[tuple[str, Outcome, str], int]  # (rule or derivation, outcome, reason), views


def with_silent_rules(
    outcomes: Mapping[tuple[str, Outcome, str], int], active: Iterable[str]
) -> list[_Counted]:
    """Outcomes in order, and a row for every active rule that nobody published the records for.

    It looked at nothing, or only at what it does not apply to: benefits where no death was ever registered, say.
    """
    looked = {rule for rule, _, _ in outcomes}
    spoke = {rule for rule, outcome, _ in outcomes if outcome is not Outcome.NOT_APPLICABLE}
    silent = {
        (rule, Outcome.INSUFFICIENT_DATA, "nothing_it_applies_to" if rule in looked else "no_records"): 0
        for rule in set(active) - spoke
    }
    return sorted({**outcomes, **silent}.items())


def _as_objects(outcomes: Iterable[_Counted]) -> list[str]:
    return [
        json.dumps({"rule": rule, "outcome": outcome, "reason": reason, "views": views})
        for (rule, outcome, reason), views in outcomes
    ]


def _as_table(outcomes: Iterable[_Counted]) -> list[str]:
    rows = ((rule, outcome.value, reason, str(views)) for (rule, outcome, reason), views in outcomes)
    return table(("rule", "outcome", "reason", "views"), rows)


def _active(settings: Settings) -> Mapping[str, Mapping[str, Any]]:
    with LogReader(settings.bootstrap_servers) as log:
        return history.activations(log, Codec(ConfluentRegistry(settings.registry_url)))


def pack_in_force(settings: Settings) -> str:
    """The pack of the newest activation. Raises ConfigurationError when there is none."""
    enabled = [one for one in _active(settings).values() if one["enabled"]]
    if not enabled:
        raise ConfigurationError(
            "no rule is active, so that no pack is in force; name one, or `xiezhi rules apply` it"
        )
    return str(max(enabled, key=lambda one: int(one["activated_ms"]))["pack"])


def _activation(card: Card, pack: str, actor: str, reason: str, moment_ms: int) -> Activation:
    return Activation(
        record_id=card.id,
        rule_id=card.id,
        rule_version=card.version,
        enabled=True,
        pack=pack,
        card=card.canonical_json(),
        code_hash=code_hash(card.id),
        actor=actor,
        reason=reason,
        activated_ms=moment_ms,
    )


def _off(held: Mapping[str, Any], actor: str, reason: str, moment_ms: int) -> Activation:
    """The rule of an activation, no longer speaking."""
    return Activation(
        **{**held, "enabled": False, "actor": actor, "reason": reason, "activated_ms": moment_ms}
    )


def _differs(wanted: Activation, held: Mapping[str, Any] | None) -> bool:
    if held is None:
        return True
    return any(getattr(wanted, name) != held[name] for name in ("enabled", "card", "code_hash"))


COMMANDS: tuple[click.Command, ...] = (rules,)
