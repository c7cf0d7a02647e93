"""The Faust agents: one that routes, one that judges. Thin: each hands folded batches to its stage.

Concurrency is 1 and acknowledgement is manual; an agent never raises. No Tables, no `take()`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from streams.stage import Stage


def subscribe(app: Any, stage: Stage, topics: Sequence[str]) -> None:
    """Let `stage` consume `topics` as one agent of `app`."""
    channel = app.topic(*topics, value_serializer="raw", key_serializer="raw")

    @app.agent(channel, name=stage.name, concurrency=1)  # type: ignore[untyped-decorator] # faust is untyped here
    async def _consume(stream: Any) -> None:
        events: AsyncIterator[Any] = stream.noack().events()
        async for event in events:
            await stage.handle(event)

    async def revoked(*_: Any, **__: Any) -> None:
        stage.revoke()

    app.on_partitions_revoked.connect(revoked, weak=False)  # nobody else holds the function

    @app.task  # type: ignore[untyped-decorator] # likewise
    async def _serve() -> None:
        await stage.serve()
