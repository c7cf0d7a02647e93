"""BODS statements as companies and ownership: versions, replacement, persons, nobody; small statements of our own."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.bods.index import Index
from producers.bods.reader import BodsImport
from producers.importing.outcomes import Imported, LeftAside, Outcome, Refused, Tally, Withdrawn
from xiezhi.errors import ConfigurationError
from xiezhi.tokeniser import IdentityKind

FATHER, SON = "GB-COH-00000001", "GB-COH-00000002"


class Tokens:
    """A tokeniser that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def token(self, kind: IdentityKind, identity: str) -> str:
        assert kind is IdentityKind.BODS_PERSON
        self.asked.append(identity)
        number = self.asked.index(identity)
        return "pt1_" + chr(ord("a") + number % 26) * 32


class Import:
    """Outcomes of statements, by kind."""

    def __init__(self, path: Path, index: Index, statements: Any, source: str = "urn:test") -> None:
        path.write_text(json.dumps(statements), "utf-8")
        self.tokens = Tokens()
        reader = BodsImport(index, self.tokens, source)
        self.outcomes: list[Outcome] = [outcome for _, outcome in reader.read([str(path)])]
        self.tally = Tally()
        for outcome in self.outcomes:
            self.tally.count(outcome)

    def standing(self) -> dict[str, dict[str, Any]]:
        """What stands at the end, by record id: the greatest version of each record that was not withdrawn."""
        newest: dict[str, tuple[int, dict[str, Any]]] = {}
        for outcome in self.outcomes:
            if isinstance(outcome, Imported | Withdrawn):
                fields = outcome.record.model_dump() if isinstance(outcome, Imported) else {}
                if outcome.version > newest.get(outcome.record_id, (-1, {}))[0]:
                    newest[outcome.record_id] = (outcome.version, fields)
        return {record_id: fields for record_id, (_, fields) in newest.items() if fields}

    def ownership(self) -> list[dict[str, Any]]:
        return [fields for fields in self.standing().values() if "holder_id" in fields]

    @property
    def left_aside(self) -> list[str]:
        return [outcome.reason for outcome in self.outcomes if isinstance(outcome, LeftAside)]

    @property
    def refused(self) -> list[str]:
        return [outcome.field for outcome in self.outcomes if isinstance(outcome, Refused)]


Importer = Callable[..., Import]


@pytest.fixture
def imported(tmp_path: Path) -> Importer:
    def run(*statements: Any, path: str = "", source: str = "urn:test", keep: bool = True) -> Import:
        with closing(Index(path)) as index:
            done = Import(tmp_path / "statements.json", index, list(statements), source)
            if keep:
                index.keep()
        return done

    return run


