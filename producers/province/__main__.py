"""`python -m producers.province` is `xiezhi province`."""

from __future__ import annotations

import sys

from xiezhi.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["province", *sys.argv[1:]]))
