"""The arithmetic of the log's tree: hashes, roots, proofs and their verification. No files, no keys.

Follows RFC 6962 section 2.1 and RFC 9162 section 2.1. The tree is read through `Node`, a look-up of roots of perfect
subtrees: level 0 holds leaf hashes, node (l, i) covers the leaves i·2^l up to (i + 1)·2^l. All hashes are 32 bytes of
SHA-256.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import TypeAlias

from xiezhi.errors import AuditProofError

HASH_BYTES = 32
EMPTY_ROOT = sha256().digest()
#: A tree has fewer leaves than this, so no proof is longer than 63 hashes.
SIZE_LIMIT = 2**63

Node: TypeAlias = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def levels(hashes: Sequence[bytes]) -> list[Sequence[bytes]]:
    """`hashes` and, above them, every level of the perfect subtrees they fill, up to the last that has any."""
    found = [hashes]
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2], strict=False)  # an odd last one has no pair yet
        hashes = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
        found.append(hashes)
    return found


def peaks(hashes: Sequence[bytes]) -> list[bytes]:
    """Roots of the largest perfect subtrees over `hashes`, from the left."""
    return [level[-1] for level in reversed(levels(hashes)) if len(level) % 2]


def root_of_peaks(roots: Sequence[bytes]) -> bytes:
    """The root of a tree from its largest perfect subtrees, from the left; of the empty tree when there are none."""
    if not roots:
        return EMPTY_ROOT
    *before, folded = roots
    for root_before in reversed(before):
        folded = node_hash(root_before, folded)
    return folded


def root(size: int, node: Node) -> bytes:
    """The root of the tree over the first `size` leaves."""
    return _range_root(0, size, node)


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of the tree of `size` leaves, lowest first."""
    if not 0 <= index < size:
        raise AuditProofError(f"a tree of {size} leaves has no leaf {index}")
    return list(reversed(list(_path(index, size, node))))


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """The hashes that show that the tree of `old` leaves is the beginning of the tree of `new` leaves."""
    if not 0 <= old <= new:
        raise AuditProofError(f"a tree of {new} leaves cannot continue one of {old}")
    if old in (0, new):
        return []
    return list(reversed(list(_consistency(old, new, node))))


def root_from_inclusion_proof(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that `proof` leads to from a leaf hash (RFC 9162 section 2.1.3.2). Raises AuditProofError."""
    if not 0 <= index < size < SIZE_LIMIT:
        raise AuditProofError(f"a tree of {size} leaves has no leaf {index}")
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise AuditProofError("the inclusion proof is too long")
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise AuditProofError("the inclusion proof is too short")
    return found


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> None:
    """That the leaf hash is leaf `index` of the tree with this size and root. Raises AuditProofError."""
    if root_from_inclusion_proof(leaf, index, size, proof) != expected:
        raise AuditProofError(f"the proof for leaf {index} does not lead to the root of the {size} leaves")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """That the larger tree begins with the smaller one (RFC 9162 section 2.1.4.2). Raises AuditProofError."""
    if not 0 <= old <= new < SIZE_LIMIT:
        raise AuditProofError(f"a tree of {new} leaves cannot continue one of {old}")
    if old in (0, new):
        known = EMPTY_ROOT if old == 0 else new_root
        if proof or old_root != known or (new == 0 and new_root != EMPTY_ROOT):
            raise AuditProofError(f"the tree of {new} leaves does not begin with the tree of {old}")
        return
    if (old_root, new_root) != _roots_from_consistency_proof(old, old_root, new, proof):
        raise AuditProofError(f"the tree of {new} leaves does not begin with the tree of {old}")


def _roots_from_consistency_proof(
    old: int, old_root: bytes, new: int, proof: Sequence[bytes]
) -> tuple[bytes, bytes]:
    # A perfect old tree is a node of the new one; the proof then leaves its root out.
    hashes = iter(proof if old & (old - 1) else [old_root, *proof])
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = next(hashes, None)
    if first is None:
        raise AuditProofError("the consistency proof is too short")
    old_found = new_found = first
    for sibling in hashes:
        if last == 0:
            raise AuditProofError("the consistency proof is too long")
        if at & 1 or at == last:
            old_found, new_found = node_hash(sibling, old_found), node_hash(sibling, new_found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new_found = node_hash(new_found, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise AuditProofError("the consistency proof is too short")
    return old_found, new_found


def _split(count: int) -> int:
    """The largest power of two below `count`: where RFC 6962 parts a tree of `count` leaves."""
    return 1 << (count - 1).bit_length() - 1


def _path(index: int, size: int, node: Node) -> Iterator[bytes]:
    """Siblings on the way from the root down to the leaf."""
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            yield _range_root(middle, end, node)
            end = middle
        else:
            yield _range_root(begin, middle, node)
            begin = middle


def _consistency(old: int, new: int, node: Node) -> Iterator[bytes]:
    """SUBPROOF of RFC 6962 section 2.1.2, from the root down."""
    begin, end = 0, new
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            yield _range_root(middle, end, node)
            end = middle
        else:
            yield _range_root(begin, middle, node)
            begin = middle
    if begin:  # otherwise the old tree is a node of the new one, and its root is known to who asks
        yield _range_root(begin, end, node)


def _range_root(begin: int, end: int, node: Node) -> bytes:
    """Root over the leaves from `begin` up to `end`, where `begin` is a multiple of the subtree sizes in between."""
    roots = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        roots.append(node(level, begin >> level))
        begin += 1 << level
    return root_of_peaks(roots)