def day(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def entity(statement: str, number: str = "", **fields: Any) -> dict[str, Any]:
    identifiers = [{"scheme": "GB-COH", "id": number}] if number else []
    head = {"statementID": statement, "statementType": "entityStatement", "entityType": "registeredEntity"}
    return {**head, "identifiers": identifiers, "name": "A Ltd", **fields}


def person(statement: str, **fields: Any) -> dict[str, Any]:
    head = {"statementID": statement, "statementType": "personStatement", "personType": "knownPerson"}
    return {**head, "names": [{"fullName": "Some Body"}], "birthDate": "1960-01-01", **fields}


def owns(
    statement: str, owner: Any, subject: str, *interests: dict[str, Any], **fields: Any
) -> dict[str, Any]:
    party = owner if isinstance(owner, dict) else {"describedByEntityStatement": owner}
    return {
        "statementID": statement,
        "statementType": "ownershipOrControlStatement",
        "statementDate": "2020-01-01",
        "subject": {"describedByEntityStatement": subject},
        "interestedParty": party,
        "interests": list(interests) or [shares(75)],
        **fields,
    }


def shares(minimum: float, start: str | None = "2016-04-06", **fields: Any) -> dict[str, Any]:
    share = {"minimum": minimum, "maximum": 100, "exclusiveMinimum": False}
    return {"type": "shareholding", "share": share, "startDate": start, **fields}


def test_an_owner_and_a_company_whose_number_is_padded_or_not_are_linked(imported: Importer) -> None:
    done = imported(
        entity("e1", "1"), entity("e1b", "00000001"), entity("e2", "00000002"), owns("o", "e1", "e2")
    )
    assert done.standing() == {
        f"bods:{FATHER}": {
            "record_id": f"bods:{FATHER}",
            "company_id": FATHER,
            "status": "active",
            "registered_on": None,
            "dissolved_on": None,
            "industry": None,
        },
        f"bods:{SON}": {
            "record_id": f"bods:{SON}",
            "company_id": SON,
            "status": "active",
            "registered_on": None,
            "dissolved_on": None,
            "industry": None,
        },
        "o:ownership": {
            "record_id": "o:ownership",
            "company_id": SON,
            "holder_id": FATHER,
            "interest": "ownership",
            "share_permille": 750,
            "valid_from": day("2016-04-06"),
            "valid_to": None,
        },
    }


def test_statements_may_refer_to_what_comes_later(imported: Importer) -> None:
    assert len(imported(owns("o", "e1", "e2"), entity("e2", "2"), entity("e1", "1")).ownership()) == 1


def test_a_company_that_was_dissolved_is_and_stays_so(imported: Importer) -> None:
    founded = entity("e1", "1", foundingDate="2001-02-03")
    gone = entity("e2", "1", foundingDate="2001-02-03", dissolutionDate="2019")
    done = imported(gone, founded)
    versions = {
        (outcome.version, outcome.occurred_ms, outcome.record.model_dump()["status"])
        for outcome in done.outcomes
        if isinstance(outcome, Imported)
    }
    assert max(versions)[2] == "dissolved"


def test_a_person_is_a_token_of_the_statement_and_nothing_of_the_person_is_used(imported: Importer) -> None:
    owner = {"describedByPersonStatement": "p"}
    done = imported(person("p"), entity("e", "2"), owns("o", owner, "e"))
    assert [each["holder_id"] for each in done.ownership()] == ["pt1_" + "a" * 32]
    again = imported(person("p", names=[], birthDate="1999-09-09"), entity("e", "2"), owns("o", owner, "e"))
    assert again.tokens.asked == done.tokens.asked
    assert imported(person("P")).tokens.asked != done.tokens.asked


@pytest.mark.parametrize(
    "owner",
    [
        {"unspecified": {"reason": "no-beneficial-owners"}},
        {"describedByEntityStatement": "nobody"},
        {"describedByPersonStatement": "unknown"},
        {"describedByPersonStatement": "hidden"},
        {},
    ],
)
def test_unspecified_owners_are_nobody(imported: Importer, owner: dict[str, Any]) -> None:
    done = imported(
        entity("nobody", "", entityType="unknownEntity"),
        person("unknown", personType="unknownPerson"),
        person("hidden", unspecifiedPersonDetails={"reason": "no-beneficial-owners"}),
        entity("e", "2"),
        owns("o", owner, "e"),
    )
    assert done.ownership() == []
    assert done.left_aside.count("ownership whose owner is unspecified: nobody") == 1
    assert done.tokens.asked == []


def test_an_owner_described_nowhere_is_left_aside(imported: Importer) -> None:
    done = imported(entity("e", "2"), owns("o", "absent", "e"))
    assert done.left_aside == ["ownership whose owner is described nowhere"]


def test_a_chain_through_an_entity_without_identifier_stays_connected(imported: Importer) -> None:
    done = imported(entity("a", "1"), entity("b"), entity("c", "2"), owns("1", "a", "b"), owns("2", "b", "c"))
    upper, lower = done.ownership()
    assert (upper["holder_id"], lower["company_id"]) == (FATHER, SON)
    assert upper["company_id"] == lower["holder_id"]
    assert upper["company_id"].startswith("XX-BODS-")


def test_shares_are_the_least_they_can_be_in_thousandths(imported: Importer) -> None:
    def share_of(share: dict[str, Any] | None) -> int | None:
        interest = {"type": "shareholding", "share": share}
        done = imported(entity("a", "1"), entity("b", "2"), owns("o", "a", "b", interest))
        (found,) = done.ownership()
        permille: int | None = found["share_permille"]
        return permille

    assert share_of({"exact": 33.39, "minimum": 10}) == 333
    assert share_of({"minimum": 25, "exclusiveMinimum": True}) == 250
    assert share_of({"exclusiveMinimum": 75, "maximum": 100}) == 750
    assert share_of({"maximum": 25}) is None
    assert share_of(None) is None


def test_interests_become_one_record_per_kind_and_period(imported: Importer) -> None:
    done = imported(
        entity("a", "1"),
        entity("b", "2"),
        owns(
            "o",
            "a",
            "b",
            shares(25, "2016-04-06", endDate="2018-01-31"),
            shares(50, "2018-02-01"),
            {"type": "voting-rights", "share": {"minimum": 75}, "startDate": "2018-02-01"},
            {"type": "appointmentOfBoard", "startDate": "2018-02-01"},
            {"type": "senior-managing-official"},
            {"type": "nominee"},
        ),
    )
    found = {each["record_id"]: each for each in done.ownership()}
    told = {
        record_id: (each["interest"], each["share_permille"], each["valid_from"], each["valid_to"])
        for record_id, each in found.items()
    }
    assert told == {
        "o:ownership": ("ownership", 250, day("2016-04-06"), day("2018-02-01")),
        "o:ownership:2": ("ownership", 500, day("2018-02-01"), None),
        "o:control": ("control", 750, day("2018-02-01"), None),
        "o:manager": ("manager", None, None, None),
    }
    assert done.left_aside == ["interest that is neither ownership nor control nor management"]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_replacing_statement_takes_back_what_it_does_not_repeat(imported: Importer, reverse: bool) -> None:
    first = owns("o1", "a", "b", shares(75), {"type": "voting-rights"})
    second = owns("o2", "a", "b", shares(50), replacesStatements=["o1"])
    order = [second, first] if reverse else [first, second]
    done = imported(entity("a", "1"), entity("b", "2"), *order)
    (left,) = done.ownership()
    assert (left["interest"], left["share_permille"]) == ("ownership", 500)


def test_a_statement_may_replace_several(imported: Importer) -> None:
    done = imported(
        entity("a", "1"),
        entity("b", "2"),
        owns("o1", "a", "b", shares(75)),
        owns("o2", "a", "b", {"type": "voting-rights"}),
        owns("o3", "a", "b", shares(30), replacesStatements=["o1", "o2"]),
    )
    assert [each["share_permille"] for each in done.ownership()] == [300]


@pytest.mark.parametrize(("others", "taken_back"), [(["e1"], []), ([], [f"bods:{FATHER}"])])
def test_a_company_stands_as_long_as_one_statement_tells_of_it(
    imported: Importer, tmp_path: Path, others: list[str], taken_back: list[str]
) -> None:
    path = str(tmp_path / "index.db")
    imported(*(entity(name, "1") for name in [*others, "e2"]), path=path)
    done = imported(entity("e3", "2", replacesStatements=["e2"], statementDate="2021-01-01"), path=path)
    assert set(done.standing()) == {f"bods:{SON}"}
    assert [each.record_id for each in done.outcomes if isinstance(each, Withdrawn)] == taken_back


def test_a_replaced_statement_that_is_absent_is_remarked_on(imported: Importer) -> None:
    done = imported(entity("a", "1"), entity("b", "2"), owns("o2", "a", "b", replacesStatements=["o1"]))
    assert sum(done.tally.remarks.values()) == 3  # and two entities without date


def test_an_index_that_is_kept_connects_files(imported: Importer, tmp_path: Path) -> None:
    path = str(tmp_path / "index.db")
    start = [entity("a", "1"), entity("b", "2"), owns("o1", "a", "b", shares(75), {"type": "voting-rights"})]
    imported(*start, path=path)
    update = owns("o2", "a", "b", shares(50), replacesStatements=["o1"], statementDate="2021-01-01")
    done = imported(update, path=path)
    assert [type(outcome).__name__ for outcome in done.outcomes] == ["Read", "Imported", "Withdrawn"]
    assert {outcome.version for outcome in done.outcomes if isinstance(outcome, Imported | Withdrawn)} == {
        day("2021-01-01") * 86_400_000
    }
    repeated = imported(*start, path=path)
    assert "statement older than one imported before" in repeated.left_aside


def test_an_index_that_was_not_kept_leaves_no_trace(imported: Importer, tmp_path: Path) -> None:
    path = str(tmp_path / "index.db")
    imported(entity("a", "1"), entity("b", "2"), path=path, keep=False)
    assert imported(owns("o", "a", "b"), path=path).ownership() == []


def test_a_file_that_is_no_index_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "index.db").write_text(
        "no database at all, but long enough to be read as the head of one" * 9
    )
    with pytest.raises(ConfigurationError, match="as index"):
        Index(str(tmp_path / "index.db"))


