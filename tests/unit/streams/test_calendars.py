"""Where a card's calendar comes from, and that a rule's answer rests on nothing but the activation in the log."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from streams import calendars
from streams.activations import activate, activation_hash
from streams.calendars import CN, WEEKDAYS, SiteDays, Year, content, library_years, read_site_days
from streams.cards import Card, code_hash, load_pack
from streams.evaluation import ActiveRule
from streams.joins import JOINS
from streams.kernel import Finding, View
from streams.rule_code import modules_behind
from streams.rules.working_days import WorkingDays
from tests.builders import JURISDICTION, day, instant
from tests.records import audited
from xiezhi.errors import ConfigurationError

#: As the General Office of the State Council announced it: swapped days off and worked, month and day.
ANNOUNCED = {
    2024: (
        "01-01 02-12 02-13 02-14 02-15 02-16 04-04 04-05 05-01 05-02 05-03 06-10 09-16 09-17 10-01 10-02 10-03 "
        "10-04 10-07",
        "02-04 02-18 04-07 04-28 05-11 09-14 09-29 10-12",
    ),
    2025: (
        "01-01 01-28 01-29 01-30 01-31 02-03 02-04 04-04 05-01 05-02 05-05 06-02 10-01 10-02 10-03 10-06 10-07 "
        "10-08",
        "01-26 02-08 04-27 09-28 10-11",
    ),
    2026: (
        "01-01 01-02 02-16 02-17 02-18 02-19 02-20 02-23 04-06 05-01 05-04 05-05 06-19 09-25 10-01 10-02 10-05 "
        "10-06 10-07",
        "01-04 02-14 02-28 05-09 09-20 10-10",
    ),
}


def cn(site: SiteDays | None = None, prefix: str = "") -> WorkingDays:
    return WorkingDays.from_value(content(CN, site or SiteDays())[prefix])


@pytest.mark.parametrize("year", ANNOUNCED)
def test_the_library_knows_holidays_and_swapped_days(year: int) -> None:
    free, worked = ANNOUNCED[year]
    known = content(CN, SiteDays())[""]["years"][str(year)]
    assert (known["free"], known["worked"]) == (free.split(), worked.split())


def test_years_that_the_library_does_not_know_are_not_filled_in() -> None:
    newest = max(library_years())
    assert cn().end_of(instant(f"{newest}-11-02"), 5) is not None
    assert cn().end_of(instant(f"{newest + 1}-03-02"), 1) is None
    assert cn().end_of(instant("2005-12-01"), 1) is None


def test_a_calendar_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no calendar 'mars'"):
        content("mars", SiteDays())


SITE = """
years:
  2027:  # as announced
    free: [2027-01-01, 2027-02-06, 2027-02-08]
    worked: [2027-02-14]
places:
  "45":
    2027: {free: [2027-04-09], worked: [2027-02-13]}
