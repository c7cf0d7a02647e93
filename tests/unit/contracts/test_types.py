"""Field types: what people write becomes the integers and strings that travel."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from xiezhi.contracts.types import (
    Amount,
    Currency,
    Day,
    Identifier,
    Instant,
    Jurisdiction,
    OrganisationId,
    PartyId,
    Permille,
    PersonToken,
    credit_code_check,
)

TOKEN = "pt1_" + "a" * 26
CODE = "91000000000000001N"


def accepts(annotation: Any, value: object) -> Any:
    return TypeAdapter(annotation).validate_python(value)


def refuses(annotation: Any, value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(annotation).validate_python(value)


def test_an_instant_is_milliseconds_of_any_zone() -> None:
    assert accepts(Instant, "1970-01-01T08:00:00.001+08:00") == 1
    assert accepts(Instant, "1969-12-31T23:59:59.999Z") == -1
    assert accepts(Instant, datetime(2026, 3, 1, tzinfo=UTC)) == 1_772_323_200_000
    assert accepts(Instant, 42) == 42


@pytest.mark.parametrize(
    "value", ["2026-03-01T09:00:00", "2026-03-01", "yesterday", 1.5, True, None, "", 253402300800000]
)
def test_an_instant_without_a_zone_or_of_another_kind_is_refused(value: object) -> None:
    refuses(Instant, value)


@given(st.datetimes(timezones=st.timezones(), min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)))  # noqa: DTZ001 - Hypothesis adds the zone
def test_the_text_of_an_instant_means_what_the_instant_means(moment: datetime) -> None:
    whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert accepts(Instant, whole.isoformat()) == accepts(Instant, whole)
    assert datetime.fromtimestamp(0, UTC).timestamp() * 1000 + accepts(Instant, whole) == pytest.approx(
        whole.timestamp() * 1000
    )


def test_an_instant_before_the_first_or_after_the_last_year_is_refused_like_any_other() -> None:
    refuses(Instant, "0001-01-01T00:00:00+08:00")
    refuses(Instant, "9999-12-31T23:59:59-08:00")


def test_a_day_is_days_since_1970() -> None:
    assert accepts(Day, "1970-01-02") == 1
    assert accepts(Day, date(1969, 12, 31)) == -1
    for value in ("2026-02-30", "2026-03-01T00:00:00+08:00", datetime(2026, 3, 1, tzinfo=UTC), 1.0, None):
        refuses(Day, value)


def test_amounts_are_whole_and_not_negative() -> None:
    assert accepts(Amount, 0) == 0
    for value in (-1, 1.0, "1", True, 2**62 + 1):
        refuses(Amount, value)


def test_shares_lie_between_nothing_and_the_whole() -> None:
    assert [accepts(Permille, share) for share in (0, 1000)] == [0, 1000]
    refuses(Permille, 1001)
    refuses(Permille, -1)


def test_a_currency_has_three_capital_letters() -> None:
    assert accepts(Currency, "CNY") == "CNY"
    for value in ("cny", "CNYY", "元", "CNY\n"):
        refuses(Currency, value)


def test_a_credit_code_with_any_one_character_changed_is_refused() -> None:
    assert accepts(OrganisationId, f"CN-USCC-{CODE}") == f"CN-USCC-{CODE}"
    for index, char in enumerate(CODE):
        changed = CODE[:index] + ("2" if char != "2" else "3") + CODE[index + 1 :]
        refuses(OrganisationId, f"CN-USCC-{changed}")


@given(st.text(alphabet="0123456789ABCDEFGHJKLMNPQRTUWXY", min_size=17, max_size=17))
def test_every_code_has_exactly_one_check_character(leading: str) -> None:
    good = [c for c in "0123456789ABCDEFGHJKLMNPQRTUWXY" if credit_code_check(leading + c) == c]
    assert good == [credit_code_check(leading)]


def test_organisations_of_other_registers_need_their_prefix() -> None:
    assert accepts(OrganisationId, "GB-COH-01234567") == "GB-COH-01234567"
    for value in (
        "01234567",
        "gb-coh-01234567",
        "GB-COH-",
        "GB-COH-1|2",
        f"CN-USCC-{CODE[:-1]}",
        "GB-COH-1\n",
    ):
        refuses(OrganisationId, value)


@pytest.mark.parametrize(
    "value", ["", "pt1_short", "PT1_" + "a" * 26, "110101199003070000", TOKEN + "\n", "pt0_" + "a" * 26]
)
def test_a_person_may_be_named_by_a_token_only(value: str) -> None:
    refuses(PersonToken, value)
    refuses(PartyId, value)


def test_a_party_is_a_token_or_an_organisation() -> None:
    assert accepts(PartyId, TOKEN) == TOKEN
    assert accepts(PartyId, "GB-COH-01234567") == "GB-COH-01234567"


@pytest.mark.parametrize("value", ["", "a|b", "a\x00b", "a\nb", "x" * 201])
def test_an_identifier_can_be_part_of_a_key(value: str) -> None:
    refuses(Identifier, value)
    assert accepts(Identifier, "合同-2026/001") == "合同-2026/001"


@pytest.mark.parametrize(
    "value", ["110000", "11000000000a", "1100000000000", "１１００００００００００", "110000000000\n"]
)
def test_a_jurisdiction_has_twelve_digits(value: str) -> None:
    refuses(Jurisdiction, value)
    assert accepts(Jurisdiction, "110000000000") == "110000000000"