def test_importing_again_gives_the_same_records_and_versions(imported: Importer) -> None:
    statements = [
        entity("a", "1"),
        entity("b", "2"),
        owns("o1", "a", "b"),
        owns("o2", "a", "b", replacesStatements=["o1"]),
    ]
    assert imported(*statements).outcomes == imported(*statements).outcomes


def v04(kind: str, record: str, details: dict[str, Any], number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "statementId": f"{record}-{number}",
        "statementDate": "2024-01-01",
        "recordId": record,
        "recordType": kind,
        "recordStatus": "new",
        "recordDetails": details,
        **fields,
    }


def relationship(
    *interests: dict[str, Any], number: int = 1, owner: Any = "a", **fields: Any
) -> dict[str, Any]:
    details = {"subject": "b", "interestedParty": owner, "isComponent": False, "interests": list(interests)}
    return v04("relationship", "r", details, number, **fields)


def company(record: str, number: str) -> dict[str, Any]:
    details = {
        "entityType": {"type": "registeredEntity"},
        "identifiers": [{"scheme": "GB-COH", "id": number}],
    }
    return v04("entity", record, details)


def test_statements_of_0_4_about_one_record_follow_each_other(imported: Importer) -> None:
    done = imported(
        company("a", "1"),
        company("b", "2"),
        relationship(shares(75), {"type": "votingRights"}),
        relationship(shares(50), number=2, recordStatus="updated"),
    )
    (left,) = done.ownership()
    assert (left["company_id"], left["holder_id"], left["share_permille"]) == (SON, FATHER, 500)


