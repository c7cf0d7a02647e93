"""What statement ids mean, and which records were told from them; in a database file, so memory stays bounded.

Statements refer to each other by id, in any order and across files, so all of them are admitted first and told
after, oldest first. Without a path the index is temporary; with one it is kept, so that a later file may refer to
and replace what an earlier one said.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

from producers.bods.facts import CompanyFacts, OwnershipFacts
from producers.bods.interests import Holding
from producers.bods.statement import Statement
from producers.importing.outcomes import Place
from xiezhi.errors import ConfigurationError

_TABLES = """
CREATE TABLE IF NOT EXISTS statement (id TEXT PRIMARY KEY, base TEXT NOT NULL, version INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS statement_base ON statement (base, version);
CREATE TABLE IF NOT EXISTS replaced (id TEXT PRIMARY KEY, base TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS party (base TEXT PRIMARY KEY, party TEXT, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS told (
    base TEXT NOT NULL, contract TEXT NOT NULL, record TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (base, contract, record));
CREATE INDEX IF NOT EXISTS told_record ON told (contract, record);
CREATE TEMP TABLE waiting (number INTEGER PRIMARY KEY, id TEXT NOT NULL, place TEXT NOT NULL, facts TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Admitted:
    """Where a statement belongs: `base` names the thing it is about, `version` grows along its statements."""

    base: str
    version: int


class Index:
    """Used by one import at a time. Nothing is kept unless `keep` is called. Raises ConfigurationError."""

    def __init__(self, path: str = "") -> None:
        """`path` of the database; "" for a temporary one that spills to disk."""
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.executescript(_TABLES)
            self._database.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise ConfigurationError(f"cannot use {path or 'a temporary file'} as index: {error}") from error

    def close(self) -> None:
        self._database.close()

    def keep(self) -> None:
        """Make everything since the beginning durable."""
        self._database.execute("COMMIT")
        self._database.execute("BEGIN IMMEDIATE")

    def admit(self, statement: Statement, *, scope: str) -> Admitted:
        """Find out what a statement is about and give it a version greater than what it replaces.

        Record ids (0.4) are unique within one publisher only: `scope` tells publishers apart.
        """
        base = f"{statement.record}@{scope}" if statement.record else self._base(statement)
        version = self._version(statement, base)
        self._execute(
            "INSERT OR REPLACE INTO statement VALUES (?, ?, ?)", statement.statement_id, base, version
        )
        for replaced in statement.replaces:
            self._execute("INSERT OR REPLACE INTO replaced VALUES (?, ?, ?)", replaced, base, version)
        return Admitted(base, version)

    def _base(self, statement: Statement) -> str:
        """The first statement of the chain of replacements, as far as it is known."""
        later = self._one("SELECT base FROM replaced WHERE id = ?", statement.statement_id)
        if later:
            return str(later[0])
        earlier = [self._one("SELECT base FROM statement WHERE id = ?", old) for old in statement.replaces]
        bases = [str(found[0]) for found in earlier if found]
        for other in bases[1:]:
            self._merge(other, bases[0])
        return bases[0] if bases else statement.statement_id

    def _merge(self, base: str, into: str) -> None:
        for table in ("statement", "replaced", "party", "told"):
            self._execute(f"UPDATE OR REPLACE {table} SET base = ? WHERE base = ?", into, base)  # noqa: S608

    def _version(self, statement: Statement, base: str) -> int:
        known = self._one("SELECT version FROM statement WHERE id = ?", statement.statement_id)
        if known:
            return int(known[0])
        version = statement.made_ms or 0
        replacement = self._one("SELECT version FROM replaced WHERE id = ?", statement.statement_id)
        if replacement:
            return max(0, min(version, int(replacement[0]) - 1))
        if statement.replaces:
            newest = self._one("SELECT max(version) FROM statement WHERE base = ?", base)
            return max(version, 1, 1 + int((newest and newest[0]) or 0))
        taken = "SELECT 1 FROM statement WHERE base = ? AND version = ?"
        while self._one(taken, base, version):
            version += 1  # days are too coarse to order two statements of one day: the file's order does
        return version

    def name_party(self, admitted: Admitted, party: str | None) -> None:
        """Remember which organisation or person token a thing is; None for nobody."""
        known = self._one("SELECT version FROM party WHERE base = ?", admitted.base)
        if not known or known[0] <= admitted.version:
            values = (admitted.base, party, admitted.version)
            self._execute("INSERT OR REPLACE INTO party VALUES (?, ?, ?)", *values)

    def party(self, reference: str, *, scope: str) -> tuple[bool, str | None]:
        """(whether it is described, who it is) of a statement id or record id."""
        found = self._one(
            "SELECT party FROM party WHERE base = ? OR base = (SELECT base FROM statement WHERE id = ?)",
            f"{reference}@{scope}",
            reference,
        )
        return (True, found[0]) if found else (False, None)

    def party_of(self, base: str) -> str | None:
        """Who a thing is."""
        found = self._one("SELECT party FROM party WHERE base = ?", base)
        return found[0] if found else None

    def wait(self, place: Place, statement_id: str, facts: CompanyFacts | OwnershipFacts) -> None:
        """Put what an admitted statement says aside until everything is admitted."""
        values = (statement_id, json.dumps(astuple(place)), json.dumps(astuple(facts)))
        self._execute("INSERT INTO waiting (id, place, facts) VALUES (?, ?, ?)", *values)

    def waiting(self) -> Iterator[tuple[Place, Admitted, CompanyFacts | OwnershipFacts]]:
        """What was put aside, oldest statement first."""
        rows = self._database.execute(
            "SELECT place, base, version, facts FROM waiting JOIN statement USING (id) ORDER BY version, number"
        )
        for place, base, version, facts in rows:
            yield Place(*json.loads(place)), Admitted(base, version), _facts(json.loads(facts))

    def is_stale(self, admitted: Admitted) -> bool:
        """Whether a newer statement about the same thing was told before."""
        newest = self._one("SELECT max(version) FROM told WHERE base = ?", admitted.base)
        return bool(newest and newest[0] is not None and newest[0] > admitted.version)

    def tell(self, admitted: Admitted, records: set[tuple[str, str]]) -> list[tuple[str, str]]:
        """Remember the (contract, record id) that a statement makes; returns those that nobody makes any more."""
        before = self._database.execute("SELECT contract, record FROM told WHERE base = ?", (admitted.base,))
        gone = sorted({(contract, record) for contract, record in before} - records)
        forget = "DELETE FROM told WHERE base = ? AND contract = ? AND record = ?"
        for each in gone:
            self._execute(forget, admitted.base, *each)
        for each in records:
            self._execute(
                "INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?)", admitted.base, *each, admitted.version
            )
        still_told = "SELECT 1 FROM told WHERE contract = ? AND record = ?"
        return [each for each in gone if not self._one(still_told, *each)]

    def missing_replaced(self) -> int:
        """How many statements were replaced that no file contained."""
        found = self._one("SELECT count(*) FROM replaced WHERE id NOT IN (SELECT id FROM statement)")
        return int(found[0]) if found else 0

    def _one(self, query: str, *values: Any) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._database.execute(query, values).fetchone()
        return row

    def _execute(self, query: str, *values: Any) -> None:
        self._database.execute(query, values)


def _facts(values: list[Any]) -> CompanyFacts | OwnershipFacts:
    """Facts as they were put aside; the two differ in whether the last value is a list."""
    if isinstance(values[-1], list):
        occurred_ms, subject, owner, held = values
        return OwnershipFacts(occurred_ms, subject, owner, tuple(Holding(*each) for each in held))
    return CompanyFacts(*values)
