"""Import rules, purity and naming hold, and a planted violation of each is noticed."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("xiezhi", "schemas", "producers", "streams", "consumers", "deploy")
PURE = ("streams/kernel.py", "streams/joins", "streams/rules")
#: Files that may spell a topic name: the naming module and what it names, and the departments' catalogue.
# The verifier of receipts stands alone, without the catalogue.
MAY_NAME_TOPICS = ("schemas/catalogue.py", "xiezhi/contracts/", "xiezhi/audit/verify_receipt.py")
TOPIC = re.compile(
    r"^(tender|registry|finance|hr|civil|audit|project|xiezhi)\.[a-z][a-z0-9-]*\.[vg][1-9][0-9]*$"
)
CLOCKS = {
    ("datetime", "now"),
    ("datetime", "today"),
    ("datetime", "utcnow"),
    ("date", "today"),
    ("time", "time"),
}


def _files(root: Path, *parts: str) -> Iterator[Path]:
    for part in parts:
        place = root / part
        yield from [place] if place.is_file() else sorted(place.rglob("*.py"))


def clock_reads(root: Path) -> list[str]:
    """Places in pure code that read a clock."""
    return [
        f"{file.relative_to(root)}:{node.lineno}"
        for file in _files(root, *PURE)
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in CLOCKS
    ]


def spelled_topics(root: Path) -> list[str]:
    """Places outside those that may, that spell a topic name."""
    return [
        f"{file.relative_to(root)}:{node.lineno}"
        for file in _files(root, *PACKAGES)
        if not str(file.relative_to(root)).startswith(MAY_NAME_TOPICS)
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and TOPIC.match(node.value)
    ]


def import_rules_broken(root: Path) -> bool:
    """Whether import-linter finds a broken contract."""
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter, "--no-cache"], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.returncode == 1


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the product in which a test may plant a violation."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def test_import_rules_hold() -> None:
    assert not import_rules_broken(ROOT)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("xiezhi/log.py", "import schemas.catalogue"),
        ("producers/province/units.py", "import streams.kernel"),
        ("consumers/alerts/store.py", "import streams.kernel"),
        ("schemas/catalogue.py", "import xiezhi.publish"),
        ("streams/rules/findings.py", "import confluent_kafka"),
        ("streams/joins/contract.py", "import logging"),
    ],
)
def test_a_planted_import_breaks_the_rules(copy: Path, place: str, line: str) -> None:
    target = copy / place
    target.write_text(f"{target.read_text('utf-8')}\n{line}\n", "utf-8")
    assert import_rules_broken(copy)


def test_pure_code_reads_no_clock() -> None:
    assert clock_reads(ROOT) == []


def test_a_planted_clock_is_noticed(copy: Path) -> None:
    target = copy / "streams/kernel.py"
    target.write_text(target.read_text("utf-8") + "\nimport datetime\nSTART = datetime.now()\n", "utf-8")
    assert clock_reads(copy)


def test_topic_names_are_spelled_in_one_place() -> None:
    assert spelled_topics(ROOT) == []


def test_a_planted_topic_name_is_noticed(copy: Path) -> None:
    target = copy / "streams/router.py"
    target.write_text(target.read_text("utf-8") + '\nTOPIC = "finance.payment.v1"\n', "utf-8")
    assert spelled_topics(copy)


def test_tests_are_no_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))
