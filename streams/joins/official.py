"""One person as an official: seats on panels, posts and kin, carried to the procedures the person decides in.

The relations name kin and are restricted like the kinship records they rest on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from schemas import catalogue
from streams.kernel import Derivation, Derived, Evidence, Finding, Input, Join, Statement, Value, View
from streams.rules.days import day_of
from streams.rules.findings import merged
from streams.rules.standing import ESTABLISHED, ingested_ms, known_since_ms
from streams.rules.tenders import PANEL_INTEREST


def by_person(value: Value) -> Iterable[str]:
    return [value["person"]]


def by_both(value: Value) -> Iterable[str]:
    return [value["person_a"], value["person_b"]]


def derive(view: View, findings: Mapping[str, Sequence[Finding]]) -> Iterable[Derived]:
    """For every seat that an official took: the official, and each of the kin registered on that day."""
    found: list[Derived] = []
    for seat in view.of(catalogue.PANEL.topic):
        day = day_of(_decided_ms(seat))
        posts = [post for post in view.of(catalogue.APPOINTMENT.topic) if _in_force(post, day)]
        if seat["recused"] or not posts:
            continue
        found.append(_interest(seat, posts, view.key, "self", kinship=None))
        for kinship in view.of(catalogue.KINSHIP.topic):
            if _in_force(kinship, day):
                party, relation = _kin(kinship, view.key)
                found.append(_interest(seat, posts, party, relation, kinship=kinship))
    return found


def _decided_ms(seat: Statement) -> int:
    return seat["decided_at"] if seat["decided_at"] is not None else seat.occurred_ms


def _in_force(record: Statement, day: int) -> bool:
    begun = record["valid_from"] is None or record["valid_from"] <= day
    return begun and (record["valid_to"] is None or day < record["valid_to"])


def _kin(kinship: Statement, person: str) -> tuple[str, str]:
    """The other person, and what that person is to this one."""
    is_a = kinship["person_a"] == person
    other = kinship["person_b"] if is_a else kinship["person_a"]
    if kinship["kind"] != "parent":
        return other, kinship["kind"]
    return other, "child" if is_a else "parent"


def _interest(
    seat: Statement, posts: Sequence[Statement], party: str, relation: str, *, kinship: Statement | None
) -> Derived:
    post = max(posts, key=lambda p: (p["valid_from"], p.record_id))
    since = known_since_ms([seat, min(posts, key=ingested_ms), *([kinship] if kinship else [])])
    return Derived(
        kind=PANEL_INTEREST,
        identity=(seat.record_id, kinship.record_id if kinship else ""),
        attributes={
            "procedure_id": seat["procedure_id"],
            "official": seat["person"],
            "role": seat["role"],
            "party": party,
            "relation": relation,
            "decided_ms": str(_decided_ms(seat)),
            ESTABLISHED: str(since),  # any post made it so, and evidence is the last one
        },
        evidence=merged(
            [Evidence.of(seat, "person", "role", "decided_at", "recused")],
            [Evidence.of(post, "person", "valid_from", "valid_to")],
            [Evidence.of(kinship)]
            if kinship
            else [],  # which fields mattered would tell what the relation is
        ),
        jurisdiction=seat.jurisdiction,
    )


JOIN = Join(
    name="official",
    inputs=(
        Input(catalogue.PANEL.topic, by_person),
        Input(catalogue.APPOINTMENT.topic, by_person),
        Input(catalogue.KINSHIP.topic, by_both),
    ),
    derivations=(Derivation("panel-interest", PANEL_INTEREST, derive),),
)
