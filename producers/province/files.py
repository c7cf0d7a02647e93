"""A province as files: JSON Lines per contract as departments write them, and the labels beside.

Withdrawals have no record to write; they stand in a file of their own, one line each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from producers.province.generate import Province
from producers.province.labels import write_labels
from producers.province.publication import Publication
from xiezhi.envelope import format_instant

LABELS = "labels.jsonl"
WITHDRAWALS = "withdrawals.jsonl"
CORRECTIONS = "corrections"


def write_province(province: Province, folder: Path) -> None:
    """`<contract>.jsonl` and withdrawals, the same below `corrections/` for the second phase, and the labels."""
    _write_publications(province.publications, folder)
    _write_publications(province.corrections, folder / CORRECTIONS)
    write_labels(folder / LABELS, province.labels)


def _write_publications(publications: Iterable[Publication], folder: Path) -> None:
    files: dict[str, list[str]] = {}
    for publication in publications:
        line = json.dumps(_as_line(publication), ensure_ascii=False, separators=(",", ":"))
        files.setdefault(_file_of(publication), []).append(line + "\n")
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        (folder / name).write_text("".join(lines), "utf-8")


def _file_of(publication: Publication) -> str:
    return WITHDRAWALS if publication.record is None else f"{publication.contract.name}.jsonl"


def _as_line(publication: Publication) -> dict[str, Any]:
    said = (
        {"contract": publication.contract.name, "record_id": publication.record_id}
        if publication.record is None
        else publication.record.model_dump()
    )
    return said | {
        "version": publication.version,
        "occurred_at": format_instant(publication.occurred_ms),
        "jurisdiction": publication.jurisdiction,
    }
