"""Relations that carry controllers and panel members' interests to the procedures."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import company, day, instant, person, relations
from tests.records import appointed, bid, holds, kin, seated

OWNER = person("owner")


@pytest.mark.parametrize(
    ("interval", "carried"),
    [
        ({}, True),
        ({"valid_to": day("2026-03-30")}, False),  # sold before the day of the bid
        ({"valid_to": day("2026-03-31")}, True),
        ({"valid_from": day("2026-06-01")}, True),  # bought later: the decision may come later still
    ],
)
def test_controllers_from_the_bid_on_are_carried(interval: dict[str, int], carried: bool) -> None:
    records = [bid("1", "a", "2026-03-30"), holds("h", OWNER, "a", 400, **interval)]
    assert bool(relations(records, "bidder_controller")) is carried


def test_a_relation_names_bid_bidder_and_chain() -> None:
    records = [
        bid("1", "b", "2026-03-30"),
        holds("h", OWNER, "a", 400),
        holds("i", company("a"), "b", 700),
        bid("2", "b", "2026-03-30", status="withdrawn"),
    ]
    direct, indirect = relations(records, "bidder_controller")
    assert (direct["attributes"]["controller"], direct["depth"]) == (company("a"), 1)
    assert indirect["depth"] == 2
    assert indirect["attributes"] == {
        "procedure_id": "P-1",
        "bid_id": "1",
        "bidder_id": company("b"),
        "controller": OWNER,
        "interest": "ownership",
        "share_permille": "400",
    }


def test_a_bid_without_a_date_is_dated_by_its_record() -> None:
    records = [
        bid("1", "a", "2026-03-30", submitted_at=None),
        holds("h", OWNER, "a", valid_to=day("2026-03-30")),
    ]
    assert relations(records, "bidder_controller") == []


def interests(*records: Any) -> list[tuple[str, str]]:
    names = {person(name): name for name in ("official", "spouse", "mother", "son", "sister")}
    told = [one["attributes"] for one in relations(records, "panel_interest")]
    assert all(one["official"] == person("official") for one in told)
    return sorted((names[one["party"]], one["relation"]) for one in told)


def test_a_serving_official_and_all_registered_kin_are_carried() -> None:
    assert interests(
        seated("s", "official"),
        appointed("h", "official"),
        kin("1", "spouse", "official"),
        kin("2", "mother", "official", "parent"),
        kin("3", "official", "son", "parent"),
        kin("4", "official", "sister", "sibling"),
    ) == [
        ("mother", "parent"),
        ("official", "self"),
        ("sister", "sibling"),
        ("son", "child"),
        ("spouse", "spouse"),
    ]


@pytest.mark.parametrize(
    ("seat", "post", "kinship", "expected"),
    [
        ({"recused": True}, {}, {}, []),
        ({}, {"valid_to": day("2026-04-08")}, {}, []),
        ({}, {"valid_to": day("2026-04-09")}, {}, ["official", "spouse"]),
        ({}, {"valid_from": day("2026-04-09")}, {}, []),
        ({}, {}, {"valid_to": day("2026-04-08")}, ["official"]),  # divorced by then
        ({}, {}, {"valid_from": day("2026-04-08")}, ["official", "spouse"]),
        ({"decided_at": None, "occurred": "2026-05-01"}, {"valid_to": day("2026-05-01")}, {}, []),
    ],
)
def test_seat_post_and_kinship_must_hold_on_the_day_of_the_decision(
    seat: dict[str, Any], post: dict[str, Any], kinship: dict[str, Any], expected: list[str]
) -> None:
    records = [
        seated("s", "official", **seat),
        appointed("h", "official", **post),
        kin("1", "official", "spouse", **kinship),
    ]
    assert [name for name, _ in interests(*records)] == expected


def test_outside_experts_are_no_officials() -> None:
    assert interests(seated("s", "official"), kin("1", "official", "spouse")) == []


def test_the_decision_is_dated_by_the_seat() -> None:
    told = relations([seated("s", "official", "2026-04-08"), appointed("h", "official")], "panel_interest")
    assert told[0]["attributes"]["decided_ms"] == str(instant("2026-04-08"))
