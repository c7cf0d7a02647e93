"""Rule packs: what they must hold, how they overlay, and how a finding reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from streams import cards as cards_module
from streams.cards import Card, load_pack, render, switched_off
from streams.joins import JOINS
from streams.kernel import Finding, Outcome
from streams.rule_code import code_hash, modules_behind
from streams.wording import written
from tests.builders import Pack, cards, instant
from xiezhi.errors import ConfigurationError

PACKS: tuple[Pack, ...] = ("generic", "cn")


@pytest.mark.parametrize("pack", PACKS)
def test_every_rule_has_a_card_in_every_pack(pack: Pack) -> None:
    assert {card.id for card in load_pack(pack)} == {rule.id for join in JOINS for rule in join.rules}


def test_the_drill_pack_is_the_law_pack_with_shorter_settle_times() -> None:
    law = {card.id: card for card in load_pack("cn")}
    for card in load_pack("drill"):
        assert card.model_copy(update={"settle_seconds": 0}) == law[card.id].model_copy(
            update={"settle_seconds": 0}
        )
        assert card.settle_seconds <= min(20, law[card.id].settle_seconds)


@pytest.mark.parametrize("pack", PACKS)
def test_texts_show_a_suspicion_and_ask_to_verify(pack: Pack) -> None:
    for card in load_pack(pack):
        assert "疑似" in card.title.zh
        assert "Suspected" in card.title.en
        for reason in card.reasons.values():
            if reason.outcome is Outcome.HIT:
                assert reason.zh.startswith("疑似")
                assert reason.zh.endswith("请核查。")
                assert reason.en.startswith("Suspected")
                assert reason.en.endswith("please verify.")


@pytest.mark.parametrize("pack", PACKS)
def test_every_legal_basis_awaits_counsel(pack: Pack) -> None:
    for card in load_pack(pack):
        assert all("to be confirmed by counsel" in one or "待法律顾问确认" in one for one in card.legal_basis)


def test_conflicts_of_interest_are_sealed_and_nothing_else_is() -> None:
    assert [card.id for card in load_pack("cn") if card.handling == "sealed"] == ["P13"]


@pytest.mark.parametrize("pack", PACKS)
def test_a_card_comes_back_from_its_canonical_json(pack: Pack) -> None:
    for card in load_pack(pack):
        text = card.canonical_json()
        assert Card.from_json(text) == card
        assert Card.from_json(text).canonical_json() == text
        assert json.loads(text)["id"] == card.id


def test_the_law_pack_states_what_differs_and_keeps_the_rest() -> None:
    generic, cn = cards("generic")["P01"], cards("cn")["P01"]
    assert cn.title == generic.title
    assert cn.legal_basis != generic.legal_basis
    assert generic.parameters().at("window_days_min")["open"] == 15
    assert cn.parameters().at("window_days_min")["open"] == 20
    assert cn.parameters().at("window_days_min", instant("1999-12-31"))["open"] == 15
    assert cn.parameters_as_json()["window_days_min"][1]["since"] == "2000-01-01"
    assert cn.parameters_as_json()["day_count"] == "calendar"


def test_the_most_specific_jurisdiction_wins_over_the_newest_day() -> None:
    parameter = {
        "about": {"zh": "值", "en": "value"},
        "values": [
            {"value": "all"},
            {"value": "new", "since": "2026-01-01"},
            {"value": "here", "jurisdiction": "3301"},
        ],
    }
    at = Card.model_validate({**body(), "parameters": {"it": parameter}}).parameters().at
    assert at("it", instant("2025-06-01"), "110000000000") == "all"
    assert at("it", instant("2026-06-01"), "110000000000") == "new"
    assert at("it", instant("2026-06-01"), "330106000000") == "here"


def body() -> dict[str, Any]:
    """A small card that is right."""
    return {
        "id": "X",
        "version": 1,
        "title": {"zh": "疑似", "en": "Suspected"},
        "text": {"zh": "规则", "en": "rule"},
        "reasons": {"wrong": {"outcome": "HIT", "zh": "{paid_minor}", "en": "{contract_id}"}},
        "subject": ["contract_id"],
        "numbers": {"paid_minor": {"zh": "金额", "en": "sum"}},
        "legal_basis": ["law"],
        "severity": "red",
        "identity_tier": "T1",
        "false_positives": [{"zh": "误报", "en": "mistake"}],
    }


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"colour": "red"}, "Extra inputs"),
        ({"title": {"zh": "疑似"}}, "Field required"),
        ({"title": {"zh": "疑似", "en": ""}}, "at least 1 character"),
        ({"severity": "purple"}, "Input should be"),
        ({"settle_seconds": -1}, "greater than or equal"),
        ({"legal_basis": []}, "at least 1 item"),
        ({"reasons": {"fine": {"outcome": "CLEAR", "zh": "无", "en": "none"}}}, "no reason is a HIT"),
        ({"reasons": {"wrong": {"outcome": "HIT", "zh": "{other}", "en": "x"}}}, "which no number is called"),
        ({"reasons": {"wrong": {"outcome": "HIT", "zh": "{paid_minor:,}", "en": "x"}}}, "not a plain name"),
        ({"reasons": {"wrong": {"outcome": "HIT", "zh": "{paid_minor.x}", "en": "x"}}}, "not a plain name"),
        ({"parameters": {"n": {"about": {"zh": "数", "en": "n"}, "values": []}}}, "at least 1 item"),
        (
            {"parameters": {"n": {"about": {"zh": "数", "en": "n"}, "values": [{"value": 1, "until": 2}]}}},
            "Extra inputs",
        ),
    ],
)
def test_a_wrong_card_is_refused(change: dict[str, Any], complaint: str) -> None:
    assert Card.model_validate(body()).id == "X"
    with pytest.raises(ValidationError, match=complaint):
        Card.model_validate({**body(), **change})


def test_activations_with_something_else_than_a_card_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="not a rule card"):
        Card.from_json("{}")


@pytest.fixture
def packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packs that a test may spoil; it starts with the real generic pack."""
    real = cards_module._PACKS / "generic.yaml"
    (tmp_path / "generic.yaml").write_text(real.read_text("utf-8"), "utf-8")
    monkeypatch.setattr(cards_module, "_PACKS", tmp_path)
    return tmp_path


