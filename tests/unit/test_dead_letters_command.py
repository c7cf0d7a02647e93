"""What `xiezhi dead-letters` shows and refuses before any broker is asked."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from xiezhi.cli.dead_letter_pages import listing, page, to_object
from xiezhi.cli.dead_letters import Since, group
from xiezhi.cli.terminal import to_json
from xiezhi.contracts.dead_letter import DeadLetter
from xiezhi.dead_letter_log import DeadRecord, Letter, dead_records
from xiezhi.dead_letters import letter_of
from xiezhi.log import RawRecord

HOSTILE = "\x1b]0;title\x07\x9b31m\u202eevil\r\n"


def dead(value: bytes | None = bytes(range(256)) * 2) -> DeadRecord:
    headers = (("ce_id", b"\x1b[2Jx"), ("raw", b"\xff\xfe"), ("none", None), (HOSTILE, HOSTILE.encode()))
    record = RawRecord("finance.payment.v1", 1, 7, 5_000, HOSTILE.encode(), value, headers)
    content = letter_of(record, stage="router", reason="undecodable_avro", detail=HOSTILE, failed_ms=9_000)
    letter = Letter(DeadLetter.model_validate(content), "event", len(value or b""))
    return dead_records([letter])[0]


def test_a_list_shows_where_and_why_and_nothing_of_the_content() -> None:
    heads, row = listing([dead()])
    assert heads.split() == ["id", "stage", "reason", "attempts", "failed", "bytes", "detail"]
    assert row.split()[:4] == ["finance.payment.v1/1/7", "router", "undecodable_avro", "1"]
    assert set(to_object(dead())) & {"key", "value", "headers"} == set()
    assert listing([]) == ["no dead letters wait"]


def test_one_record_is_shown_with_headers_and_a_preview_of_its_bytes() -> None:
    text = "\n".join(page(dead(), 20))
    assert "00000000  00 01 02 03" in text
    assert "00000010  10 11 12 13" + " " * 36 + "  ....\n" in text
    assert "492 more" in text
    assert "0xfffe" in text
    assert "value: null" in "\n".join(page(dead(None), 20))
    assert "more" not in "\n".join(page(dead(), 512))


def test_nothing_of_a_record_commands_the_terminal() -> None:
    for line in [*listing([dead()]), *page(dead(), 512), to_json(to_object(dead(), whole=True))]:
        assert line.isprintable() or line == "", ascii(line)


def test_json_holds_the_bytes_as_base64() -> None:
    whole = json.loads(to_json(to_object(dead(b"\x00\xff"), whole=True)))
    assert whole["value"] == "AP8="
    assert whole["waits"] is True
    assert (
        DeadLetter.model_validate_json(
            json.dumps({name: whole[name] for name in DeadLetter.model_fields})
        ).value
        == b"\x00\xff"
    )


@pytest.mark.parametrize(
    ("text", "age_ms"), [("90s", 90_000), ("2h", 7_200_000), ("7d", 604_800_000), ("15m", 900_000)]
)
def test_since_takes_an_age(text: str, age_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xiezhi.cli.dead_letters.now_ms", lambda: 10**12)
    assert Since().convert(text, None, None) == 10**12 - age_ms


def test_since_takes_an_instant_with_its_time_zone() -> None:
    assert Since().convert("1970-01-01T08:00:01+08:00", None, None) == 1_000


@pytest.mark.parametrize("text", ["yesterday", "2026-03-01T09:00:00", "-1h", ""])
def test_any_other_since_is_refused(text: str) -> None:
    result = CliRunner().invoke(group, ["list", "--since", text])
    assert result.exit_code == 2
    assert "2026-03-01T09:00:00+08:00" in result.output


def test_a_replay_of_nothing_in_particular_is_refused() -> None:
    result = CliRunner().invoke(group, ["replay", "--yes"])
    assert result.exit_code == 2
    assert "say which" in result.output
