"""What every service process shares: settings, logging, signals, metrics, exit codes, and its clients' options.

For the mains of services alone. `run_service` reads the settings and calls `serve` with an event that TERM and Ctrl-C
set; an XiezhiError becomes its exit code, said in one line. An error nobody expected ends the process with a traceback:
the supervisor starts it again, and nothing that was not finished was acknowledged.
"""

from __future__ import annotations

import gc
import logging
import signal
import threading
from collections.abc import Callable
from typing import Any

from xiezhi.alert_log import QUIETLY, say_when_away
from xiezhi.dead_letters import MESSAGE_BYTES_MAX
from xiezhi.errors import XiezhiError
from xiezhi.settings import Settings, read_settings
from xiezhi.telemetry.endpoint import serve_metrics
from xiezhi.telemetry.meters import Meters

logger = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
#: Libraries that tell of every request.
TALKATIVE = ("httpx", "httpx2", "httpcore2", "aiokafka")

#: New objects between two looks for garbage in cycles, of which a service makes next to none. With Python's 700 a tenth
#: to a quarter of its CPU time goes into looking, more with everything that it holds.
COLLECT_AFTER_OBJECTS = 50_000

Serve = Callable[[Settings, threading.Event, Meters], None]


def run_service(name: str, serve: Serve) -> int:
    """Run one service until it is told to stop; returns the exit code of the process."""
    set_up_logging()
    collect_seldom()
    stopping = stop_signals()
    try:
        settings = read_settings()
        logging.getLogger().setLevel(settings.log_level)
        serve(settings, stopping, serve_metrics(name, settings.metrics_port).meters)
    except XiezhiError as error:
        logger.critical("%s stops with exit code %s: %s", name, error.exit_code, error)
        return error.exit_code
    logger.info("%s stopped", name)
    return 0


def set_up_logging() -> None:
    """To stderr, which the supervisor keeps; from INFO on until the settings are read."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    for library in TALKATIVE:
        logging.getLogger(library).setLevel(logging.WARNING)


def collect_seldom() -> None:
    """Let the garbage collector look less often."""
    gc.set_threshold(COLLECT_AFTER_OBJECTS)


def stop_signals() -> threading.Event:
    """An event that TERM and Ctrl-C set, in place of what they would do."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping


def consumer_options(settings: Settings, *, name: str, group: str) -> dict[str, Any]:
    """A consumer of a service that keeps its offsets itself: the group shows the lag, not where to read on."""
    session_ms = int(settings.session_timeout_s * 1000)
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": name,
        "group.id": group,
        **QUIETLY,
        "error_cb": say_when_away,
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "session.timeout.ms": session_ms,
        "heartbeat.interval.ms": session_ms // 3,
    }


def producer_options(settings: Settings, *, name: str) -> dict[str, Any]:
    """Idempotent, acks=all, same partitioner as every client, room for whole dead letters and for a batch's outputs."""
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": name,
        **QUIETLY,
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": 3,  # what one batch gives rise to comes at once; every hop waits this long
        "message.max.bytes": MESSAGE_BYTES_MAX,
        "queue.buffering.max.messages": 200_000,
        "delivery.timeout.ms": 120_000,
    }
