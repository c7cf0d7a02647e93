"""A stored receipt, full or redacted, after one random edit: the stand-alone verifier must refuse it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

from tests.audited import AuditedBus
from tests.edits import edited
from xiezhi.audit.receipt import full_receipt, redacted_receipt
from xiezhi.audit.verify_receipt import NotProvenError, verify


class ReceiptTarget:
    """Both receipts of one alert whose log was continued under a second key."""

    name = "receipt"

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as path:
            bus = AuditedBus(Path(path))
            bus.accuse(payments=3)
            bus.audit()
            bus.folder.continue_(None, lost_key=False)
            said = bus.accuse(payments=2, join="another", record_id="al_2")
            bus.audit()
            case, self.key = bus.case(said)
        self.receipts = {"full": full_receipt(case), "redacted": redacted_receipt(case)}

    def check_unchanged(self) -> None:
        for receipt in self.receipts.values():
            verify(receipt, self.key)

    def tamper(self, chance: Random) -> tuple[str, bool]:
        variant = chance.choice(sorted(self.receipts))
        try:
            verify(edited(self.receipts[variant], chance.randrange(2**32)), self.key)
        except NotProvenError:
            return f"edit of a {variant} receipt", True
        return f"edit of a {variant} receipt", False
