"""The catalogue of texts on pages about alerts, in Chinese, English or both."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

from xiezhi.contracts.evidence import Bilingual

Lang = Literal["zh", "en", "both"]
LANGS: tuple[Lang, ...] = get_args(Lang)


@cache
def _catalogue() -> dict[str, dict[str, Bilingual]]:
    loaded = tomllib.loads(files(__package__).joinpath("texts.toml").read_text("utf-8"))
    return {
        group: {name: Bilingual(**text) for name, text in texts.items()} for group, texts in loaded.items()
    }


def text(group: str, name: str, lang: Lang) -> str:
    """One text of the catalogue; both languages side by side. Raises KeyError for an unknown one."""
    return " ".join(versions(_catalogue()[group][name], lang))


def versions(bilingual: Bilingual, lang: Lang) -> tuple[str, ...]:
    """The languages asked for, Chinese first. An empty text is left out."""
    wanted = (bilingual.zh, bilingual.en) if lang == "both" else (getattr(bilingual, lang),)
    return tuple(each for each in wanted if each)
