"""Every random change to evidence is found offline; and the search itself would notice a check that misses some."""

from __future__ import annotations

import pytest

from tests.faults.tamper.__main__ import TARGETS, explore
from tests.faults.tamper.log_target import LogTarget
from xiezhi.audit import merkle, verification
from xiezhi.audit.tiles import split_hashes

CHANGES = 1_000


@pytest.mark.parametrize("name", TARGETS)
def test_every_change_to_evidence_is_found(name: str) -> None:
    made, missed = explore(TARGETS[name](), CHANGES)
    assert missed == []
    assert made.total() == CHANGES


def _no_other_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification._Check, "other_files", lambda self: None)


def _no_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification._Check, "_compare_due", lambda self, expected, size, root: None)


def _no_tiles_above(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification._Check, "_compare_tile", lambda self, tile, expected: None)


def _no_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    read = verification._Check._read
    monkeypatch.setattr(
        verification._Check, "_leaves", lambda self, index: read(self, 0, index, split_hashes)
    )


def _no_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_seen", lambda seen, check: [])


def _no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification._Check, "_end_of_file", lambda self, name, notes, rest: None)


@pytest.mark.parametrize(
    "weaken", [_no_other_files, _no_roots, _no_tiles_above, _no_leaves, _no_seen, _no_order]
)
def test_a_part_of_the_verification_left_out_is_noticed(
    weaken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(weaken)
    weaken(monkeypatch)
    _, missed = explore(LogTarget(), CHANGES)
    assert missed


def test_the_arithmetic_is_that_of_rfc_6962(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves and nodes are hashed apart: otherwise two nodes could be passed off as one leaf."""
    assert merkle.leaf_hash(b"ab") != merkle.node_hash(b"a", b"b")
