"""`xiezhi verify`: check a receipt offline. `xiezhi/audit/verify_receipt.py` does it."""

from __future__ import annotations

import click


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--key", required=True, metavar="PUB", help="Public key of the audit log: a file, or the text.")
@click.pass_context
def verify(context: click.Context, file: str, key: str) -> None:
    """Check a receipt offline against the public key of the audit log. 离线核验凭证。

    Get the key from somewhere else than the receipt. Exit code 0: proven, and the output says what is proven and what
    is not; 1: not proven, with the reason; 2: wrong usage.
    """
    from xiezhi.audit import verify_receipt

    context.exit(verify_receipt.main([file, "--key", key]))


COMMANDS: tuple[click.Command, ...] = (verify,)
