"""What people read about alerts: suspicion and never guilt, aligned, and harmless whatever the records hold."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from consumers.alerts import pages, texts
from consumers.alerts.statement import Stored
from consumers.alerts.texts import Lang
from tests.alert_statements import alert, statement
from xiezhi.cli.terminal import clean, clip, instant, pad, pairs, table, to_json, width
from xiezhi.contracts.evidence import Bilingual

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202eevil\u2066\u200b\r\nrm -rf\x7f\x00"
LANGS: tuple[Lang, ...] = texts.LANGS


def stored(seq: int = 1, **changes: Any) -> Stored:
    return Stored(seq, 1_776_664_994_000, statement("al_0f2c6d1e9b7a4c55", seq, **changes))


def hostile() -> Stored:
    text = Bilingual(zh=HOSTILE, en=HOSTILE)
    (evidence,) = alert().evidence
    return stored(
        title=text,
        explanation=text,
        rule_text=text,
        legal_basis=[HOSTILE],
        parameters={HOSTILE: HOSTILE},
        subject={HOSTILE: HOSTILE},
        office=HOSTILE,
        rule_id=HOSTILE,
        reason=HOSTILE,
        activation=HOSTILE,
        evidence=[evidence.model_copy(update={"record_id": HOSTILE, "fields": [HOSTILE], "topic": HOSTILE})],
    )


@pytest.mark.parametrize("lang", LANGS)
def test_every_page_says_suspected(lang: Lang) -> None:
    said = {"zh": "疑似", "en": "suspected", "both": "疑似"}[lang]
    for page in (pages.listing([stored()], lang), pages.page([stored()], lang), [pages.line(stored(), lang)]):
        assert said in "\n".join(page)


@pytest.mark.parametrize("lang", LANGS)
def test_nothing_from_a_record_commands_the_terminal(lang: Lang) -> None:
    one = hostile()
    shown = [*pages.listing([one], lang), *pages.page([one], lang), pages.line(one, lang)]
    assert any("evil" in line for line in shown)
    for line in [*shown, to_json(pages.to_object(one))]:
        assert line == "".join(char for char in line if char.isprintable() or char == "\u3000"), ascii(line)
    assert json.loads(to_json(pages.to_object(one)))["alert"]["office"] == HOSTILE


def test_a_page_shows_every_address_and_digest_of_the_evidence() -> None:
    one = stored()
    page = "\n".join(pages.page([one], "both"))
    for evidence in one.alert.evidence:
        assert f"{evidence.topic}/{evidence.partition}/{evidence.offset}" in page
        for part in (evidence.event_id, evidence.digest, evidence.record_id, *evidence.fields):
            assert part in page
    for part in (
        "未验收即付款",
        "Paid before acceptance",
        "grace_days = 0",
        one.alert.activation,
        "contract_id=HT",
    ):
        assert part in page


def test_a_language_leaves_the_other_out() -> None:
    assert "Paid before acceptance" not in "\n".join(pages.page([stored()], "zh"))
    assert "未验收即付款" not in "\n".join(pages.page([stored()], "en"))


def test_sealed_and_withdrawn_alerts_are_marked() -> None:
    sealed = stored(handling="sealed")
    assert "密件" in pages.line(sealed, "zh")
    assert "sealed" in pages.listing([sealed], "en")[1]
    assert "不得告知所涉单位" in "\n".join(pages.listing([sealed], "zh"))
    assert "不得告知所涉单位" not in "\n".join(pages.listing([stored()], "zh"))
    assert "no longer holds" in "\n".join(pages.page([stored(state="withdrawn")], "en"))


def test_the_history_is_shown_oldest_first_and_the_last_statement_stands() -> None:
    page = pages.page([stored(1), stored(2, state="withdrawn", severity="red")], "en")
    assert "state  withdrawn" in " ".join("\n".join(page).split()).replace("state ", "state  ")
    history = page[page.index("History") + 1 :]
    assert [line.split()[:4] for line in history[1:]] == [
        ["1", "1", "raised", "orange"],
        ["2", "2", "withdrawn", "red"],
    ]


def test_nothing_found_is_said() -> None:
    assert pages.listing([], "en") == ["no suspected problem fits"]


def test_every_text_of_the_catalogue_has_both_languages() -> None:
    source = Path(texts.__file__).with_name("texts.toml").read_text("utf-8")
    for group in tomllib.loads(source).values():
        for entry in group.values():
            assert set(entry) == {"zh", "en"}
            assert all(entry.values())


def test_columns_line_up_with_wide_characters() -> None:
    lines = table(("id", "标题", "x"), [("a", "未验收即付款", "1"), ("bcd", "paid", "2")])
    assert [width(line[: line.rindex(last)]) for line, last in zip(lines, "x12", strict=True)] == [19, 19, 19]


@pytest.mark.parametrize(
    ("text", "cells"), [("", 0), ("abc", 3), ("獬豸", 4), ("ｆｕｌｌ", 8), ("e\u0301", 1), ("a，b", 4)]
)
def test_width_counts_cells(text: str, cells: int) -> None:
    assert width(text) == cells
    assert width(pad(text, 10)) == 10


@pytest.mark.parametrize(
    ("text", "cells", "clipped"),
    [
        ("獬豸獬豸", 8, "獬豸獬豸"),
        ("獬豸獬豸", 7, "獬豸獬…"),
        ("獬豸獬豸", 6, "獬豸…"),
        ("abcdef", 4, "abc…"),
    ],
)
def test_clipping_never_cuts_a_wide_character(text: str, cells: int, clipped: str) -> None:
    assert clip(text, cells) == clipped
    assert width(clip(text, cells)) <= cells


def test_cleaning_keeps_what_is_readable_in_any_script() -> None:
    assert clean("獬豸 Ünïcode é 🦄 示其疑，不断其罪") == "獬豸 Ünïcode é 🦄 示其疑，不断其罪"
    assert clean("a\nb\tc\r") == "a b c "
    assert clean("\x1b[31m") == "\ufffd[31m"
    assert pairs([("\x1b", "a"), ("bb", "\x07")]) == ["\ufffd   a", "bb  \ufffd"]


def test_json_of_anything_reads_back() -> None:
    value = {"a": HOSTILE, "獬豸": ["\U000e0041", "\ud800", 1, None, '"\\']}
    text = to_json(value)
    assert json.loads(text) == value
    assert "獬豸" in text
    assert text.isprintable()


def test_an_instant_that_is_none_is_shown_as_its_number() -> None:
    assert instant(0) == "1970-01-01 00:00:00Z"
    assert instant(10**17) == str(10**17)
