"""`xiezhi alerts` as people type it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from consumers.alerts.cli import alerts, trace
from consumers.alerts.store import AlertStore
from tests.alert_statements import statement
from xiezhi.contracts.access import Access
from xiezhi.errors import AccessRefusedError, StoreError


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AlertStore:
    monkeypatch.setenv("XIEZHI_DATA_DIR", str(tmp_path))
    opened = AlertStore.open(f"sqlite:///{tmp_path / 'alerts.sqlite3'}")
    opened.apply(
        [
            statement("al_ab1", 1),
            statement("al_ab2", 1, severity="red", handling="sealed", rule_id="P13"),
            statement("al_c", 1, jurisdiction="330106000000"),
        ],
        {},
        stored_ms=5,
    )
    opened.close()
    return opened


def run(*arguments: str) -> Result:
    return CliRunner().invoke(alerts, arguments, catch_exceptions=False)


def test_a_list_shows_alerts_newest_first_and_says_suspected(store: AlertStore) -> None:
    result = run("list")
    assert [line.split()[0] for line in result.output.splitlines()[1:4]] == ["al_c", "al_ab2", "al_ab1"]
    assert "疑似" in result.output
    assert "\x1b" not in result.output


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--severity", "red"), ["al_ab2"]),
        (("--handling", "sealed"), ["al_ab2"]),
        (("--handling", "open"), ["al_c", "al_ab1"]),
        (("--rule", "P13", "--rule", "C04"), ["al_c", "al_ab2", "al_ab1"]),
        (("--jurisdiction", "3301"), ["al_c"]),
        (("--state", "withdrawn"), []),
        (("--limit", "1"), ["al_c"]),
    ],
)
def test_a_list_is_narrowed_by_options(
    store: AlertStore, options: tuple[str, ...], expected: list[str]
) -> None:
    lines = run("list", "--json", *options).output.splitlines()
    assert [json.loads(line)["alert"]["record_id"] for line in lines] == expected


def test_a_list_can_be_asked_as_of_an_instant(store: AlertStore) -> None:
    lines = run("list", "--json", "--said-at", "2026-04-20T14:03:13+08:00").output.splitlines()
    assert len(lines) == 3
    assert run("list", "--json", "--said-at", "2026-04-20T06:03:12.999Z").output == ""


@pytest.mark.parametrize(
    ("instant", "complaint"),
    [
        ("yesterday", "is no instant"),
        ("2026-04-20T14:03:13", "is no instant"),  # without a time zone
        ("9999-01-01T00:00:00Z", "lies ahead"),
    ],
)
def test_an_instant_that_is_none_or_lies_ahead_is_refused(
    store: AlertStore, instant: str, complaint: str
) -> None:
    result = run("list", "--said-at", instant)
    assert result.exit_code == 2
    assert complaint in result.output


def test_a_jurisdiction_that_is_no_code_is_refused(store: AlertStore) -> None:
    result = run("list", "--jurisdiction", "Hangzhou")
    assert result.exit_code == 2
    assert "first digits" in result.output


def test_an_alert_is_shown_by_the_unique_beginning_of_its_id(store: AlertStore) -> None:
    assert "al_ab1" in run("show", "al_ab1", "--lang", "en").output
    assert "330106000000" in run("show", "al_c").output
    assert json.loads(run("show", "al_c", "--json").output)["alert"]["record_id"] == "al_c"


def test_a_beginning_that_several_ids_share_is_refused_with_the_choices(store: AlertStore) -> None:
    result = run("show", "al_ab")
    assert result.exit_code == 2
    assert "al_ab1, al_ab2" in result.output


@pytest.mark.parametrize("unknown", ["nothing", "", "al_%"])
def test_an_unknown_id_is_refused(store: AlertStore, unknown: str) -> None:
    result = run("show", unknown)
    assert result.exit_code == 2
    assert "no alert has an id" in result.output


def test_without_a_store_the_command_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XIEZHI_DATA_DIR", str(tmp_path))
    with pytest.raises(StoreError, match="start the services"):
        run("list")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_following_ends_cleanly_and_resumes(
    store: AlertStore, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    from consumers.alerts import cli

    written: list[str] = []
    real = cli._as_json

    def write_then_interrupt(stored: object) -> str:
        if len(written) == 1:
            os.kill(os.getpid(), number)
        written.append(real(stored))  # type: ignore[arg-type]
        return written[-1]

    monkeypatch.setattr(cli, "_as_json", write_then_interrupt)
    before = signal.getsignal(number)
    result = run("follow", "--json", "--cursor", "desk", "--from-start")
    assert result.exit_code == 0
    assert [json.loads(line)["seq"] for line in result.output.splitlines()] == [1, 2]
    assert signal.getsignal(number) is before


def test_a_cursor_name_is_checked(store: AlertStore) -> None:
    assert run("follow", "--cursor", "../x").exit_code == 2


def noted(tmp_path: Path) -> list[tuple[str, str, list[str], str]]:
    """What waits to go on the access trail: action, command, objects, purpose."""
    opened = AlertStore.open(f"sqlite:///{tmp_path / 'alerts.sqlite3'}")
    found: tuple[Access, ...] = opened.outbox.waiting(100)
    opened.close()
    assert {one.object_type for one in found} <= {"alert"}
    return [(one.action, one.command, one.object_ids or [one.object_id], one.purpose) for one in found]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("show", "al_ab1"), ("read", "alerts show", ["al_ab1"], "unstated")),
        (("show", "al_c", "--json", "--purpose", "case-7"), ("export", "alerts show", ["al_c"], "case-7")),
        (("list",), ("search", "alerts list", ["al_c", "al_ab2", "al_ab1"], "unstated")),
        (("list", "--json", "--rule", "P13"), ("export", "alerts list", ["al_ab2"], "unstated")),
        (("list", "--rule", "X99"), ("search", "alerts list", ["-"], "unstated")),
    ],
)
def test_every_look_leaves_exactly_one_record(
    store: AlertStore, tmp_path: Path, arguments: tuple[str, ...], expected: tuple[object, ...]
) -> None:
    assert run(*arguments).exit_code == 0
    assert noted(tmp_path) == [expected]


def test_a_trace_leaves_a_record_since_its_addresses_lead_to_the_evidence(
    store: AlertStore, tmp_path: Path
) -> None:
    assert CliRunner().invoke(trace, ["al_ab1", "--purpose", "case-7"]).exit_code == 0
    assert CliRunner().invoke(trace, ["al_c", "--all", "--json"]).exit_code == 0
    assert sorted(noted(tmp_path)) == [
        ("export", "trace", ["al_c"], "unstated"),
        ("read", "trace", ["al_ab1"], "case-7"),
    ]


@pytest.mark.parametrize(
    "arguments", [("show", "al_ab"), ("show", "nothing"), ("list", "--jurisdiction", "x")]
)
def test_a_command_that_shows_nothing_leaves_no_record(
    store: AlertStore, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    assert run(*arguments).exit_code == 2
    assert noted(tmp_path) == []


def test_a_page_that_is_followed_is_one_record_made_before_its_first_line(
    store: AlertStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from consumers.alerts import cli

    before: list[int] = []
    real = cli._as_json

    def write_then_stop(stored: object) -> str:
        before.append(len(noted(tmp_path)))
        if len(before) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return real(stored)  # type: ignore[arg-type]

    monkeypatch.setattr(cli, "_as_json", write_then_stop)
    assert run("follow", "--json", "--from-start", "--purpose", "night shift").exit_code == 0
    assert before == [1, 1, 1]
    assert noted(tmp_path) == [("export", "alerts follow", ["al_ab1", "al_ab2", "al_c"], "night shift")]


@pytest.mark.parametrize("arguments", [("show", "al_c"), ("list",), ("follow", "--from-start")])
def test_nothing_is_shown_while_the_outbox_takes_nothing(
    store: AlertStore, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    with sqlite3.connect(tmp_path / "alerts.sqlite3") as database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON access_outbox "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    result = CliRunner().invoke(alerts, arguments)
    assert isinstance(result.exception, AccessRefusedError)
    assert "free some space" in str(result.exception)
    assert "al_c" not in result.stdout
    assert "330106000000" not in result.stdout


@pytest.mark.parametrize("arguments", [("show", "al_c"), ("list",), ("follow",)])
def test_where_a_purpose_is_due_nothing_is_shown_without_one(
    store: AlertStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("XIEZHI_PURPOSE_REQUIRED", "1")
    result = CliRunner().invoke(alerts, arguments)
    assert isinstance(result.exception, AccessRefusedError)
    assert "al_c" not in result.stdout
    monkeypatch.setenv("XIEZHI_PURPOSE", "case-9")
    if arguments[0] != "follow":
        assert "al_c" in run(*arguments).stdout
        assert [purpose for *_, purpose in noted(tmp_path)] == ["case-9"]
