"""Fold joins: exact aggregates over everything that stands under a key, kept so that one more record costs O(log n).

`tree` keeps contributions in order, `aggregates` answers from it, `state` has both in the keyed store, block by block,
and `recomputed` says the same from all records at once, for the oracle.
"""
