"""The instruments of one process, made from the catalogue through the OpenTelemetry API.

Without a provider they do nothing, so libraries may always count. Who runs as a service makes a provider in its main
(`xiezhi.telemetry.endpoint`) and hands its meters down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from xiezhi.telemetry.catalogue import Metric

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

SCOPE = "xiezhi"
Labels = tuple[str, ...]
Reading = Iterable[tuple[float, Labels]]  # value, label values in the catalogue's order


class Meters:
    """Counts and observes metrics of the catalogue. Never blocks. One thread counts, any thread may scrape.

    Counters are kept here and read at the scrape, which costs half a microsecond a call; the SDK's own counter costs
    twenty. A histogram has no such way around: observe samples or rare things.
    """

    def __init__(self, meter: Meter | None = None) -> None:
        self._meter = meter if meter is not None else metrics.get_meter(SCOPE)
        self._totals: dict[str, dict[Labels, float]] = {}
        self._histograms: dict[str, Histogram] = {}

    def count(self, metric: Metric, amount: float, *labels: str) -> None:
        """Add to a counter."""
        totals = self._totals.get(metric.name)
        if totals is None:
            totals = self._totals[metric.name] = self._counter(metric)
        held = totals.get(labels)
        if held is None:
            attributes_of(metric, labels)  # a wrong label shows here and not at the scrape
            held = 0.0
        totals[labels] = held + amount

    def _counter(self, metric: Metric) -> dict[Labels, float]:
        totals: dict[Labels, float] = {}

        def observe(_: CallbackOptions) -> Iterator[Observation]:
            for labels, total in dict(totals).items():  # a copy: the other thread goes on counting
                yield Observation(total, attributes_of(metric, labels))

        self._meter.create_observable_counter(metric.name, [observe], metric.unit, metric.en)
        return totals

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Add one value to a histogram."""
        histogram = self._histograms.get(metric.name)
        if histogram is None:
            histogram = self._meter.create_histogram(
                metric.name, metric.unit, metric.en, explicit_bucket_boundaries_advisory=metric.buckets
            )
            self._histograms[metric.name] = histogram
        histogram.record(value, attributes_of(metric, labels))

    def read(self, metric: Metric, reading: Callable[[], Reading]) -> None:
        """Let `reading` give the values of a gauge at every scrape; it runs on the endpoint's thread and must not
        block. To be called once per metric."""

        def observe(_: CallbackOptions) -> Iterator[Observation]:
            for value, labels in reading():
                yield Observation(value, attributes_of(metric, labels))

        self._meter.create_observable_gauge(metric.name, [observe], metric.unit, metric.en)


def attributes_of(metric: Metric, labels: Labels) -> dict[str, AttributeValue]:
    """The attributes of one value. Raises ValueError unless there is a value for every label."""
    return dict((*metric.constants, *zip(metric.labels, labels, strict=True)))
