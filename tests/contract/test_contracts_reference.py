"""The reference page is what the contracts in the tree say."""

from __future__ import annotations

from pathlib import Path

from schemas.catalogue import CONTRACTS
from xiezhi.contracts.bus import BUS_CONTRACTS
from xiezhi.contracts.reference import render_all

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "contracts.md"


def test_the_reference_page_is_current() -> None:
    written = PAGE.read_text("utf-8")
    assert written == render_all((*CONTRACTS, *BUS_CONTRACTS)), (
        "run: xiezhi contracts show --all > docs/reference/contracts.md"
    )


def test_the_reference_page_explains_every_field() -> None:
    written = PAGE.read_text("utf-8")
    for contract in (*CONTRACTS, *BUS_CONTRACTS):
        for field in contract.schema["fields"]:
            assert field["doc"] in written
