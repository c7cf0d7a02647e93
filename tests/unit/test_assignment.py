"""Partitions stay with their workers, go where their stores are, and are spread evenly over workers and topics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from hypothesis import given
from hypothesis import strategies as st

from xiezhi.assignment import Claim, StoresAssignor, kept, share

CLAIMS = st.dictionaries(
    st.sampled_from("abcde"),
    st.builds(Claim, st.frozensets(st.integers(0, 9)), st.frozensets(st.integers(0, 9))),
    min_size=1,
)


class Cluster:
    """As many partitions as each topic is said to have."""

    def __init__(self, **topics: int) -> None:
        self._topics = topics

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        count = self._topics.get(topic)
        return None if count is None else set(range(count))


def claim(reads: str = "", keeps: str = "") -> Claim:
    return Claim(frozenset(map(int, reads)), frozenset(map(int, keeps)))


def of(found: Mapping[int, str]) -> dict[str, str]:
    """Member → its numbers, as one string."""
    return {
        member: "".join(str(number) for number in sorted(found) if found[number] == member)
        for member in set(found.values())
    }


@given(st.integers(0, 12), CLAIMS)
def test_whatever_members_claim_every_partition_has_one_owner_and_none_has_two_more_than_another(
    partitions: int, claims: dict[str, Claim]
) -> None:
    found = share(partitions, claims)
    assert found.keys() == set(range(partitions))
    counts = Counter(dict.fromkeys(claims, 0)) + Counter(found.values())
    held = [counts[member] for member in claims]
    assert max(held) - min(held) <= 1


@given(st.integers(1, 12), CLAIMS)
def test_sharing_again_moves_nothing(partitions: int, claims: dict[str, Claim]) -> None:
    found = share(partitions, claims)
    now = {
        member: Claim(frozenset(number for number, owner in found.items() if owner == member))
        for member in claims
    }
    assert share(partitions, now) == found


@pytest.mark.parametrize(
    ("claims", "then"),
    [
        pytest.param({"a": claim("0123"), "b": claim()}, {"a": "01", "b": "23"}, id="joins"),
        pytest.param(
            {"a": claim("01"), "b": claim("23"), "c": claim()}, {"a": "01", "b": "2", "c": "3"}, id="third"
        ),
        pytest.param({"a": claim("01"), "c": claim("3")}, {"a": "01", "c": "23"}, id="leaves"),
        pytest.param({"a": claim("0123"), "b": claim("", "02")}, {"a": "13", "b": "02"}, id="returns"),
        pytest.param({"a": claim("", "01"), "b": claim("", "23")}, {"a": "01", "b": "23"}, id="restart"),
        pytest.param({"a": claim("01"), "b": claim("01")}, {"a": "02", "b": "13"}, id="both say so"),
    ],
)
def test_as_few_as_possible_move_and_those_to_where_stores_are(
    claims: dict[str, Claim], then: dict[str, str]
) -> None:
    assert of(share(4, claims)) == then


def test_a_claim_survives_the_wire_and_nonsense_claims_nothing() -> None:
    said = claim("12", "3")
    assert Claim.from_bytes(said.to_bytes()) == said
    for raw in (
        b"",
        b"\xff",
        b"[]",
        b"null",
        b'{"open": 1, "kept": []}',
        b'{"open": ["x"], "kept": []}',
        b'{"open": [Infinity], "kept": []}',
    ):
        assert Claim.from_bytes(raw) == Claim()


def test_the_folders_of_stores_say_what_is_kept(tmp_path: Path) -> None:
    for name in ("finance.payment.v1-3", "civil.death.v1-3", "xiezhi.fact.g1-10", "faust", "a-b"):
        (tmp_path / name).mkdir()
    assert kept(tmp_path) == {3, 10}
    assert kept(tmp_path / "missing") == frozenset()


def assigned(
    found: Mapping[str, ConsumerProtocolMemberAssignment],
) -> dict[str, list[tuple[str, list[int]]]]:
    return {
        member: [(topic, list(numbers)) for topic, numbers in one.assignment] for member, one in found.items()
    }


def test_a_worker_has_the_same_partitions_of_every_topic(tmp_path: Path) -> None:
    first, second = StoresAssignor(tmp_path / "0"), StoresAssignor(tmp_path / "1")
    (tmp_path / "1" / "t-0").mkdir(parents=True)
    (tmp_path / "1" / "u-1").mkdir()
    cluster = Cluster(t=4, u=4)
    alone = first.assign(cluster, {"a": first.metadata({"t", "u"})})
    assert assigned(alone) == {"a": [("t", [0, 1, 2, 3]), ("u", [0, 1, 2, 3])]}
    first.on_assignment(alone["a"])
    both = first.assign(cluster, {"a": first.metadata({"t", "u"}), "b": second.metadata({"t", "u"})})
    assert assigned(both) == {"a": [("t", [2, 3]), ("u", [2, 3])], "b": [("t", [0, 1]), ("u", [0, 1])]}


def test_a_topic_goes_to_those_who_read_it_and_one_that_is_missing_to_nobody(tmp_path: Path) -> None:
    """As while workers of two versions run."""
    assignor = StoresAssignor(tmp_path)
    members = {"old": ["t", "gone"], "new": ["t", "u", "gone"]}
    said = {name: ConsumerProtocolMemberMetadata(0, topics, b"") for name, topics in members.items()}
    found = assigned(assignor.assign(Cluster(t=2, u=2), said))
    assert found["new"] == [("t", [0]), ("u", [0, 1])]
    assert found["old"] == [("t", [1])]
