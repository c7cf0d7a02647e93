"""`/metrics` of a service on loopback, in the text format that Prometheus scrapes.

For the mains of services alone: here the OpenTelemetry SDK is loaded and a thread serves. A port that is taken is said
in one sentence and the service goes on without metrics: what it does for the bus is worth more than being watched,
and its absence from the scrape is itself an alert.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

from xiezhi.telemetry.meters import SCOPE, Meters

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Endpoint:
    """Meters of a service, and where they can be scraped: `port` is 0 when nowhere."""

    meters: Meters
    port: int
    close: Callable[[], None]


def serve_metrics(service: str, port: int) -> Endpoint:
    """Serve until closed or the process ends. With port 0, or when it is taken, meters that do nothing."""
    if port == 0:
        return Endpoint(Meters(), 0, lambda: None)
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

    registry = CollectorRegistry()
    try:
        server, _ = start_http_server(port, LOOPBACK, registry)
    except OSError as error:
        logger.warning(
            "port %s, where %s should serve its metrics, cannot be used (%s): it runs without them; end what "
            "listens there or set XIEZHI_METRICS_PORT",
            port,
            service,
            error.strerror,
        )
        return Endpoint(Meters(), 0, lambda: None)
    ProcessCollector(registry=registry)
    provider = MeterProvider(
        [PrometheusMetricReader(scope_info_enabled=False, registry=registry)],
        Resource.create({"service.name": service, "process.pid": os.getpid()}),
    )

    def close() -> None:
        server.shutdown()
        server.server_close()
        provider.shutdown()

    logger.info("metrics at http://%s:%s/metrics", LOOPBACK, port)
    return Endpoint(Meters(provider.get_meter(SCOPE)), port, close)
