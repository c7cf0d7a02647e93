"""What was planted, for whoever checks the alerts. Labels go to a file of their own that no stream reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Expected = Literal[
    "open",  # an alert stands at the end
    "withdrawn",  # an alert stands after the main phase and is withdrawn by the corrections
    "none",  # nothing is ever said
]


@dataclass(frozen=True, slots=True)
class Label:
    """One alert that must come, or must not, and why. `subject` is the alert's subject."""

    rule: str
    kind: Literal["case", "decoy"]
    subject: Mapping[str, str]
    expected: Expected
    scene: str  # <rule>/<plot>/<case|decoy>: all labels of a scene rest on the same records
    note_zh: str
    note_en: str


def write_labels(path: Path, labels: Iterable[Label]) -> None:
    """JSON Lines, one label each."""
    lines = (json.dumps(asdict(label), ensure_ascii=False) + "\n" for label in labels)
    path.write_text("".join(lines), "utf-8")


def read_labels(path: Path) -> tuple[Label, ...]:
    """The labels that `write_labels` wrote."""
    return tuple(Label(**json.loads(line)) for line in path.read_text("utf-8").splitlines())
