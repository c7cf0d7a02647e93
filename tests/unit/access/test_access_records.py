"""Who, what, why and when: what an act puts on the trail."""

from __future__ import annotations

import getpass
import os
import pwd

import pytest

from xiezhi.access import Act, accesses, account_name, actor_of, record_access
from xiezhi.access_log import Wanted
from xiezhi.contracts.access import OBJECTS_MAX, Access
from xiezhi.contracts.bus import ACCESS
from xiezhi.errors import AccessRefusedError
from xiezhi.settings import Settings

SHOW = Act("read", "alert", ("al_1",), "alerts show")


def made(act: Act, why: str = "", **settings: object) -> tuple[Access, ...]:
    return accesses(Settings.model_validate(settings), act, purpose=why, now_ms=5)


def test_one_act_is_one_record_that_names_the_object_once() -> None:
    (record,) = made(SHOW, "case-7")
    assert (record.action, record.object_type, record.object_id) == ("read", "alert", "al_1")
    assert (record.command, record.purpose, record.accessed_ms) == ("alerts show", "case-7", 5)
    assert record.object_ids == []


def test_an_act_on_several_objects_names_them_all() -> None:
    (record,) = made(Act("search", "alert", ("al_1", "al_2"), "alerts list"))
    assert (record.object_id, record.object_ids) == ("al_1", ["al_1", "al_2"])


def test_an_act_that_met_nothing_is_recorded_too() -> None:
    (record,) = made(Act("search", "alert", (), "alerts list"))
    assert (record.object_id, record.object_ids) == ("-", [])


def test_an_act_on_more_objects_than_a_record_holds_takes_several_and_leaves_none_out() -> None:
    ids = tuple(f"al_{number}" for number in range(2 * OBJECTS_MAX + 1))
    records = made(Act("export", "alert", ids, "alerts list"))
    assert [len(one.object_ids) for one in records] == [OBJECTS_MAX, OBJECTS_MAX, 0]
    assert records[2].object_id == ids[-1]
    assert len({one.record_id for one in records}) == 3


def test_every_act_has_an_id_of_its_own() -> None:
    assert made(SHOW)[0].record_id != made(SHOW)[0].record_id


@pytest.mark.parametrize(
    ("given", "setting", "recorded"),
    [
        ("", "", "unstated"),
        ("  ", "case-1", "case-1"),
        ("", "case-1", "case-1"),
        ("case-2", "case-1", "case-2"),
    ],
)
def test_the_purpose_is_the_commands_else_the_settings_else_unstated(
    given: str, setting: str, recorded: str
) -> None:
    assert made(SHOW, given, purpose=setting)[0].purpose == recorded


def test_where_a_purpose_is_due_an_act_without_one_is_refused() -> None:
    with pytest.raises(AccessRefusedError, match="`alerts show` needs a purpose"):
        made(SHOW, " ", purpose_required=True)
    assert made(SHOW, "case-1", purpose_required=True)[0].purpose == "case-1"


@pytest.mark.parametrize("purpose", ["x" * 501, "broken \udcff"])
def test_a_purpose_that_breaks_the_contract_is_refused(purpose: str) -> None:
    with pytest.raises(AccessRefusedError, match="purpose"):
        made(SHOW, purpose)


def test_without_a_name_the_actor_is_the_account_whatever_the_environment_claims(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGNAME", "somebody-else")
    monkeypatch.setenv("USER", "somebody-else")
    assert getpass.getuser() == "somebody-else"
    account = pwd.getpwuid(os.getuid()).pw_name
    assert actor_of(Settings()) == f"urn:xiezhi:user:{account}"
    assert made(SHOW)[0].account == account


@pytest.mark.parametrize(
    ("named", "actor"),
    [
        ("auditor-1", "urn:xiezhi:user:auditor-1"),
        ("urn:xiezhi:service:archive", "urn:xiezhi:service:archive"),
        ("审计 a|b", "urn:xiezhi:user:%E5%AE%A1%E8%AE%A1%20a%7Cb"),
    ],
)
def test_a_named_actor_is_a_urn_and_the_account_is_recorded_all_the_same(named: str, actor: str) -> None:
    (record,) = made(SHOW, actor=named)
    assert (record.actor, record.account) == (actor, account_name())


def test_an_account_without_a_name_goes_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_001)
    assert actor_of(Settings()) == "urn:xiezhi:user:uid-4000001"


def test_a_broker_that_is_away_refuses_the_act_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    away = Settings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1")
    with pytest.raises(
        AccessRefusedError, match="`alerts show` is refused, since the access cannot be recorded"
    ):
        record_access(away, SHOW)


def test_the_trail_is_searched_by_actor_object_and_time() -> None:
    (record,) = made(Act("search", "alert", ("al_1", "al_2"), "alerts list"), actor="a")
    assert Wanted().fits(record)
    assert Wanted(actor="urn:xiezhi:user:a").fits(record)
    assert not Wanted(actor="urn:xiezhi:user:b").fits(record)
    assert Wanted(object_id="al_2").fits(record)
    assert not Wanted(object_id="al_3").fits(record)
    assert Wanted(since_ms=5).fits(record)
    assert not Wanted(since_ms=6).fits(record)


def test_the_contract_has_no_room_for_content() -> None:
    """Whoever adds a field has to look here: the trail says that an object was seen, never what it said."""
    assert [field["name"] for field in ACCESS.schema["fields"]] == [
        "record_id",
        "actor",
        "action",
        "object_type",
        "object_id",
        "purpose",
        "accessed_ms",
        "object_ids",
        "command",
        "account",
    ]
