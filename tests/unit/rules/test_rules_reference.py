"""The reference page of the rules is what joins and packs in the tree say."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from streams.cards import load_pack
from streams.cli import PACKS, rules
from streams.joins import JOINS
from streams.rule_reference import render_all

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "rules.md"


def test_the_reference_page_is_current() -> None:
    packs = {name: load_pack(name) for name in PACKS}
    assert PAGE.read_text("utf-8") == render_all(JOINS, packs), (
        "run: xiezhi rules show --all > docs/reference/rules.md"
    )


def test_the_page_tells_every_reason_and_parameter_of_every_card() -> None:
    written = PAGE.read_text("utf-8")
    for card in load_pack("cn"):
        assert f"## {card.id} · {card.title.zh} · {card.title.en}" in written
        for name in (*card.reasons, *card.parameters_of, *card.numbers):
            assert f"`{name}`" in written


def test_one_rule_can_be_shown_by_its_id() -> None:
    shown = CliRunner().invoke(rules, ["show", "C03"])
    assert shown.exit_code == 0
    assert shown.output.startswith("## C03")
    unknown = CliRunner().invoke(rules, ["show", "Z99"])
    assert unknown.exit_code == 2
    assert "C03" in unknown.output
