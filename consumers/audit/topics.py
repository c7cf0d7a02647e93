"""What is audited: every department's records and every record of the bus's own, but neither facts nor checkpoints.

Facts forward bytes that are audited already; a checkpoint that became a leaf would need another checkpoint, for ever.
"""

from __future__ import annotations

from schemas.catalogue import CONTRACTS
from xiezhi.contracts.base import Classification
from xiezhi.contracts.bus import BUS_CONTRACTS, CHECKPOINT

AUDITED = tuple(contract for contract in (*CONTRACTS, *BUS_CONTRACTS) if contract is not CHECKPOINT)
TOPICS = tuple(contract.topic for contract in AUDITED)
#: Topics whose records nobody but router and judge may read.
RESTRICTED = frozenset(c.topic for c in AUDITED if c.classification is Classification.RESTRICTED)
