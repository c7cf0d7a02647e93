"""The service that looks at the whole bus and shows it as metrics: `python -m consumers.monitor.service`.

Lag, silence and absence are what a stage that is down cannot tell about itself, so a process of its own asks the broker
and the registry. Nothing waits for it; a look that fails is taken again.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time

from consumers.monitor.gauges import Gauges
from consumers.monitor.sight import Lookout
from schemas.catalogue import CONTRACTS
from xiezhi.contracts.bus import BUS_CONTRACTS
from xiezhi.contracts.naming import fact_topic
from xiezhi.errors import XiezhiError
from xiezhi.groups import inputs_of_groups
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings, read_settings
from xiezhi.telemetry.endpoint import serve_metrics
from xiezhi.telemetry.meters import Meters

logger = logging.getLogger(__name__)

_REGISTRY_TIMEOUT_S = 2.0


def serve(settings: Settings, stopping: threading.Event, meters: Meters) -> None:
    """Look every `monitor_interval_s` until `stopping` is set."""
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


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        settings = read_settings()
        logging.getLogger().setLevel(settings.log_level)
        for talkative in ("httpx", "httpx2", "httpcore2", "librdkafka"):
            logging.getLogger(talkative).setLevel(logging.ERROR)
        serve(settings, stopping, serve_metrics("monitor", settings.metrics_port).meters)
    except XiezhiError as error:
        logger.error("%s", error)
        return error.exit_code
    logger.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
