"""Money, dates and organisation identifiers of foreign data."""

from __future__ import annotations

from collections.abc import Generator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.importing.fields import Section
from producers.importing.money import minor_units, money
from producers.importing.organisations import local_organisation, official_organisation, organisation_id
from producers.importing.outcomes import LeftAside, Outcome, Remark
from xiezhi.contracts.types import credit_code_check
from xiezhi.errors import RecordRefusedError


def finished(step: Generator[Outcome, None, Any]) -> tuple[Any, list[Outcome]]:
    """What a step returns, and what it yields on the way."""
    outcomes: list[Outcome] = []
    while True:
        try:
            outcomes.append(next(step))
        except StopIteration as end:
            return end.value, outcomes


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("1234.56", "GBP", 123456),
        ("1234", "JPY", 1234),
        ("1.234", "KWD", 1234),
        ("0.1", "CNY", 10),
        ("1e3", "USD", 100000),
        ("90071992547409.93", "USD", 9007199254740993),  # a float would say …992
        ("0.005", "GBP", 0),
        ("0.015", "GBP", 2),
        ("1E-999999", "GBP", 0),
    ],
)
def test_amounts_become_minor_units_exactly(amount: str, currency: str, minor: int) -> None:
    assert minor_units(Decimal(amount), currency) == minor


@settings(deadline=None)
@given(st.integers(-(10**18), 10**18))
def test_every_amount_in_pence_survives_the_way_through_pounds(pence: int) -> None:
    assert minor_units(Decimal(pence).scaleb(-2), "GBP") == pence


def test_a_value_without_currency_is_left_aside_and_a_rounded_one_remarked_on() -> None:
    assert finished(money(Section({"amount": 5}))) == ((None, None), [LeftAside("value without currency")])
    (minor, _), outcomes = finished(money(Section({"amount": Decimal("1.005"), "currency": "GBP"})))
    assert minor == 100
    assert [type(outcome) for outcome in outcomes] == [Remark]
    assert finished(money(Section({"amount": None, "currency": "GBP"}))) == ((None, None), [])


@pytest.mark.parametrize("amount", ["5", True, [5], {"amount": 5}, Decimal("1e400")])
def test_what_is_no_amount_is_refused_by_its_path(amount: Any) -> None:
    with pytest.raises(RecordRefusedError) as refused:
        finished(money(Section({"amount": amount, "currency": "GBP"}, "tender.value")))
    assert refused.value.field == "tender.value.amount"


@pytest.mark.parametrize(
    ("text", "end", "day"),
    [
        ("2016-04-06", False, date(2016, 4, 6)),
        ("2016-04-06T12:00:00Z", False, date(2016, 4, 6)),
        ("2016", False, date(2016, 1, 1)),
        ("2016", True, date(2016, 12, 31)),
        ("2016-02", True, date(2016, 2, 29)),
        ("2016-12", True, date(2016, 12, 31)),
    ],
)
def test_a_year_or_month_means_all_of_it(text: str, end: bool, day: date) -> None:
    assert Section({"day": text}).day("day", end=end) == (day - date(1970, 1, 1)).days


@pytest.mark.parametrize(
    "text",
    ["yesterday", "20160406123", "2016-13", "2016-00", "2016-W01-1", "2016-02-30", "9999999", "٢٠١٦-٠٤"],
)
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(RecordRefusedError):
        Section({"day": text}).day("day")


@pytest.mark.parametrize(
    ("scheme", "number", "organisation"),
    [
        ("GB-COH", "01193013", "GB-COH-01193013"),
        ("GB-COH", "1193013", "GB-COH-01193013"),
        ("gb-coh", " 001193013 ", "GB-COH-01193013"),
        ("GB-COH", "GB-COH-1193013", "GB-COH-01193013"),
        ("GB-COH", "Sc 33518", "GB-COH-SC033518"),
        ("GB-COH", "IP28746R", "GB-COH-IP28746R"),
        ("GB-COH", "6k925n", None),
        ("GB-COH", "06th April 2016", None),
        ("GB-COH", "0", None),
        ("GB-COH", "123456789", None),
        ("GB-SRS", "sid4gov.example/aB3", "GB-SRS-sid4gov.example/aB3"),
        ("GB-SRS", "a b", None),
        ("", "1193013", None),
        (None, "1193013", None),
        ("GB-COH", None, None),
        ("OpenCorporates", "1193013", None),
    ],
)
def test_identifiers_have_one_spelling_or_none(
    scheme: str | None, number: str | None, organisation: str | None
) -> None:
    assert organisation_id(scheme, number) == organisation


def test_a_credit_code_with_a_wrong_check_character_identifies_nobody() -> None:
    start = "91330100MA2ABCDE1"
    right = credit_code_check(start)
    wrong = "0" if right != "0" else "1"
    assert organisation_id("CN-USCC", (start + right).lower()) == f"CN-USCC-{start}{right}"
    assert organisation_id("CN-USCC", start + wrong) is None


def test_the_register_of_companies_is_preferred_to_other_registers() -> None:
    stated = [("GB-SRS", "x1"), ("GB-COH", "1193013"), ("GB-COH", "01193013")]
    assert official_organisation(stated) == "GB-COH-01193013"
    assert official_organisation(stated[:1]) == "GB-SRS-x1"


def test_two_numbers_of_one_register_identify_nobody() -> None:
    assert official_organisation([("GB-COH", "1193013"), ("GB-COH", "2989025")]) is None


def test_a_local_organisation_depends_on_its_whole_context() -> None:
    first = local_organisation("OCDS", "ocds-1", "7")
    assert first == local_organisation("OCDS", "ocds-1", "7")
    assert (
        len({first, local_organisation("OCDS", "ocds-17", ""), local_organisation("OCDS", "ocds-2", "7")})
        == 3
    )
