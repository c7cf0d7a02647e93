"""`python -m schemas.golden`: writes golden bytes for every contract whose schema changed since its last ones.

Commit what it writes. It never touches a version that exists: those bytes are on somebody's log already.
"""

from __future__ import annotations

import sys

from schemas.catalogue import CONTRACTS
from xiezhi.contracts import golden
from xiezhi.contracts.bus import BUS_CONTRACTS


def main() -> int:
    changed = [contract for contract in (*CONTRACTS, *BUS_CONTRACTS) if not golden.is_current(contract)]
    for contract in changed:
        sys.stdout.write(f"{golden.add(contract)}\n")
    if not changed:
        sys.stdout.write("every contract's newest golden bytes were written with its schema of today\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
