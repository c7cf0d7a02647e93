"""When the bus has finished with everything that was published: all groups are quiet and no settle time is running."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consumers.audit.topics import TOPICS
from streams import history
from streams.cards import load_pack
from streams.clock import passed_by
from xiezhi.contracts.naming import ALERT, fact_topic
from xiezhi.groups import ALERT_STORE, AUDIT, REJUDGED, of_generation
from xiezhi.lag import Lags, PartitionLag
from xiezhi.log import LogReader
from xiezhi.settings import Settings
from xiezhi.wall_clock import now_ms

Look = Callable[[Sequence[PartitionLag]], None]


def groups(settings: Settings) -> dict[str, list[str]]:
    """Every consumer group that a published record passes through, and the one that tells what is judged again."""
    rejudged = of_generation(REJUDGED, settings.generation)
    return {
        **passed_by(settings),
        rejudged: [fact_topic(settings.generation)],
        ALERT_STORE: [ALERT],
        AUDIT: list(TOPICS),
    }


def wait_until_settled(
    settings: Settings, *, pack: str, timeout_s: float, look: Look = lambda _: None
) -> None:
    """Return once everything published is routed, judged, stored and audited, relations and settle times included.

    A settle time has run out once a tick says so; ticks are records, so this waits for offsets, never for time to
    pass. `look` is called a few times a second. Raises XiezhiError naming what is behind.
    """
    lags = Lags(settings.bootstrap_servers, groups(settings))
    lags.wait_until_quiet(timeout_s, look)
    settled_ms = now_ms() + 1000 * max(card.settle_seconds for card in load_pack(pack))
    with LogReader(settings.bootstrap_servers) as log:
        while history.latest_tick_ms(log, settings.generation) < settled_ms:
            lags.wait_until_quiet(timeout_s, look)
    lags.wait_until_quiet(timeout_s, look)
