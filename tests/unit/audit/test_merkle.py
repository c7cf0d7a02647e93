"""The tree's arithmetic against published vectors and against RFC 6962's own definitions, written down naively.

Vectors: leaves, roots and proofs of the Certificate Transparency project (google/certificate-transparency,
transparency-dev/merkle), used as data.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xiezhi.audit import merkle
from xiezhi.audit.edge import Edge
from xiezhi.audit.tiles import ENTRIES, Tile
from xiezhi.errors import AuditProofError

CT_LEAVES = list(
    map(
        bytes.fromhex,
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"],
    )
)
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
G = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
CT_INCLUSION = [
    (0, 1, []),
    (0, 8, [A, B, C]),
    (5, 8, [D, E, CT_ROOTS[4]]),
    (2, 3, [CT_ROOTS[2]]),
    (1, 5, [CT_ROOTS[1], B, D]),
]
CT_CONSISTENCY = [
    (1, 1, []),
    (1, 8, [A, B, C]),
    (2, 8, [B, C]),
    (6, 8, [F, E, CT_ROOTS[4]]),
    (2, 5, [B, D]),
    (6, 7, [F, G, CT_ROOTS[4]]),
]

leaf_lists = st.lists(st.binary(max_size=4), min_size=1, max_size=40)


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    k = naive_split(len(leaves))
    return sha256(b"\1" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_split(count: int) -> int:
    k = 1
    while k * 2 < count:
        k *= 2
    return k


def naive_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962 section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = naive_split(len(leaves))
    if index < k:
        return [*naive_path(index, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(index - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(old: int, leaves: Sequence[bytes], is_whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 section 2.1.2."""
    if old == len(leaves):
        return [] if is_whole else [naive_root(leaves)]
    k = naive_split(len(leaves))
    if old <= k:
        return [*naive_subproof(old, leaves[:k], is_whole), naive_root(leaves[k:])]
    return [*naive_subproof(old - k, leaves[k:], False), naive_root(leaves[:k])]


def node_of(leaves: Sequence[bytes]) -> merkle.Node:
    def node(level: int, index: int) -> bytes:
        return naive_root(leaves[index << level : (index + 1) << level])

    return node


def hexes(proof: Sequence[bytes]) -> list[str]:
    return [each.hex() for each in proof]


def test_published_roots() -> None:
    for size, expected in enumerate(CT_ROOTS):
        assert merkle.root(size, node_of(CT_LEAVES)).hex() == expected
        hashes = list(map(merkle.leaf_hash, CT_LEAVES[:size]))
        assert merkle.root_of_peaks(merkle.peaks(hashes)).hex() == expected


@pytest.mark.parametrize(("index", "size", "expected"), CT_INCLUSION)
def test_published_inclusion_proofs(index: int, size: int, expected: list[str]) -> None:
    proof = merkle.inclusion_proof(index, size, node_of(CT_LEAVES))
    assert hexes(proof) == expected
    leaf = merkle.leaf_hash(CT_LEAVES[index])
    merkle.verify_inclusion(leaf, index, size, proof, bytes.fromhex(CT_ROOTS[size]))


@pytest.mark.parametrize(("old", "new", "expected"), CT_CONSISTENCY)
def test_published_consistency_proofs(old: int, new: int, expected: list[str]) -> None:
    proof = merkle.consistency_proof(old, new, node_of(CT_LEAVES))
    assert hexes(proof) == expected
    roots = list(map(bytes.fromhex, CT_ROOTS))
    merkle.verify_consistency(old, roots[old], new, roots[new], proof)


