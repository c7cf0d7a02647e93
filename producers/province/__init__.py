"""A made-up province: departments' records of two years, with planted cases, decoys and their labels.

Seeded and pure, declared synthetic in every record's source. It knows nothing of joins and rules: it tells the
stories of a supervision office in its own words, so that what the streams find can be held against it.
"""

from __future__ import annotations

from producers.province.generate import DEFAULT_SIZE, Province, generate, without_decisive_detail
from producers.province.labels import Label, read_labels, write_labels
from producers.province.publication import Publication, source_of

__all__ = [
    "DEFAULT_SIZE",
    "Label",
    "Province",
    "Publication",
    "generate",
    "read_labels",
    "source_of",
    "without_decisive_detail",
    "write_labels",
]