def test_a_newer_statement_takes_back_also_when_it_stands_first_in_the_file(imported: Importer) -> None:
    older = relationship(shares(75), {"type": "votingRights"})
    newer = relationship(shares(50), number=2, statementDate="2024-02-02")
    done = imported(newer, older, company("a", "1"), company("b", "2"))
    (taken_back,) = [outcome.record_id for outcome in done.outcomes if isinstance(outcome, Withdrawn)]
    assert taken_back.endswith(":control")
    assert [each["share_permille"] for each in done.ownership()] == [500]


def test_a_closed_relationship_ends_on_the_day_it_was_closed(imported: Importer) -> None:
    closing = relationship(shares(75), number=2, recordStatus="closed", statementDate="2024-05-06")
    done = imported(company("a", "1"), company("b", "2"), relationship(shares(75)), closing)
    assert [each["valid_to"] for each in done.ownership()] == [day("2024-05-06")]


def test_persons_and_nobody_of_0_4(imported: Importer) -> None:
    done = imported(
        v04("person", "a", {"personType": "knownPerson", "names": [{"fullName": "Some Body"}]}),
        company("b", "2"),
        relationship(shares(75)),
    )
    assert done.ownership()[0]["holder_id"].startswith("pt1_")
    unspecified = imported(
        company("b", "2"), relationship(shares(75), owner={"reason": "subjectUnableToConfirm"})
    )
    assert "ownership whose owner is unspecified: nobody" in unspecified.left_aside
    anonymous = imported(
        v04("entity", "a", {"entityType": {"type": "anonymousEntity"}}),
        company("b", "2"),
        relationship(shares(75)),
    )
    assert anonymous.ownership() == []