def test_a_pack_may_take_a_rule_out_and_says_why(packs: Path) -> None:
    (packs / "county.yaml").write_text("extends: generic\nremoved: {P01: repealed}\n", "utf-8")
    all_of_them = {card.id for card in load_pack("generic")}
    assert {card.id for card in load_pack("county")} == all_of_them - {"P01"}
    assert switched_off("county") == {"P01": "repealed"}
    assert switched_off("generic") == {}


@pytest.mark.parametrize(
    ("site", "complaint"),
    [
        ("extends: nowhere\ncards: {}", "no rule pack 'nowhere'"),
        ("extends: generic\ncolour: red", "unknown keys"),
        ("extends: generic\ncards: {C03: {severity: purple}}", "pack 'site', card 'C03': severity"),
        ("extends: generic\ncards: {C03: {severity: red}, C03: {severity: red}}", "given twice"),
        ("extends: generic\ncards: {Z99: {version: 1}}", "card 'Z99'"),
        ("cards: {}", "rules without a card"),
        ("extends: generic\ncards: [", "site.yaml"),
    ],
)
def test_a_wrong_pack_is_refused_by_name(packs: Path, site: str, complaint: str) -> None:
    (packs / "site.yaml").write_text(site, "utf-8")
    with pytest.raises(ConfigurationError, match=complaint):
        load_pack("site")


