"""An activation names card and code; a worker with other code must not answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from streams.activations import activate, activation_hash, activator, require_code
from streams.cards import code_hash, load_pack
from streams.evaluation import ActiveRule, Elsewhere
from streams.joins import JOINS
from xiezhi.codec import Codec
from xiezhi.contracts.bus import ACTIVATION
from xiezhi.errors import EXIT_WILL_NOT_HELP_TO_RESTART, ActivationMismatchError, BadRecordError
from xiezhi.registry import InMemoryRegistry

RULE = "C03"


def activation(**changes: Any) -> dict[str, Any]:
    card = next(card for card in load_pack("generic") if card.id == RULE)
    return {
        "record_id": RULE,
        "rule_id": RULE,
        "rule_version": card.version,
        "enabled": True,
        "pack": "generic",
        "card": card.canonical_json(),
        "code_hash": code_hash(RULE),
        "actor": "test",
        "reason": "",
        "activated_ms": 1,
        **changes,
    }


def test_an_activation_of_this_code_gives_the_rule_with_its_card_and_parameters() -> None:
    active = activate(activation(), JOINS)
    assert isinstance(active, ActiveRule)
    assert active.rule.id == active.card.id == RULE
    assert active.activation == activation_hash(activation()["card"], code_hash(RULE))
    for name in active.card.parameters_of:
        active.parameters.at(name)


def test_switching_a_rule_off_needs_neither_card_nor_code() -> None:
    off = activation(enabled=False, card="", code_hash="f" * 64, rule_id="rule that is no more")
    assert activate(off, JOINS) == "rule that is no more"


ELSEWHERE = [{"code_hash": "f" * 64}, {"rule_id": "Z99"}]


@pytest.mark.parametrize("changes", ELSEWHERE)
def test_a_rule_with_other_code_than_here_is_elsewhere(changes: dict[str, Any]) -> None:
    other = activation(**changes)
    assert activate(other, JOINS) == Elsewhere(other["rule_id"])
    require_code([activation()], JOINS)
    with pytest.raises(ActivationMismatchError, match="xiezhi rules apply") as caught:
        require_code([activation(), other], JOINS)
    assert caught.value.exit_code == EXIT_WILL_NOT_HELP_TO_RESTART


def test_another_card_or_other_code_is_another_activation() -> None:
    assert len({activation_hash("{}", "a"), activation_hash("{}", "b"), activation_hash("[]", "a")}) == 3


def from_log(*latest: dict[str, Any]) -> Callable[[dict[str, Any]], ActiveRule | Elsewhere | str]:
    """`activator` on the fact topic while the activation topic ends with `latest`."""
    codec = _codec()
    known = {one["rule_id"]: one for one in latest}
    from_bytes = activator(codec.decode_as, ACTIVATION.topic, JOINS, lambda: known)
    return lambda value: from_bytes(codec.encode(ACTIVATION.subject, value))


def test_an_activation_is_read_from_its_bytes() -> None:
    assert isinstance(from_log(activation())(activation()), ActiveRule)


@pytest.mark.parametrize("changes", ELSEWHERE)
def test_other_code_than_the_activated_one_stops_the_worker(changes: dict[str, Any]) -> None:
    other = activation(**changes)
    with pytest.raises(ActivationMismatchError):
        from_log(other)(other)


def test_an_activation_that_a_newer_one_with_this_code_follows_is_history() -> None:
    old = activation(code_hash="f" * 64)
    assert from_log(activation())(old) == Elsewhere(RULE)
    assert from_log(activation(enabled=False))(old) == Elsewhere(RULE)
    with pytest.raises(ActivationMismatchError):
        from_log(activation(code_hash="e" * 64))(old)


@pytest.mark.parametrize(
    "value", [b"", b"\x00\x00\x00\x00\x01", b"\x00\x00\x00\x00\xff", b"\x09\x00\x00\x00\x01"]
)
def test_an_activation_that_cannot_be_read_is_a_bad_record(value: bytes) -> None:
    """Whoever may write to the fact topic could stop every judge for good with it otherwise."""
    from_bytes = activator(_codec().decode_as, ACTIVATION.topic, JOINS, dict)
    with pytest.raises(BadRecordError):
        from_bytes(value)


def _codec() -> Codec:
    registry = InMemoryRegistry()
    registry.register(ACTIVATION.subject, json.dumps(ACTIVATION.schema))
    return Codec(registry)
