"""Runs services and commands with the joins of a later version, and asks its oracle.

    python -m tests.refiled service router | xiezhi ARGUMENTS… | oracle

In a process of its own, since modules take the joins when they are first imported.
"""

from __future__ import annotations

import json
import sys


def main(what: str, *arguments: str) -> int:
    import streams.joins
    from tests.refiled_joins import JOINS

    streams.joins.JOINS = JOINS  # before anybody else imports them
    if what == "service":
        from streams import app

        return app.main(list(arguments))
    if what == "xiezhi":
        from xiezhi.cli.main import main as xiezhi

        sys.argv = ["xiezhi", *arguments]
        xiezhi()
    from tests.answers import oracle
    from xiezhi.settings import Settings

    sys.stdout.write(json.dumps(oracle(Settings())))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