def test_a_card_without_a_rule_is_refused(packs: Path) -> None:
    extra = yaml.safe_dump(
        {"extends": "generic", "cards": {"X": {k: v for k, v in body().items() if k != "id"}}}
    )
    (packs / "site.yaml").write_text(extra, "utf-8")
    with pytest.raises(ConfigurationError, match=r"cards without a rule \['X'\]"):
        load_pack("site")


def test_a_site_pack_changes_one_thing(packs: Path) -> None:
    site = "extends: generic\ncards: {C03: {version: 2, parameters: {tolerance_permille: {values: [{value: 0}]}}}}"
    (packs / "site.yaml").write_text(site, "utf-8")
    found = {card.id: card for card in load_pack("site")}
    assert found["C03"].parameters().at("tolerance_permille") == 0
    assert found["C03"].version == 2
    assert found["S01"] == cards("generic")["S01"]


def finding(**numbers: int | str) -> Finding:
    return Finding(outcome=Outcome.HIT, reason="wrong", subject={"contract_id": "K"}, numbers=numbers)


def test_explanations_are_written_in_both_languages_with_words_for_codes() -> None:
    card = Card.model_validate(
        {
            **body(),
            "numbers": {"method": {"zh": "方式", "en": "method"}},
            "words": {"open": {"zh": "公开招标", "en": "open"}},
            "reasons": {
                "wrong": {"outcome": "HIT", "zh": "{contract_id}：{method}", "en": "{method} {contract_id}"}
            },
        }
    )
    assert render(card, finding(method="open"), "zh") == "K：公开招标"
    assert render(card, finding(method="closed"), "en") == "closed K"


def test_a_rule_that_disagrees_with_its_card_is_told_so() -> None:
    card = Card.model_validate(body())
    with pytest.raises(ConfigurationError, match="gives no 'paid_minor'"):
        render(card, finding(), "zh")
    with pytest.raises(ConfigurationError, match="knows no CLEAR"):
        render(card, Finding(outcome=Outcome.CLEAR, reason="wrong"), "zh")


@pytest.mark.parametrize(
    ("name", "value", "currency", "text"),
    [
        ("paid_minor", 123_456_789, "CNY", "1,234,567.89 CNY"),
        ("paid_minor", -5, "CNY", "-0.05 CNY"),
        ("paid_minor", 1234, "JPY", "1,234 JPY"),
        ("paid_minor", 1234, "KWD", "1.234 KWD"),
        ("paid_minor", 100, "", "1.00"),
        ("paid_ms", instant("2026-03-01 00:00"), "", "2026-03-01"),
        ("paid_ms", instant("2026-02-28 23:59"), "", "2026-02-28"),
        ("died_on", 20_000, "", "2024-10-04"),
        ("share_permille", 250, "", "25%"),
        ("share_permille", 1, "", "0.1%"),
        ("share_permille", -15, "", "-1.5%"),
        ("times", 12_345, "", "12,345"),
        ("county", "330106", "", "330106"),
    ],
)
def test_numbers_are_written_by_the_ending_of_their_name(
    name: str, value: int | str, currency: str, text: str
) -> None:
    assert written(name, value, currency, 480) == text


def test_the_code_hash_covers_the_rule_its_join_and_all_joins_upstream() -> None:
    assert modules_behind("S01") == {
        "streams.kernel",
        "streams.joins.person_benefit",
        "streams.rules.findings",
        "streams.rules.s01_benefit_after_death",
    }
    assert {
        "streams.joins.control",
        "streams.joins.official",
        "streams.joins.procedure",
        "streams.rules.p13_official_conflict",
        "streams.rules.tenders",
        "streams.rules.days",
    } <= modules_behind("P13")
    assert "streams.rules.p12_linked_bidders" not in modules_behind("P13")


def test_rules_differ_in_their_code_hash() -> None:
    hashes = {code_hash(rule.id) for join in JOINS for rule in join.rules}
    assert len(hashes) == sum(len(join.rules) for join in JOINS)
    with pytest.raises(ConfigurationError, match="no rule 'Z99'"):
        code_hash("Z99")