@given(leaf_lists, st.data())
def test_inclusion_proofs_are_those_of_the_definition_and_verify(
    leaves: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof = merkle.inclusion_proof(index, len(leaves), node_of(leaves))
    assert proof == naive_path(index, leaves)
    merkle.verify_inclusion(merkle.leaf_hash(leaves[index]), index, len(leaves), proof, naive_root(leaves))


@given(leaf_lists, st.data())
def test_consistency_proofs_are_those_of_the_definition_and_verify(
    leaves: list[bytes], data: st.DataObject
) -> None:
    old = data.draw(st.integers(0, len(leaves)))
    proof = merkle.consistency_proof(old, len(leaves), node_of(leaves))
    assert proof == (naive_subproof(old, leaves, True) if old else [])
    merkle.verify_consistency(old, naive_root(leaves[:old]), len(leaves), naive_root(leaves), proof)


@given(leaf_lists, st.data())
def test_a_changed_inclusion_proof_does_not_verify(leaves: list[bytes], data: st.DataObject) -> None:
    size, index = len(leaves), data.draw(st.integers(0, len(leaves) - 1))
    proof = merkle.inclusion_proof(index, size, node_of(leaves))
    leaf, root = merkle.leaf_hash(leaves[index]), naive_root(leaves)
    changed = changed_proof(proof, data)
    with pytest.raises(AuditProofError):
        merkle.verify_inclusion(leaf, index, size, changed, root)
    with pytest.raises(AuditProofError):
        merkle.verify_inclusion(merkle.leaf_hash(leaves[index] + b"."), index, size, proof, root)
    with pytest.raises(AuditProofError):
        merkle.verify_inclusion(leaf, index, size, proof, merkle.node_hash(root, root))


@given(leaf_lists, st.data())
def test_a_changed_consistency_proof_does_not_verify(leaves: list[bytes], data: st.DataObject) -> None:
    old, new = data.draw(st.integers(0, len(leaves))), len(leaves)
    proof = merkle.consistency_proof(old, new, node_of(leaves))
    old_root, new_root = naive_root(leaves[:old]), naive_root(leaves)
    with pytest.raises(AuditProofError):
        merkle.verify_consistency(old, old_root, new, new_root, changed_proof(proof, data))
    with pytest.raises(AuditProofError):
        merkle.verify_consistency(old, merkle.node_hash(old_root, old_root), new, new_root, proof)
    if old:  # nothing is said of how an empty tree goes on
        with pytest.raises(AuditProofError):
            merkle.verify_consistency(old, old_root, new, merkle.node_hash(new_root, new_root), proof)


def changed_proof(proof: list[bytes], data: st.DataObject) -> list[bytes]:
    """One hash changed, left out or added."""
    changed = list(proof)
    at = data.draw(st.integers(0, len(proof)))
    how = data.draw(st.sampled_from(["change", "leave out", "add"])) if proof else "add"
    if how == "add":
        changed.insert(at, bytes(32))
    elif how == "leave out":
        del changed[min(at, len(proof) - 1)]
    else:
        at = min(at, len(proof) - 1)
        changed[at] = bytes([changed[at][0] ^ 1]) + changed[at][1:]
    return changed


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, 2**63)])
def test_leaves_that_no_tree_has_are_refused(index: int, size: int) -> None:
    with pytest.raises(AuditProofError):
        merkle.root_from_inclusion_proof(bytes(32), index, size, [])


@given(st.lists(st.integers(0, 700), max_size=6))
def test_an_edge_grows_to_the_root_and_the_tiles_of_all_leaves(steps: list[int]) -> None:
    edge, files, leaves = Edge(), dict[Tile, bytes](), list[bytes]()
    for step in steps:
        new = [str(len(leaves) + at).encode() for at in range(step)]
        leaves += new
        edge, written = edge.grown(new, list(map(merkle.leaf_hash, new)))
        files |= written
        hashes = list(map(merkle.leaf_hash, leaves))
        assert edge.root() == merkle.root_of_peaks(merkle.peaks(hashes))
        for tile in written:
            if tile.level == 0:
                first = tile.index * 256
                assert written[tile] == b"".join(hashes[first : first + tile.width])
    assert edge.size == len(leaves)
    assert all(len(data) == 32 * tile.width for tile, data in files.items() if tile.level != ENTRIES)
