"""P13: an official's, or registered kin's, interest in a bidder on the day of the decision."""

from __future__ import annotations

from typing import Any

import pytest

from streams.kernel import Outcome, Statement
from tests.builders import alerts, company, day, judge, person, with_parameters
from tests.records import BUYER, announced, appointed, bid, holds, kin, seated

SPOUSE = person("spouse")
OFFICIAL = person("official")


def procedure(seat: dict[str, Any] | None = None, **fields: Any) -> list[Statement]:
    """An official with a spouse on the panel; two bidders with owners of their own."""
    return [
        announced(**fields),
        bid("1", "a"),
        bid("2", "b"),
        holds("own-a", person("owner of a"), "a", 600),
        holds("own-b", person("owner of b"), "b", 600),
        seated("seat", "official", **(seat or {})),
        appointed("post", "official"),
        kin("kin", "official", "spouse"),
    ]


def reasons(records: list[Statement]) -> list[str]:
    return [one.content["reason"] for one in alerts(records, "P13")]


def said(records: list[Statement]) -> set[tuple[Outcome, str]]:
    return {(outcome, reason) for rule, outcome, reason in judge(records).outcomes if rule == "P13"}


@pytest.mark.parametrize(
    ("interests", "expected"),
    [
        ([], []),
        ([holds("x", SPOUSE, "a", 50)], ["interest_of_registered_relation"]),
        ([holds("x", SPOUSE, "a", 49)], []),
        ([holds("x", SPOUSE, "a", None)], ["interest_of_registered_relation"]),
        ([holds("x", SPOUSE, "a", None, interest="manager")], ["interest_of_registered_relation"]),
        ([holds("x", OFFICIAL, "a", None, interest="legal_representative")], ["own_interest"]),
        ([holds("x", OFFICIAL, "a"), holds("y", SPOUSE, "a")], ["own_interest"]),
        (
            [holds("x", OFFICIAL, "a"), holds("y", SPOUSE, "b")],
            ["own_interest", "interest_of_registered_relation"],
        ),
        # over a company between
        (
            [holds("x", SPOUSE, "holding", 800), holds("y", company("holding"), "a", 300)],
            ["interest_of_registered_relation"],
        ),
        # sold forty days before the decision of 8 April; sold on the day after it; bought after the bid
        ([holds("x", SPOUSE, "a", valid_to=day("2026-02-27"))], []),
        ([holds("x", SPOUSE, "a", valid_to=day("2026-04-08"))], []),
        ([holds("x", SPOUSE, "a", valid_to=day("2026-04-09"))], ["interest_of_registered_relation"]),
        ([holds("x", SPOUSE, "a", valid_from=day("2026-04-08"))], ["interest_of_registered_relation"]),
        ([holds("x", SPOUSE, "a", valid_from=day("2026-04-09"))], []),
        # of somebody else, in somebody who did not bid
        ([holds("x", person("stranger"), "a")], []),
        ([holds("x", SPOUSE, "c")], []),
    ],
)
def test_interests_on_the_day_of_the_decision(interests: list[Statement], expected: list[str]) -> None:
    assert reasons([*procedure(), *interests]) == expected


def test_recusal_and_lack_of_a_post_end_the_conflict() -> None:
    stake = holds("x", SPOUSE, "a")
    assert said([*procedure({"recused": True}), stake]) == {(Outcome.NOT_APPLICABLE, "all_recused")}
    without_post = [one for one in procedure() if one.record_id != "post"]
    assert said([*without_post, stake]) == {(Outcome.INSUFFICIENT_DATA, "appointment_missing")}


def test_an_alert_never_tells_who_the_relation_is_or_of_what_kind() -> None:
    alert = alerts([*procedure(), holds("x", SPOUSE, "a", None, interest="manager")], "P13")[0]
    assert alert.content["subject"] == {
        "procedure_id": "P-1",
        "bidder_id": company("a"),
        "person": OFFICIAL,
    }
    assert alert.content["handling"] == "sealed"
    assert alert.content["office"] == BUYER
    told = str(alert.content)
    assert SPOUSE not in told
    assert "spouse" not in told
    assert "manager" not in str(alert.content["explanation"])
    assert OFFICIAL not in str(alert.content["explanation"])
    assert next(one for one in alert.evidence if one.record_id == "kin").fields == ()
    assert {one.record_id for one in alert.evidence} == {"1", "x", "seat", "post", "kin"}


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [
        ((), (Outcome.CLEAR, "no_interest")),
        (("seat",), (Outcome.INSUFFICIENT_DATA, "panel_missing")),
        (("1", "2"), (Outcome.INSUFFICIENT_DATA, "bids_missing")),
        (("own-b",), (Outcome.INSUFFICIENT_DATA, "ownership_missing")),
        (("post",), (Outcome.INSUFFICIENT_DATA, "appointment_missing")),
    ],
)
def test_what_it_says_when_there_is_no_conflict(
    left_out: tuple[str, ...], expected: tuple[Outcome, str]
) -> None:
    assert said([one for one in procedure() if one.record_id not in left_out]) == {expected}


def test_a_cancelled_procedure_is_not_judged() -> None:
    records = [*procedure(status="cancelled"), holds("x", SPOUSE, "a")]
    assert said(records) == {(Outcome.NOT_APPLICABLE, "cancelled")}


@pytest.mark.parametrize(
    ("stake", "conflict"),
    [
        ({"share_permille": 299}, False),
        ({"share_permille": 300}, True),
        ({"share_permille": 100, "interest": "control"}, True),
        ({"share_permille": 0, "interest": "manager"}, True),
    ],
)
def test_only_shareholdings_are_measured(stake: dict[str, Any], conflict: bool) -> None:
    active = with_parameters("P13", share_permille_min=300)
    found = judge([*procedure(), holds("x", SPOUSE, "a", **stake)], active=active).alerts.values()
    assert any(one.owner == "P13" for one in found) is conflict


def test_two_seats_of_one_official_are_one_alert_told_by_the_first() -> None:
    later = seated("later", "official", "2026-04-20", role="approver", jurisdiction="330108000000")
    found = alerts([*procedure(), later, holds("x", SPOUSE, "a")], "P13")
    assert len(found) == 1
    assert "as evaluator on 2026-04-08" in found[0].content["explanation"]["en"]
    assert {"seat", "later"} <= {one.record_id for one in found[0].evidence}
