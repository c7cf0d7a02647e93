"""The service that looks at the whole bus and shows it as metrics: `python -m consumers.monitor.service`.

Lag, silence and absence are what a stage that is down cannot tell about itself, so a process of its own asks the broker
and the registry. Nothing waits for it; a look that fails is taken again.
"""

from __future__ import annotations

import logging
import sys
import threading

from consumers.monitor.gauges import Gauges
from consumers.monitor.sight import Lookout
from schemas.catalogue import CONTRACTS
from xiezhi.contracts.bus import BUS_CONTRACTS
from xiezhi.contracts.naming import fact_topic
from xiezhi.groups import inputs_of_groups
from xiezhi.registry import ConfluentRegistry
from xiezhi.service import run_service
from xiezhi.settings import Settings
from xiezhi.telemetry.meters import Meters
from xiezhi.wall_clock import now_ms

logger = logging.getLogger(__name__)

_REGISTRY_TIMEOUT_S = 2.0
#: Clients that are asked every few seconds, whether or not anybody answers: the looks say it once.
_TALKATIVE = ("httpx", "httpx2", "httpcore2", "librdkafka")


def serve(settings: Settings, stopping: threading.Event, meters: Meters) -> None:
    """Look every `monitor_interval_s` until `stopping` is set."""
    for client in _TALKATIVE:
        logging.getLogger(client).setLevel(logging.ERROR)
    departments = [contract.topic for contract in CONTRACTS]
    topics = [*departments, *(one.topic for one in BUS_CONTRACTS), fact_topic(settings.generation)]
    registry = ConfluentRegistry(settings.registry_url, timeout_s=_REGISTRY_TIMEOUT_S)
    lookout = Lookout(
        settings,
        topics=topics,
        inputs=inputs_of_groups(departments, settings.generation),
        registry=registry,
        clock=now_ms,
    )
    gauges = Gauges(meters, CONTRACTS)
    complete = True
    while not stopping.is_set():
        sight = lookout.look()
        gauges.show(sight)
        if sight.complete != complete:
            complete = sight.complete
            logger.warning("the broker %s", "answers again" if complete else "does not answer")
        stopping.wait(settings.monitor_interval_s)


if __name__ == "__main__":
    sys.exit(run_service("monitor", serve))