def test_record_ids_of_two_publishers_are_not_confused(imported: Importer) -> None:
    unidentified = v04("entity", "b", {"entityType": {"type": "registeredEntity"}})
    companies = [
        fields["company_id"]
        for source in ("urn:one", "urn:two")
        for fields in imported(unidentified, source=source).standing().values()
    ]
    assert len(set(companies)) == 2


def test_a_state_may_own_and_is_no_company(imported: Importer) -> None:
    state = v04("entity", "a", {"entityType": {"type": "state"}})
    done = imported(state, company("b", "2"), relationship(shares(100)))
    assert [each["company_id"] for each in done.standing().values()] == [SON, SON]
    assert "entity that no register of companies holds: an owner only" in done.left_aside


@pytest.mark.parametrize(
    ("statement", "field"),
    [
        (7, ""),
        ({}, "statementType"),
        (entity(["e"]), "statementID"),  # type: ignore[arg-type]
        (entity("\udc00"), "statementID"),
        (entity("e", statementType="treaty"), "statementType"),
        (entity("e", identifiers={}), "identifiers"),
        (entity("e", foundingDate="long ago"), "foundingDate"),
        (entity("e", statementDate=5), "statementDate"),
        (entity("e", replacesStatements=[None]), "replacesStatements"),
        (v04("entity", "a", []), "recordDetails"),  # type: ignore[arg-type]
        (owns("o", "a", "b", shares(101)), "interests.0.share.minimum"),
        (owns("o", "a", "b", {"type": ["x"]}), "interests.0.type"),
        (owns("o", "a", "b") | {"subject": None}, "subject"),
    ],
)
def test_what_breaks_its_format_is_refused_with_the_field(
    imported: Importer, statement: Any, field: str
) -> None:
    assert imported(statement).refused == [field]


def test_an_interest_that_ends_before_it_starts_is_refused_and_the_others_are_not(imported: Importer) -> None:
    backwards = shares(75, "2020-01-01", endDate="2019-01-01")
    done = imported(
        entity("a", "1"), entity("b", "2"), owns("o", "a", "b", backwards, {"type": "voting-rights"})
    )
    assert done.refused == ["valid_to"]
    assert [each["interest"] for each in done.ownership()] == ["control"]


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=9)
    | st.sampled_from(["a", "b", "o1", "closed"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
WHOLE = [
    entity("a", "1", foundingDate="2001"),
    entity("b", "2"),
    owns("o1", "a", "b", shares(75), {"type": "voting-rights"}),
    owns("o2", "a", "b", shares(50), replacesStatements=["o1"]),
    company("a", "1"),
    relationship(shares(75)),
    relationship(shares(50, endDate="2024-02-01"), number=2, recordStatus="closed"),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, held in inside for deeper in places(held, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(path=st.sampled_from(places(WHOLE)[1:]), by=anything)
def test_no_value_in_any_place_raises(imported: Importer, path: tuple[Any, ...], by: Any) -> None:
    done = imported(*replaced(WHOLE, path, by))
    assert done.tally.read == len(WHOLE)
