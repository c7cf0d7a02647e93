"""OCDS 1.1 files as outcomes: releases, release packages, record packages, and any of them as JSON Lines.

Follows https://standard.open-contracting.org/1.1/ with the bids, lots and bid-opening extensions. What no contract
has a place for is counted under its section's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from producers.importing.documents import read_elements
from producers.importing.fields import Section
from producers.importing.outcomes import LeftAside, Located, Read, Refused, Step, guarded
from producers.ocds.award import award, contract
from producers.ocds.release import Release, open_release
from producers.ocds.tender import bids, notice, tenderers

#: Members of packages that hold the elements (release package, record package).
_ARRAYS = ("releases", "records")
_USED = ("tender", "bids", "awards", "contracts")
_KNOWN = {
    *("ocid", "id", "date", "tag", "initiationType", "language", "parties", "buyer", "planning"),
    *("relatedProcesses", *_USED),
}
#: Sections without a contract, by what holds them.
_LEFT_ASIDE = {
    "tender": ["items", "lots", "milestones", "documents", "amendment", "amendments", "enquiries"],
    "awards": ["items", "documents", "amendment", "amendments"],
    "contracts": ["items", "milestones", "documents", "implementation", "amendment"],
    "bids": ["statistics"],
}


def read_ocds(path: str, *, progress: Callable[[int], None] = lambda _: None) -> Iterator[Located]:
    """Every outcome of a file ("-" is standard input), in its order. Raises ConfigurationError if it is unreadable."""
    for place, element in read_elements(path, _ARRAYS, progress=progress):
        yield place, Read()
        for outcome in (element,) if isinstance(element, Refused) else guarded(_element(element)):
            yield place, outcome


def _element(element: Any) -> Step[None]:
    """A release, or a record: its compiled release, else the releases in it."""
    body = Section.of(element)
    if compiled := body.section("compiledRelease"):
        yield from _release(compiled)
    elif body.has("releases"):
        for index in range(len(body.values("releases"))):
            yield from guarded(_release_of_record(body, index))
    else:
        yield from _release(body)


def _release_of_record(record: Section, index: int) -> Step[None]:
    release = record.element("releases", index)
    if release.has("url") and not release.has("ocid"):
        yield LeftAside("link to a release elsewhere")
    else:
        yield from _release(release)


def _release(body: Section) -> Step[None]:
    release = yield from open_release(body)
    if not any(body.has(section) for section in _USED):
        yield LeftAside("release without tender, bids, awards and contracts")
    yield from guarded(_tender(release))
    for section, mapping in (("awards", award), ("contracts", contract)):
        yield from guarded(_each(release, section, mapping))
    yield from _sections(body)


def _tender(release: Release) -> Step[None]:
    section = release.body.section("bids")
    bidders = (yield from guarded(bids(release, section))) if section else None
    if tender := release.body.section("tender"):
        yield from guarded(notice(release, tender))
        yield from tenderers(release, tender, bidders or set())


def _each(release: Release, section: str, mapping: Callable[[Release, int], Step[None]]) -> Step[None]:
    for index in range(len(release.body.values(section))):
        yield from guarded(mapping(release, index))


def _sections(body: Section) -> Iterator[LeftAside]:
    """What the release holds that no contract has a place for."""
    if body.has("planning"):
        yield LeftAside("section planning, except its project")
    if body.has("relatedProcesses"):
        yield LeftAside("section relatedProcesses")
    if any(body.has(name) for name in body.body if name not in _KNOWN):
        yield LeftAside("sections that OCDS 1.1 does not know")
    for holder, names in _LEFT_ASIDE.items():
        found = body.body.get(holder)
        held = [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, dict)]
        for name in names:
            if any(Section(each).has(name) for each in held):
                yield LeftAside(f"section {holder}.{name}")
