"""Real open data, where it is at hand: UK Contracts Finder releases and the owners of their suppliers.

The data are third parties' and no part of this project, so these tests alone may skip: they look for the folder
`uk-contracts-finder` beside the project, or where XIEZHI_UK_DATA says.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from producers.bods.index import Index
from producers.bods.reader import BodsImport
from producers.importing.outcomes import Imported, Outcome, Tally
from producers.ocds.reader import read_ocds
from schemas.catalogue import BID, COMPANY, NOTICE, OWNERSHIP
from xiezhi.contracts.base import Contract
from xiezhi.tokeniser import LocalTokeniser

FOLDER = Path(
    os.environ.get("XIEZHI_UK_DATA", Path(__file__).parents[3] / "shared" / "data" / "uk-contracts-finder")
)
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the UK data are not at {FOLDER}")

OWNER, OWNED = "GB-COH-01193013", "GB-COH-02989025"
TENDERS = ("202c035d-3724-4f7d-9986-50d29f4f5bd4", "ffc8615c-8bb3-415f-9a68-8fdbe0094d57")
#: What becomes of all of it.
RELEASES: dict[str, Any] = {
    "read": 229,
    "published": {"tender.award": 229, "tender.bid": 1342, "tender.notice": 127},
    "withdrawn": {},
    "left_aside": {"section tender.items": 229, "tender without procurementMethod": 102},
    "remarks": {"party without official identifier: known inside its procedure only": 809},
    "refused": 0,
}
STATEMENTS: dict[str, Any] = {
    "read": 900,  # 361 entities, 187 persons, 352 of ownership or control
    "published": {"registry.company": 361, "registry.ownership": 496},
    "withdrawn": {},
    "left_aside": {
        "person: a token in ownership records, no record of its own": 187,
        "ownership whose owner is unspecified: nobody": 19,
    },
    "remarks": {
        "entity without official identifier: known by its statement only": 17,
        "statement without any date: dated 1970-01-01": 13,
    },
    "refused": 0,
}


@pytest.fixture(scope="module")
def releases() -> list[Outcome]:
    files = sorted((FOLDER / "ocds").glob("*.jsonl"))
    return [outcome for file in files for _, outcome in read_ocds(str(file))]


@pytest.fixture(scope="module")
def statements(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    tokeniser = LocalTokeniser(tmp_path_factory.mktemp("uk") / "token.key")
    with closing(Index()) as index:
        read = BodsImport(index, tokeniser, "urn:test").read([str(FOLDER / "bods" / "statements.jsonl")])
        return [outcome for _, outcome in read]


def counts(outcomes: list[Outcome]) -> dict[str, Any]:
    tally = Tally()
    for outcome in outcomes:
        tally.count(outcome)
    return tally.to_dict()


def records(outcomes: list[Outcome], contract: Contract) -> list[Any]:
    return [each.record for each in outcomes if isinstance(each, Imported) and each.contract is contract]


def test_every_release_is_published_or_counted_by_reason(releases: list[Outcome]) -> None:
    assert counts(releases) == RELEASES


def test_every_statement_is_published_or_counted_by_reason(statements: list[Outcome]) -> None:
    assert counts(statements) == STATEMENTS


def test_the_known_owner_holds_three_quarters_of_the_known_company(statements: list[Outcome]) -> None:
    (held,) = [each for each in records(statements, OWNERSHIP) if each.company_id == OWNED]
    assert (held.holder_id, held.interest, held.share_permille) == (OWNER, "ownership", 750)
    assert held.valid_to is None
    assert {OWNER, OWNED} <= {each.company_id for each in records(statements, COMPANY)}


def test_both_are_tenderers_in_the_two_procedures_under_two_prefixes_each(releases: list[Outcome]) -> None:
    bids = records(releases, BID)
    shared = {each.procedure_id for each in bids if each.bidder_id == OWNER} & {
        each.procedure_id for each in bids if each.bidder_id == OWNED
    }
    assert shared == {
        f"ocds-b5fd17{prefix}-{tender}" for prefix in ("suppliermatch", "bodsmatch") for tender in TENDERS
    }


def test_the_holding_is_older_than_the_tenders(releases: list[Outcome], statements: list[Outcome]) -> None:
    (held,) = [each for each in records(statements, OWNERSHIP) if each.company_id == OWNED]
    dates = [
        each.occurred_ms
        for each in releases
        if isinstance(each, Imported) and each.contract is BID and each.record_id.endswith(OWNED)
    ]
    assert held.valid_from * 86_400_000 < min(dates)


def test_no_procedure_looks_as_if_it_had_fewer_bidders_than_it_had(releases: list[Outcome]) -> None:
    """Tenderers without identifier count, or most procedures would seem to have one bidder alone."""
    bidders: dict[str, set[str]] = {}
    for bid in records(releases, BID):
        bidders.setdefault(bid.procedure_id, set()).add(bid.bidder_id)
    noticed = {each.procedure_id for each in records(releases, NOTICE)}
    assert min(len(bidders[procedure]) for procedure in noticed) == 2
