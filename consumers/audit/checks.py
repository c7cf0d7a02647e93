"""What the doctor asks about the audit log: is it there, does it reach what the bus was told, has it gaps?"""

from __future__ import annotations

from xiezhi.codec import Codec
from xiezhi.doctor.finding import Check, Examined, Facts, Finding, Patient, Severity
from xiezhi.errors import AuditError, UnknownSchemaError
from xiezhi.log import LogReader
from xiezhi.registry import ConfluentRegistry

PART, CATALOGUE = "audit_log", "consumers.audit"


def examine(patient: Patient) -> Examined:
    """The newest log beside the checkpoints on the bus; nothing to see on a machine that keeps none."""
    # Loaded when asked: a page that says that the broker is away does not wait for the libraries of the log.
    from consumers.audit.anchor import latest_said, signed_after_ms
    from consumers.audit.folder import AuditFolder
    from consumers.audit.index import LeafIndex

    settings = patient.settings
    folder = AuditFolder.of(settings)
    if not folder.numbers():
        if "audit" not in patient.services or not folder.path.parent.is_dir():
            return Examined("-")
        return _found(Severity.CRITICAL, "audit_missing", {"path": str(folder.path)})
    try:
        reader = folder.reader(folder.newest())
        held = reader.latest()
    except AuditError as error:
        return _found(Severity.CRITICAL, "audit_unreadable", {"path": str(folder.path), "why": str(error)})
    codec = Codec(ConfluentRegistry(settings.registry_url))
    try:
        with LogReader(settings.bootstrap_servers, patient.timeout_s) as log:
            said = latest_said(log, codec, reader.verifier, since_ms=signed_after_ms(reader))
    except UnknownSchemaError:
        said = None  # no checkpoint was ever said on this bus: its contract is not there yet
    if said is not None and said.size > held.size:
        return _found(Severity.CRITICAL, "audit_rolled_back", {"held": held.size, "said": said.size})
    if not folder.index.exists():
        return Examined(str(held.size))  # made anew when the service starts
    index = LeafIndex.open(folder.index)
    try:
        cut = sum(end - start for _, _, start, end, reason in index.gaps() if reason == "cut")
    finally:
        index.close()
    if cut:
        return Examined(
            str(held.size), (Finding(Severity.WARNING, PART, "audit_gap", {"offsets": cut}, CATALOGUE),)
        )
    return Examined(str(held.size))


def _found(severity: Severity, text: str, facts: Facts) -> Examined:
    return Examined("", (Finding(severity, PART, text, facts, CATALOGUE),))


CHECKS: tuple[Check, ...] = (Check(PART, examine, ("broker", "registry"), CATALOGUE),)
