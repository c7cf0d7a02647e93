"""What the doctor asks about the alert store: can it be read, and does it belong to this log?"""

from __future__ import annotations

from contextlib import closing

from xiezhi.contracts.naming import ALERT
from xiezhi.doctor.finding import Check, Examined, Facts, Finding, Patient, Severity
from xiezhi.errors import StoreError
from xiezhi.ingestion import Ingestion

PART, CATALOGUE = "alert_store", "consumers.alerts"


def examine(patient: Patient) -> Examined:
    """The database beside the alert topic; nothing to see on a machine that has none."""
    # Loaded when asked: a page that says that the broker is away does not wait for a database package.
    from consumers.alerts.database import path_of, url_of
    from consumers.alerts.store import AlertStore

    settings = patient.settings
    path = path_of(settings)
    if not path.exists():
        return Examined("-")
    try:
        with closing(AlertStore.open(url_of(settings), durable=False)) as store:
            held, statements = store.next_offsets(ALERT), store.last_seq()
    except StoreError as error:
        facts: Facts = {"path": str(path), "why": str(error)}
        return Examined(str(path), (Finding(Severity.CRITICAL, PART, "store_unreadable", facts, CATALOGUE),))
    ends = Ingestion(settings.bootstrap_servers, timeout_s=patient.timeout_s).ends([ALERT])
    if any(offset > ends.get((ALERT, partition), 0) for partition, offset in held.items()):
        facts = {"path": str(path)}
        return Examined(str(path), (Finding(Severity.CRITICAL, PART, "store_ahead", facts, CATALOGUE),))
    return Examined(str(statements))


CHECKS: tuple[Check, ...] = (Check(PART, examine, ("broker",), CATALOGUE),)
