"""P12: linked bidders, through relations of any depth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from streams.kernel import Outcome, Parameters, Statement
from tests.builders import active_rules, alerts, company, day, instant, judge, person, with_parameters
from tests.records import BUYER, announced, bid, holds

TOP = person("top")


def procedure(**fields: Any) -> list[Statement]:
    """Two bidders of which each has an owner of its own."""
    return [
        announced(**fields),
        bid("1", "a"),
        bid("2", "b"),
        holds("own-a", person("owner of a"), "a", 600),
        holds("own-b", person("owner of b"), "b", 600),
    ]


def represents(record_id: str, name: str, target: str, **fields: Any) -> Statement:
    return holds(record_id, person(name), target, None, interest="legal_representative", **fields)


def reasons(records: list[Statement]) -> list[str]:
    return [one.content["reason"] for one in alerts(records, "P12")]


def said(records: list[Statement]) -> set[tuple[Outcome, str]]:
    return {(outcome, reason) for rule, outcome, reason in judge(records).outcomes if rule == "P12"}


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ([], []),
        ([holds("x", company("a"), "b", 250)], ["one_controls_the_other"]),
        ([holds("x", company("b"), "a", 250)], ["one_controls_the_other"]),
        ([holds("x", company("a"), "b", 249)], []),
        ([holds("x", TOP, "a", 250), holds("y", TOP, "b", 400)], ["common_controller"]),
        ([holds("x", TOP, "a", 249), holds("y", TOP, "b", 400)], []),
        (
            [holds("x", TOP, "a", 300), holds("y", TOP, "b", None, interest="control")],
            ["common_controller"],
        ),
        # over several companies
        (
            [
                holds("x", TOP, "holding", 1000),
                holds("y", company("holding"), "sub", 800),
                holds("z", company("sub"), "a", 700),
                holds("w", TOP, "b", 300),
            ],
            ["common_controller"],
        ),
        # a chain that is too weak in one place
        (
            [holds("x", TOP, "holding", 200), holds("y", company("holding"), "a"), holds("w", TOP, "b")],
            [],
        ),
        # sold before the bid, bought after it
        ([holds("x", TOP, "a", valid_to=day("2026-03-30")), holds("y", TOP, "b")], []),
        ([holds("x", TOP, "a", valid_from=day("2026-03-31")), holds("y", TOP, "b")], []),
        ([holds("x", TOP, "a", valid_from=day("2026-03-30")), holds("y", TOP, "b")], ["common_controller"]),
        ([represents("x", "r", "a"), represents("y", "r", "b")], ["common_legal_representative"]),
        ([represents("x", "r", "a"), represents("y", "r", "b", valid_to=day("2026-03-01"))], []),
        # a representative here who is an owner there does not link by itself, nor does a common manager
        ([represents("x", "r", "a"), holds("y", person("r"), "b")], []),
        (
            [
                holds("x", TOP, "a", None, interest="manager"),
                holds("y", TOP, "b", None, interest="manager"),
            ],
            [],
        ),
        # several links between two bidders are one alert, told by the strongest
        (
            [
                represents("x", "r", "a"),
                represents("y", "r", "b"),
                holds("z", TOP, "a", 300),
                holds("w", TOP, "b", 300),
                holds("v", company("a"), "b", 300),
            ],
            ["one_controls_the_other"],
        ),
    ],
)
def test_two_bidders(links: list[Statement], expected: list[str]) -> None:
    assert reasons([*procedure(), *links]) == expected


def test_an_alert_names_the_pair_in_order_the_strength_and_all_records_behind_it() -> None:
    records = [
        *procedure(),
        holds("x", TOP, "holding", 900),
        holds("y", company("holding"), "a", 300),
        holds("z", TOP, "b", 700),
    ]
    alert = alerts(records, "P12")[0]
    assert alert.content["subject"] == {
        "procedure_id": "P-1",
        "bidder_a": company("a"),
        "bidder_b": company("b"),
    }
    assert alert.content["office"] == BUYER
    assert [one.record_id for one in alert.evidence] == ["x", "y", "z", "1", "2"]
    assert "30%" in alert.content["explanation"]["en"]
    assert TOP not in str(alert.content)


def test_three_bidders_of_one_owner_are_three_pairs() -> None:
    bids = [bid("1", "a"), bid("2", "b"), bid("3", "c")]
    assert len(alerts([*bids, *(holds(name, TOP, name) for name in "abc")], "P12")) == 3


@pytest.mark.parametrize(
    ("lots", "linked"), [(("1", "2"), False), (("1", "1"), True), (("1", None), True), ((None, "2"), True)]
)
def test_only_bids_for_the_same_lot_are_compared(lots: tuple[str | None, str | None], linked: bool) -> None:
    bids = [bid("1", "a", lot_id=lots[0]), bid("2", "b", lot_id=lots[1])]
    assert bool(alerts([*bids, holds("x", TOP, "a"), holds("y", TOP, "b")], "P12")) is linked


def test_a_withdrawn_bid_links_nobody() -> None:
    records = [
        bid("1", "a"),
        bid("2", "b", status="withdrawn"),
        holds("x", TOP, "a"),
        holds("y", TOP, "b"),
    ]
    assert said(records) == {(Outcome.NOT_APPLICABLE, "one_bidder")}


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (procedure(), (Outcome.CLEAR, "no_link")),
        (procedure(status="cancelled"), (Outcome.NOT_APPLICABLE, "cancelled")),
        ([announced()], (Outcome.INSUFFICIENT_DATA, "bids_missing")),
        (procedure()[:-1], (Outcome.INSUFFICIENT_DATA, "ownership_missing")),
        ([*procedure(), holds("x", TOP, "a", None)], (Outcome.INSUFFICIENT_DATA, "share_not_stated")),
    ],
)
def test_what_it_says_when_there_is_no_pair(records: list[Statement], expected: tuple[Outcome, str]) -> None:
    assert said(records) == {expected}


def test_a_register_that_links_everybody_is_not_believed() -> None:
    names = [f"n{number}" for number in range(33)]
    records = [bid(name, name) for name in names] + [holds(f"h-{name}", TOP, name) for name in names]
    assert said(records) == {(Outcome.INSUFFICIENT_DATA, "too_many_to_judge")}


def test_parties_left_aside_link_nobody() -> None:
    records = [*procedure(), holds("x", TOP, "a"), holds("y", TOP, "b")]
    assert reasons(records) == ["common_controller"]
    aside = with_parameters("P12", share_permille_min=250, controllers_left_aside=[TOP])
    assert [one for one in judge(records, active=aside).alerts.values() if one.owner == "P12"] == []


def test_a_pair_is_dated_by_the_later_bid_and_told_by_the_longer_chain() -> None:
    records = [
        bid("1", "a", "2026-03-20", jurisdiction="330108000000"),
        bid("2", "b", "2026-03-10"),
        holds("x", TOP, "holding"),
        holds("y", company("holding"), "a", 300),
        holds("z", TOP, "b"),
    ]
    alert = alerts(records, "P12")[0]
    assert alert.content["jurisdiction"] == "330108000000"
    assert "(steps: at most 2, smallest share 30%, on 2026-03-20)" in alert.content["explanation"]["en"]


def test_the_law_of_the_last_bid_s_day_and_place_counts() -> None:
    strict = {"value": 250, "from_ms": instant("2026-03-25")}
    parameters = Parameters(
        {"share_permille_min": [{"value": 600}, strict], "controllers_left_aside": [{"value": []}]}
    )
    rules = active_rules()
    active = {**rules, "P12": replace(rules["P12"], parameters=parameters)}
    records = [holds("x", TOP, "a", 300), holds("y", TOP, "b", 300), bid("1", "a", "2026-03-20")]
    for on, expected in (("2026-03-24", 0), ("2026-03-25", 1)):
        found = judge([*records, bid("2", "b", on)], active=active).alerts.values()
        assert len([one for one in found if one.owner == "P12"]) == expected
