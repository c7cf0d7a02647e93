"""The words of the province: titles of notices and findings, and what each planted scene shows (zh, en)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Note:
    """What a scene shows when it is a case (`zh`, `en`) and what excuses it when it is a decoy."""

    zh: str
    en: str
    excuse_zh: str = ""
    excuse_en: str = ""


@dataclass(frozen=True, slots=True)
class Texts:
    """`texts.toml` as read. `notes` are keyed by plot, `<rule>/<name>`."""

    notice_titles: tuple[str, ...]
    finding_titles: Mapping[str, str]
    notes: Mapping[str, Note]


@cache
def texts() -> Texts:
    """The texts, read once."""
    table = tomllib.loads(Path(__file__).with_name("texts.toml").read_text("utf-8"))
    return Texts(
        notice_titles=tuple(table["notice_titles"]),
        finding_titles=table["finding_titles"],
        notes={plot: Note(**note) for plot, note in table["notes"].items()},
    )
