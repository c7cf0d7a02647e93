"""Counters, gauges and histograms reach the endpoint under the names of the catalogue; a taken port stops nobody."""

from __future__ import annotations

import logging
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.scrape import scrape
from xiezhi.local.ports import free_port
from xiezhi.local.settings import LOOPBACK
from xiezhi.telemetry import catalogue
from xiezhi.telemetry.catalogue import Kind, Metric
from xiezhi.telemetry.endpoint import Endpoint, serve_metrics
from xiezhi.telemetry.meters import Meters


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    served = serve_metrics("judge", free_port())
    yield served
    served.close()


OWN = [metric for metric in catalogue.METRICS if metric not in catalogue.PROCESS_METRICS]


def give(meters: Meters, metric: Metric) -> None:
    labels = tuple(f"some {label}" for label in metric.labels)
    if metric.kind is Kind.COUNTER:
        meters.count(metric, 2, *labels)
    elif metric.kind is Kind.HISTOGRAM:
        meters.observe(metric, 2, *labels)
    else:
        meters.read(metric, lambda: [(2.0, labels)])


def test_every_metric_is_served_under_the_name_and_labels_that_the_catalogue_promises(
    endpoint: Endpoint,
) -> None:
    for metric in OWN:
        give(endpoint.meters, metric)
    seen = scrape([endpoint.port])
    for metric in catalogue.METRICS:
        assert set(metric.series) <= seen.names, metric.name
    for metric in OWN:
        for sample in seen.samples:
            if sample.name in metric.series:
                assert sample.labels.keys() - {"le"} == set(metric.exposed_labels)


def test_counts_add_up_per_label(endpoint: Endpoint) -> None:
    for amount, topic in ((3, "a"), (4, "b"), (5, "a")):
        endpoint.meters.count(catalogue.SENT, amount, topic)
    name = catalogue.SENT.exposed
    assert scrape([endpoint.port]).total(name, messaging_destination_name="a") == 8
    endpoint.meters.count(catalogue.SENT, 1, "a")
    seen = scrape([endpoint.port])
    assert seen.total(name, messaging_destination_name="a", messaging_system="kafka") == 9
    assert seen.total(name) == 13


def test_a_histogram_has_the_buckets_of_the_catalogue(endpoint: Endpoint) -> None:
    endpoint.meters.observe(catalogue.LATENESS, 30.0, "finance", "a")
    buckets = {
        float(one.labels["le"]): one.value
        for one in scrape([endpoint.port]).samples
        if one.name == f"{catalogue.LATENESS.exposed}_bucket"
    }
    assert tuple(sorted(buckets))[:-1] == catalogue.LATENESS.buckets
    assert (buckets[10.0], buckets[60.0]) == (0, 1)


def test_a_gauge_is_read_at_the_scrape(endpoint: Endpoint) -> None:
    values = [1.0]
    endpoint.meters.read(catalogue.IN_FLIGHT, lambda: [(values[0], ("judge",))])
    assert scrape([endpoint.port]).total(catalogue.IN_FLIGHT.exposed) == 1
    values[0] = 7.0
    assert scrape([endpoint.port]).total(catalogue.IN_FLIGHT.exposed, stage="judge") == 7


@pytest.mark.parametrize("labels", [(), ("a", "b")])
def test_a_value_needs_exactly_the_labels_of_its_metric(endpoint: Endpoint, labels: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="argument"):
        endpoint.meters.count(catalogue.SENT, 1, *labels)
    with pytest.raises(ValueError, match="argument"):
        endpoint.meters.observe(catalogue.ALERT_LATENCY, 1, *labels, "c", "d")


def test_without_a_provider_counting_costs_nothing_and_fails_nothing() -> None:
    meters = Meters()
    for metric in OWN:
        give(meters, metric)


def test_port_0_serves_nothing() -> None:
    served = serve_metrics("judge", 0)
    assert served.port == 0
    served.meters.count(catalogue.TICKS, 1)
    served.close()


def test_a_taken_port_is_one_sentence_and_the_service_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken, caplog.at_level(logging.WARNING):
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        served = serve_metrics("judge", port)
    assert served.port == 0
    served.meters.count(catalogue.TICKS, 1)
    (record,) = caplog.records
    assert record.getMessage().startswith(
        f"port {port}, where judge should serve its metrics, cannot be used ("
    )
    assert "XIEZHI_METRICS_PORT" in record.getMessage()


def test_a_closed_endpoint_serves_nothing_more() -> None:
    served = serve_metrics("judge", free_port())
    assert scrape([served.port]).samples
    served.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{LOOPBACK}:{served.port}/metrics", timeout=2)
