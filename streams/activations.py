"""From an activation record to the rule that is active: which card, which parameters, which code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streams.cards import Card, code_hash
from streams.evaluation import ActiveRule
from streams.kernel import Join
from xiezhi.errors import ActivationMismatchError, BadRecordError


def activation_hash(card_json: str, code: str) -> str:
    """What an alert quotes: SHA-256 over the card (with its parameters) and the code of the rule."""
    return hashlib.sha256(f"{card_json}\x1f{code}".encode()).hexdigest()


def activate(activation: Mapping[str, Any], joins: Sequence[Join]) -> ActiveRule | str:
    """The active rule, or the id of a rule that is now off.

    Raises ActivationMismatchError when the code here is not the activated one: a worker must not answer with
    other code than the log says.
    """
    rule_id = activation["rule_id"]
    if not activation["enabled"]:
        return str(rule_id)
    rule = next((rule for join in joins for rule in join.rules if rule.id == rule_id), None)
    if rule is None or code_hash(rule_id) != activation["code_hash"]:
        raise ActivationMismatchError(
            f"rule {rule_id} was activated with other code than this worker has; install the activated version, "
            "or run `xiezhi rules apply` to activate this one"
        )
    card = Card.from_json(activation["card"])
    return ActiveRule(
        rule, card, activation_hash(activation["card"], activation["code_hash"]), card.parameters()
    )


def activator(
    decode: Callable[[str, bytes], Mapping[str, Any]], topic: str, joins: Sequence[Join]
) -> Callable[[bytes], ActiveRule | str]:
    """`activate` on the bytes of an activation. Activations come from our own clock: bad bytes stop the worker."""

    def from_bytes(value: bytes) -> ActiveRule | str:
        try:
            return activate(decode(topic, value), joins)
        except BadRecordError as error:
            raise ActivationMismatchError(f"an activation cannot be read: {error}") from error

    return from_bytes
