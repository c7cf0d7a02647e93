"""What the doctor says: findings with a severity and an advice, one examination per part of the bus.

Texts live in a `doctor.toml`, here and beside the checks that a project adds; a finding names one and gives the facts
that go into it. Facts are names of services, topics, groups, rules and numbers, never anything that a record holds.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from xiezhi.contracts.base import Contract
from xiezhi.settings import Settings

Lang = Literal["zh", "en", "both"]
Facts = dict[str, str | int]
LANGS: tuple[Lang, ...] = get_args(Lang)


class Severity(StrEnum):
    """How much it matters; in this order."""

    CRITICAL = "critical"  # records or alerts do not move, or soon will not
    WARNING = "warning"  # something waits for somebody to look
    NOTE = "note"  # worth knowing; the bus is healthy all the same

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. `text` names an entry of the `finding` table in `catalogue`."""

    severity: Severity
    part: str
    text: str
    facts: Mapping[str, str | int] = field(default_factory=dict)
    catalogue: str = "xiezhi.doctor"  # the package whose doctor.toml has the text

    def said(self, lang: Lang) -> str:
        """What is wrong."""
        return _in(lang, _texts(self.catalogue)[self.text].what, self.facts)

    def advice(self, lang: Lang) -> str:
        """What to do."""
        return _in(lang, _texts(self.catalogue)[self.text].do, self.facts)


@dataclass(frozen=True, slots=True)
class Examined:
    """What one check saw: a few words of names and numbers, and its findings."""

    summary: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Patient:
    """The bus that is examined. `contracts` and `services` are empty where there is no project."""

    settings: Settings
    contracts: Sequence[Contract]
    services: Sequence[str]
    now_ms: int
    #: What a check may wait for one answer; all of them together have a deadline besides.
    timeout_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """One part of the bus. `examine` may block and may raise XiezhiError: then the part could not be examined."""

    part: str
    examine: Callable[[Patient], Examined]
    needs: tuple[str, ...] = ()  # parts that must be well; it is not asked while one of them is not
    catalogue: str = "xiezhi.doctor"  # the package whose doctor.toml has its name


class Bilingual(BaseModel):
    """One text in both languages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zh: str
    en: str


class FindingText(BaseModel):
    """What is wrong and what to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: Bilingual
    do: Bilingual


@cache
def _file(package: str) -> dict[str, dict[str, dict[str, object]]]:
    return tomllib.loads(files(package).joinpath("doctor.toml").read_text("utf-8"))


@cache
def _texts(package: str) -> dict[str, FindingText]:
    return {name: FindingText.model_validate(one) for name, one in _file(package)["finding"].items()}


def label(name: str, lang: Lang, **facts: str | int) -> str:
    """One of the words on the page. Raises KeyError for an unknown one."""
    return _in(lang, Bilingual.model_validate(_file("xiezhi.doctor")["label"][name]), facts)


def part_label(part: str, package: str, lang: Lang) -> str:
    return _in(lang, Bilingual.model_validate(_file(package)["part"][part]), {})


def _in(lang: Lang, text: Bilingual, facts: Mapping[str, str | int]) -> str:
    wanted = (text.zh, text.en) if lang == "both" else (getattr(text, lang),)
    return " ".join(one.format_map(facts) for one in wanted)
