"""From an activation record to the rule that is active: which card, which parameters, which code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from streams.cards import Card, code_hash
from streams.evaluation import ActiveRule, Elsewhere
from streams.kernel import Join
from xiezhi.errors import ActivationMismatchError, BadRecordError, UnknownSchemaError


def activation_hash(card_json: str, code: str) -> str:
    """What an alert quotes: SHA-256 over the card (with its parameters) and the code of the rule."""
    return hashlib.sha256(f"{card_json}\x1f{code}".encode()).hexdigest()


def activate(activation: Mapping[str, Any], joins: Sequence[Join]) -> ActiveRule | Elsewhere | str:
    """The active rule, or the id of a rule that is now off, or `Elsewhere` when its code is not the code here."""
    rule_id = str(activation["rule_id"])
    if not activation["enabled"]:
        return rule_id
    rule = next((rule for join in joins for rule in join.rules if rule.id == rule_id), None)
    if rule is None or code_hash(rule_id) != activation["code_hash"]:
        return Elsewhere(rule_id)
    card = Card.from_json(activation["card"])
    return ActiveRule(
        rule, card, activation_hash(activation["card"], activation["code_hash"]), card.parameters()
    )


def require_code(activations: Iterable[Mapping[str, Any]], joins: Sequence[Join]) -> None:
    """Raises ActivationMismatchError unless the code here is that of every one of these activations."""
    for activation in activations:
        if isinstance(activate(activation, joins), Elsewhere):
            raise ActivationMismatchError(
                f"rule {activation['rule_id']} was activated with other code than this worker has; install the "
                "activated version, or run `xiezhi rules apply` to activate this one"
            )


def activator(
    decode: Callable[[str, bytes], Mapping[str, Any]],
    topic: str,
    joins: Sequence[Join],
    latest: Callable[[], Mapping[str, Mapping[str, Any]]],
) -> Callable[[bytes], ActiveRule | Elsewhere | str]:
    """`activate` on the bytes of an activation read from the fact topic.

    An activation with other code is history if `latest` (the last activation of each rule) has a newer one with the
    code here: until the log reaches that, the rule is held. Otherwise this worker must not go on:
    ActivationMismatchError. Bytes that cannot be read were activated by nobody: BadRecordError.
    """

    def from_bytes(value: bytes) -> ActiveRule | Elsewhere | str:
        try:
            activated = activate(decode(topic, value), joins)
        except UnknownSchemaError as error:
            raise BadRecordError("unknown_schema", str(error)) from error
        if isinstance(activated, Elsewhere):
            newest = latest().get(activated.rule_id)
            require_code([newest] if newest else [], joins)
        return activated

    return from_bytes