"""


@pytest.fixture
def site(tmp_path: Path) -> SiteDays:
    (tmp_path / "days.yaml").write_text(SITE, "utf-8")
    return read_site_days(tmp_path / "days.yaml")


def test_a_file_of_the_site_adds_a_year_and_what_a_place_has_of_its_own(site: SiteDays) -> None:
    everywhere, guangxi = cn(site), cn(site, "45")
    friday = instant("2027-04-08")
    assert everywhere.end_of(friday, 1) == instant("2027-04-10 00:00")
    assert guangxi.end_of(friday, 1) == instant("2027-04-13 00:00")
    assert everywhere.is_working_day(day("2027-02-08")) is False
    assert everywhere.is_working_day(day("2027-02-06")) is False, "a notice names the weekend, too"
    assert everywhere.is_working_day(day("2027-02-14"))
    assert everywhere.is_working_day(day("2027-02-13")) is False
    assert guangxi.is_working_day(day("2027-02-13"))


def test_a_file_of_the_site_replaces_a_year_of_the_library() -> None:
    wrong = SiteDays(years={2026: Year(free=(date(2026, 3, 2),))})
    assert cn(wrong).is_working_day(day("2026-03-02")) is False
    assert cn(wrong).is_working_day(day("2026-01-01")) is True


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("years: [", "cannot be read"),
        ("days: {}", "Extra inputs"),
        ("years: {2027: {free: [2026-01-01]}}", "2026-01-01 is no day of 2027"),
        ("years: {2027: {free: [2027-01-01], worked: [2027-01-01]}}", "both free and worked"),
        ("years: {2027: {free: [2027-02-30]}}", "out of range"),
        ("places: {Guangxi: {}}", "pattern"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "days.yaml").write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=complaint):
        read_site_days(tmp_path / "days.yaml")


def test_a_missing_file_is_refused_and_none_is_empty(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_site_days(tmp_path / "nowhere.yaml")
    assert read_site_days(None) == SiteDays()


def test_a_place_cannot_add_to_a_year_that_nobody_knows() -> None:
    with pytest.raises(ConfigurationError, match="adds to 2099"):
        content(CN, SiteDays(places={"45": {2099: Year()}}))


def test_a_pack_gets_the_days_of_the_place(site: SiteDays) -> None:
    card = card_of("A01", site)
    at = card.parameters().at
    assert at("working_days", None, "450100000000").end_of(instant("2027-04-08"), 1) == instant(
        "2027-04-13 00:00"
    )
    assert at("working_days", None, JURISDICTION).end_of(instant("2027-04-08"), 1) == instant(
        "2027-04-10 00:00"
    )
    quoted = card.parameters_as_json()["working_days"]
    assert [one.get("jurisdiction", "") for one in quoted] == ["", "45"]
    assert quoted[0]["value"]["sha256"] != quoted[1]["value"]["sha256"]


# -- what a rule answers is in the log -----------------------------------------------------------------------------


def card_of(rule_id: str, site: SiteDays | None = None) -> Card:
    return next(card for card in load_pack("cn", site) if card.id == rule_id)


def activated(card: Card) -> dict[str, Any]:
    """An activation as it stands in the log."""
    return {
        "rule_id": card.id,
        "enabled": True,
        "card": card.canonical_json(),
        "code_hash": code_hash(card.id),
    }


def answer(activation: dict[str, Any], now: str) -> tuple[list[Finding], str]:
    rule = activate(activation, JOINS)
    assert isinstance(rule, ActiveRule)
    view = View("unit#C04", [audited("f-1", "C04", "2025-12-16")])
    return list(rule.rule.evaluate(view, rule.parameters, instant(now))), rule.activation


def test_another_library_changes_new_activations_and_no_answer_of_an_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = activated(card_of("A01"))
    now = "2026-02-23 00:00"  # the Spring Festival is on, and the wait with it
    before = answer(old, now)
    assert before[0][0].reason == "awaiting_record"

    monkeypatch.setattr(calendars, "library_years", lambda: {2025: Year(), 2026: Year()})
    assert answer(old, now) == before
    new = activated(card_of("A01"))
    found, activation = answer(new, now)
    assert found[0].reason == "nothing_reported"
    assert activation != before[1]


@pytest.mark.parametrize("rule_id", ["A01", "C04"])
def test_every_day_of_the_calendar_is_under_the_activation_hash(rule_id: str) -> None:
    plain = card_of(rule_id).canonical_json()
    site = SiteDays(years={2026: Year(free=(date(2026, 3, 2),))})
    other = card_of(rule_id, site).canonical_json()
    code = code_hash(rule_id)
    assert activation_hash(plain, code) != activation_hash(other, code)
    assert "streams.rules.working_days" in modules_behind(rule_id), "how days are counted is code of the rule"


def test_activating_twice_with_the_same_days_gives_the_same_card() -> None:
    assert card_of("A01").canonical_json() == card_of("A01").canonical_json()
    assert Card.from_json(card_of("A01").canonical_json()) == card_of("A01")


def test_a_card_whose_calendar_cannot_be_read_is_refused() -> None:
    text = card_of("A01").canonical_json().replace('"free"', '"off"')
    with pytest.raises(ConfigurationError, match="not a rule card"):
        Card.from_json(text)


def test_the_generic_pack_names_its_calendar_and_knows_every_year() -> None:
    card = next(card for card in load_pack("generic") if card.id == "A01")
    assert card.parameters_as_json()["working_days"]["calendar"] == WEEKDAYS
    assert card.parameters_as_json()["working_days"]["years"] == "all"
