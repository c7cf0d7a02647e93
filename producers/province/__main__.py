"""`python -m producers.province`: the command `xiezhi province` without the rest of the command line."""

from __future__ import annotations

from producers.province.cli import province

if __name__ == "__main__":
    province(prog_name="python -m producers.province")
