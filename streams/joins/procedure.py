"""One procurement procedure: notice, bids, awards and panel, with who stands behind bidders and panel members."""

from __future__ import annotations

from collections.abc import Iterable

from schemas import catalogue
from streams.kernel import Derivation, Input, Join, Rule, Value
from streams.rules import (
    p01_short_bid_window,
    p02_too_few_bidders,
    p12_linked_bidders,
    p13_official_conflict,
    violations,
)
from streams.rules.tenders import BIDDER_CONTROLLER, PANEL_INTEREST
from xiezhi.contracts.naming import RELATION


def by_procedure(value: Value) -> Iterable[str]:
    return [value["procedure_id"]]


def by_procedure_of_relation(value: Value) -> Iterable[str]:
    return [value["attributes"]["procedure_id"]]


JOIN = Join(
    name="procedure",
    inputs=(
        Input(catalogue.NOTICE.topic, by_procedure),
        Input(catalogue.BID.topic, by_procedure),
        Input(catalogue.AWARD.topic, by_procedure),
        Input(catalogue.PANEL.topic, by_procedure),
        Input(RELATION, by_procedure_of_relation, BIDDER_CONTROLLER),
        Input(RELATION, by_procedure_of_relation, PANEL_INTEREST),
    ),
    rules=(
        Rule("P01", p01_short_bid_window.evaluate),
        Rule("P02", p02_too_few_bidders.evaluate),
        Rule("P12", p12_linked_bidders.evaluate),
        Rule("P13", p13_official_conflict.evaluate),
    ),
    derivations=(Derivation("procedure-violation", violations.KIND, violations.derive),),
)
