"""Every finding in the code has its texts in both languages, with the facts that it gives; no text is left over."""

from __future__ import annotations

import ast
import string
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CATALOGUES = ("xiezhi/doctor", "streams", "consumers/alerts", "consumers/audit")


def texts(folder: str) -> dict[str, dict[str, dict[str, str]]]:
    found: dict[str, dict[str, dict[str, str]]] = tomllib.loads(
        (ROOT / folder / "doctor.toml").read_text("utf-8")
    )["finding"]
    return found


def constants(folder: str) -> set[str]:
    files = (ROOT / folder).glob("*.py") if folder == "xiezhi/doctor" else [ROOT / folder / "checks.py"]
    return {
        node.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("folder", CATALOGUES)
def test_every_text_is_used(folder: str) -> None:
    assert texts(folder).keys() <= constants(folder)


@pytest.mark.parametrize("folder", CATALOGUES)
def test_both_languages_give_the_same_facts(folder: str) -> None:
    for name, one in texts(folder).items():
        assert set(one) == {"what", "do"}, name
        for part in one.values():
            facts = {
                language: {field for _, field, _, _ in string.Formatter().parse(text) if field}
                for language, text in part.items()
            }
            assert set(facts) == {"zh", "en"}, name
            assert facts["zh"] == facts["en"], name
