"""The bus's own contracts: what its services say to each other and to subscribers.

Readers and writers are upgraded together with readers first, hence BACKWARD_TRANSITIVE.
"""

from __future__ import annotations

from pathlib import Path

from xiezhi.contracts.access import Access
from xiezhi.contracts.activation import Activation
from xiezhi.contracts.alert import Alert
from xiezhi.contracts.base import Classification, Compatibility, Contract, Record
from xiezhi.contracts.case import Case
from xiezhi.contracts.checkpoint import Checkpoint
from xiezhi.contracts.dead_letter import DeadLetter
from xiezhi.contracts.relation import Relation

_INTERNAL, _RESTRICTED = Classification.INTERNAL, Classification.RESTRICTED


def _contract(record: str, model: type[Record], grade: Classification) -> Contract:
    folder = Path(__file__).parent / "avro"
    return Contract("xiezhi", record, model, folder, grade, compatibility=Compatibility.BACKWARD_TRANSITIVE)


ALERT = _contract("alert", Alert, _INTERNAL)
RELATION = _contract("relation", Relation, _RESTRICTED)  # may repeat what a restricted record says
ACTIVATION = _contract("activation", Activation, _INTERNAL)
DEAD_LETTER = _contract("dead-letter", DeadLetter, _RESTRICTED)  # holds any record, kinship too
ACCESS = _contract("access", Access, _INTERNAL)
CASE = _contract("case", Case, _INTERNAL)
CHECKPOINT = _contract("checkpoint", Checkpoint, _INTERNAL)

BUS_CONTRACTS: tuple[Contract, ...] = (ALERT, RELATION, ACTIVATION, DEAD_LETTER, ACCESS, CASE, CHECKPOINT)
