"""OCDS releases as tendering records: what is published, left aside and refused, by small releases of our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.importing.outcomes import Imported, LeftAside, Outcome, Refused, Tally
from producers.ocds.reader import read_ocds

DATE = "2021-03-01T10:00:00Z"
DATE_MS = 1_614_592_800_000


def party(name: str, number: str | None = None, scheme: str = "GB-COH") -> dict[str, Any]:
    return (
        {"id": name, "identifier": {"scheme": scheme, "id": number}}
        if number
        else {"id": name, "name": "A Ltd"}
    )


def release(**sections: Any) -> dict[str, Any]:
    """A release of three parties; `sections` replace or add."""
    parties = [party("b", "E1", "GB-LAE"), party("s1", "1111111"), party("s2", "22222222"), party("s3")]
    return {"ocid": "ocds-x-1", "id": "r1", "date": DATE, "tag": ["tender"], "parties": parties, **sections}


def refer(*parties: str) -> list[dict[str, str]]:
    return [{"id": name} for name in parties]


TENDER = {
    "id": "t",
    "title": "Road repair",
    "status": "active",
    "procurementMethod": "open",
    "tenderPeriod": {"startDate": "2021-03-01T00:00:00+08:00", "endDate": "2021-03-20T00:00:00+08:00"},
    "value": {"amount": 12.34, "currency": "GBP"},
    "tenderers": refer("s1", "s2"),
}


class Import:
    """Outcomes of one file, by kind."""

    def __init__(self, path: Path, content: Any) -> None:
        path.write_text(json.dumps(content), "utf-8")
        self.outcomes: list[Outcome] = [outcome for _, outcome in read_ocds(str(path))]
        self.tally = Tally()
        for outcome in self.outcomes:
            self.tally.count(outcome)

    def records(self, contract: str) -> list[dict[str, Any]]:
        return [
            outcome.record.model_dump()
            for outcome in self.outcomes
            if isinstance(outcome, Imported) and outcome.contract.name == contract
        ]

    @property
    def left_aside(self) -> list[str]:
        return [outcome.reason for outcome in self.outcomes if isinstance(outcome, LeftAside)]

    @property
    def refused(self) -> list[Refused]:
        return [outcome for outcome in self.outcomes if isinstance(outcome, Refused)]


@pytest.fixture
def imported(tmp_path: Path) -> Any:
    return lambda content: Import(tmp_path / "releases.json", content)


def test_a_tender_becomes_a_notice_and_one_bid_per_tenderer(imported: Any) -> None:
    done = imported(release(buyer={"id": "b"}, tender=TENDER))
    (notice,) = done.records("tender.notice")
    assert notice == {
        "record_id": "ocds-x-1",
        "procedure_id": "ocds-x-1",
        "buyer_id": "GB-LAE-E1",
        "title": "Road repair",
        "method": "open",
        "status": "active",
        "published_at": 1_614_528_000_000,
        "bid_deadline": 1_616_169_600_000,
        "bids_opened_at": None,
        "value_minor": 1234,
        "currency": "GBP",
        "project_id": None,
    }
    bids = done.records("tender.bid")
    assert [bid["bidder_id"] for bid in bids] == ["GB-COH-01111111", "GB-COH-22222222"]
    assert {(bid["status"], bid["amount_minor"]) for bid in bids} == {("submitted", None)}
    assert all(
        (outcome.version, outcome.occurred_ms) == (DATE_MS, DATE_MS)
        for outcome in done.outcomes
        if isinstance(outcome, Imported)
    )


def test_the_release_date_is_never_taken_for_the_publication_of_the_notice(imported: Any) -> None:
    done = imported(release(buyer={"id": "b"}, tender=TENDER | {"tenderPeriod": {"endDate": DATE}}))
    assert done.records("tender.notice")[0]["published_at"] is None


def test_a_tenderer_without_identifier_is_counted_as_bidder_but_equals_nobody_elsewhere(
    imported: Any,
) -> None:
    tender = TENDER | {"tenderers": refer("s1", "s3")}
    first = imported([release(tender=tender), release(tender=tender, ocid="ocds-x-2")])
    anonymous = [
        bid["bidder_id"] for bid in first.records("tender.bid") if bid["bidder_id"].startswith("XX-OCDS-")
    ]
    assert len(set(anonymous)) == 2
    assert first.tally.remarks["party without official identifier: known inside its procedure only"] == 2


def test_a_tenderer_named_twice_bids_once(imported: Any) -> None:
    parties = [party("a", "01111111"), party("b", "1111111")]
    done = imported(release(parties=parties, tender=TENDER | {"tenderers": refer("a", "b")}))
    assert len(done.records("tender.bid")) == 1
    assert "tenderer named twice" in done.left_aside


def test_two_organisations_under_one_party_id_are_not_taken_for_either(imported: Any) -> None:
    parties = [party("a", "01111111"), party("a", "22222222")]
    done = imported(release(parties=parties, tender=TENDER | {"tenderers": refer("a")}))
    assert [refused.field for refused in done.refused] == ["parties.1.id"]
    assert done.records("tender.bid")[0]["bidder_id"].startswith("XX-OCDS-")


@pytest.mark.parametrize(
    ("missing", "reason"),
    [("procurementMethod", "tender without procurementMethod"), ("status", "tender without status")],
)
def test_a_notice_that_says_too_little_is_left_aside_and_its_bids_are_not(
    imported: Any, missing: str, reason: str
) -> None:
    done = imported(release(buyer={"id": "b"}, tender=TENDER | {missing: None}))
    assert reason in done.left_aside
    assert len(done.records("tender.bid")) == 2


def test_the_procuring_entity_stands_in_for_a_buyer(imported: Any) -> None:
    done = imported(release(tender=TENDER | {"procuringEntity": {"id": "b"}}))
    assert done.records("tender.notice")[0]["buyer_id"] == "GB-LAE-E1"
    assert "tender without buyer" in imported(release(tender=TENDER)).left_aside


def bid(**fields: Any) -> dict[str, Any]:
    return {"id": "1", "status": "valid", "tenderers": refer("s1"), "date": DATE} | fields


def test_bids_say_more_than_tenderers_and_do_not_hide_those_who_have_none(imported: Any) -> None:
    details = [bid(value={"amount": 100, "currency": "JPY"})]
    done = imported(release(tender=TENDER, bids={"details": details, "statistics": [{"id": "1"}]}))
    detailed, only_named = done.records("tender.bid")
    assert (detailed["status"], detailed["amount_minor"], detailed["submitted_at"]) == ("valid", 100, DATE_MS)
    assert (only_named["bidder_id"], only_named["amount_minor"]) == ("GB-COH-22222222", None)
    assert "section bids.statistics" in done.left_aside


@pytest.mark.parametrize(
    ("said", "status"),
    [("pending", "submitted"), ("disqualified", "rejected"), ("withdrawn", "withdrawn"), (None, "submitted")],
)
def test_bid_statuses_are_translated(imported: Any, said: str | None, status: str) -> None:
    done = imported(release(bids={"details": [bid(status=said)]}))
    assert done.records("tender.bid")[0]["status"] == status


def test_an_invitation_is_no_bid(imported: Any) -> None:
    done = imported(release(bids={"details": [bid(status="invited")]}))
    assert done.records("tender.bid") == []
    assert done.left_aside[0] == "invitation without bid"


def test_partners_of_a_joint_bid_are_not_made_rivals(imported: Any) -> None:
    details = [bid(tenderers=refer("s1", "s2"))]
    done = imported(release(bids={"details": details}, tender=TENDER))
    assert [each["bidder_id"] for each in done.records("tender.bid")] == ["GB-COH-01111111"]
    assert "further tenderer of a joint bid" in done.left_aside


def test_a_bid_over_several_lots_stands_in_each_without_its_amount(imported: Any) -> None:
    details = [bid(relatedLots=["L1", 2], value={"amount": 5, "currency": "GBP"})]
    done = imported(release(bids={"details": details}))
    assert [(each["lot_id"], each["amount_minor"]) for each in done.records("tender.bid")] == [
        ("L1", None),
        ("2", None),
    ]
    assert len({each["record_id"] for each in done.records("tender.bid")}) == 2
    assert "amount of a bid over several lots" in done.left_aside


AWARD = {"id": "a1", "status": "active", "suppliers": refer("s1"), "value": {"amount": 9, "currency": "GBP"}}


def test_a_contract_takes_suppliers_from_its_award(imported: Any) -> None:
    contract = {
        "id": "c1",
        "awardID": "a1",
        "status": "active",
        "dateSigned": DATE,
        "period": {"endDate": DATE},
        "value": {"amount": 10, "currency": "GBP"},
    }
    planning = {"budget": {"projectID": "P7"}}
    done = imported(release(buyer={"id": "b"}, awards=[AWARD], contracts=[contract], planning=planning))
    (award,), (signed,) = done.records("tender.award"), done.records("tender.contract")
    assert (award["record_id"], award["supplier_ids"], award["amount_minor"]) == (
        "ocds-x-1:award:a1",
        ["GB-COH-01111111"],
        900,
    )
    assert (signed["contract_id"], signed["supplier_ids"]) == ("ocds-x-1:contract:c1", ["GB-COH-01111111"])
    assert (signed["project_id"], signed["amount_minor"]) == ("P7", 1000)
    assert (signed["signed_at"], signed["starts_at"], signed["ends_at"]) == (DATE_MS, None, DATE_MS)


def test_a_contract_whose_award_is_elsewhere_is_left_aside_with_its_amendments_kept(imported: Any) -> None:
    contract = {"id": "c1", "awardID": "a9", "status": "active", "amendments": [{"id": "1", "date": DATE}]}
    done = imported(release(buyer={"id": "b"}, awards=[AWARD], contracts=[contract]))
    assert done.records("tender.contract") == []
    assert "contract without suppliers: its award is absent" in done.left_aside
    assert [each["changes"] for each in done.records("tender.amendment")] == [[]]


def test_the_value_in_force_is_told_of_the_last_change_of_value_only(imported: Any) -> None:
    def amendment(number: int, *properties: str) -> dict[str, Any]:
        changes = [{"property": each} for each in properties]
        return {"id": number, "date": f"2021-0{number}-01T00:00:00Z", "changes": changes}

    contract = {
        "id": "c1",
        "value": {"amount": 7, "currency": "GBP"},
        "amendments": [
            amendment(1, "value.amount"),
            amendment(2, "value", "period/endDate"),
            amendment(3, "items"),
        ],
    }
    done = imported(release(contracts=[contract]))
    assert [(each["changes"], each["amount_minor_after"]) for each in done.records("tender.amendment")] == [
        (["value"], None),
        (["term", "value"], 700),
        (["scope"], None),
    ]


def test_what_no_contract_has_a_place_for_is_counted_by_its_section(imported: Any) -> None:
    done = imported(
        release(
            planning={"rationale": "x"},
            relatedProcesses=[{"id": "1"}],
            local={"x": 1},
            tender=TENDER | {"items": [{}], "documents": [{}], "lots": []},
            awards=[AWARD | {"documents": [{}]}, AWARD | {"id": "a2", "documents": [{}]}],
        )
    )
    assert done.left_aside == [
        "tender without buyer",
        "section planning, except its project",
        "section relatedProcesses",
        "sections that OCDS 1.1 does not know",
        "section tender.items",
        "section tender.documents",
        "section awards.documents",
    ]


@pytest.mark.parametrize(
    ("wrap", "count"),
    [
        (lambda one: {"uri": "u", "releases": [one, one]}, 2),
        (lambda one: {"records": [{"ocid": "ocds-x-1", "compiledRelease": one, "releases": [one, one]}]}, 1),
        (lambda one: {"records": [{"ocid": "ocds-x-1", "releases": [one, one]}]}, 2),
        (lambda one: [one], 1),
    ],
)
def test_packages_and_records_are_opened(imported: Any, wrap: Any, count: int) -> None:
    assert len(imported(wrap(release(awards=[AWARD]))).records("tender.award")) == count


def test_links_to_releases_elsewhere_are_left_aside(imported: Any) -> None:
    done = imported({"records": [{"ocid": "o", "releases": [{"url": "https://example.org/r1"}]}]})
    assert done.left_aside == ["link to a release elsewhere"]


def test_a_time_without_offset_is_read_as_utc_and_said_so(imported: Any) -> None:
    done = imported(release(date="2021-03-01T10:00:00", awards=[AWARD]))
    assert [each.version for each in done.outcomes if isinstance(each, Imported)] == [DATE_MS]
    assert done.tally.remarks["time without offset: read as UTC"] == 1


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("text", ""),
        ({"ocid": "x"}, "date"),
        (release(ocid=None), "ocid"),
        (release(ocid=["x"]), "ocid"),
        (release(date="soon"), "date"),
        (release(date="1969-01-01T00:00:00Z"), "date"),
        (release(parties={}), "parties"),
        (release(parties=["x"]), "parties.0"),
        (release(tender=[]), "tender"),
        (release(tender=TENDER | {"value": []}, buyer={"id": "b"}), "tender.value"),
        (release(tender=TENDER | {"tenderers": [[]]}), "tender.tenderers.0"),
        (release(tender=TENDER | {"procurementMethod": "by lot"}, buyer={"id": "b"}), "method"),
        (release(awards=[AWARD | {"id": None}]), "awards.0.id"),
        (release(awards=[AWARD | {"id": "a|b"}]), "record_id"),
        (release(awards=[AWARD | {"value": {"amount": -1, "currency": "GBP"}}]), "amount_minor"),
        (release(contracts=[None]), "contracts.0"),
        (release(bids={"details": [bid(relatedLots=[{}])]}), "bids.details.0.relatedLots"),
        (release(awards=[AWARD | {"id": "\ud800"}]), "awards.0.id"),
    ],
)
def test_what_breaks_its_format_is_refused_with_the_field(imported: Any, content: Any, field: str) -> None:
    assert [refused.field for refused in imported(content).refused] == [field]


def test_a_refused_award_leaves_the_others_alone(imported: Any) -> None:
    done = imported(release(awards=[AWARD | {"date": 5}, AWARD | {"id": "a2"}]))
    assert [each["record_id"] for each in done.records("tender.award")] == ["ocds-x-1:award:a2"]


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
WHOLE = release(
    buyer={"id": "b"},
    tender=TENDER,
    bids={"details": [bid(relatedLots=["1", "2"], value={"amount": 1, "currency": "GBP"})]},
    awards=[AWARD],
    contracts=[
        {
            "id": 1,
            "awardID": "a1",
            "status": "active",
            "amendments": [{"id": 1, "date": DATE, "changes": [{}]}],
        }
    ],
    planning={"budget": {"projectID": 1}, "project": {"id": 1}},
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, held in inside for deeper in paths(held, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(paths(WHOLE)), by=anything)
def test_no_value_in_any_place_raises(tmp_path: Path, path: tuple[Any, ...], by: Any) -> None:
    done = Import(tmp_path / "fuzz.json", replaced(WHOLE, path, by))
    assert done.tally.read <= 3
    assert done.outcomes or replaced(WHOLE, path, by) == []
