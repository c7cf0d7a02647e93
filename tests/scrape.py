"""Metrics as a Prometheus server would scrape them from services on this machine."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from xiezhi.local.settings import LOOPBACK


@dataclass(frozen=True, slots=True)
class Scraped:
    """Samples of one or several endpoints."""

    samples: tuple[Sample, ...]

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self.samples if not sample.name.endswith("_created")}

    def total(self, name: str, **labels: str) -> float:
        """Sum of all samples of this name that have these labels; 0.0 without any."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def exposed(port: int) -> str:
    """The page at this port of the loopback, as it is."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=10) as response:
        page: bytes = response.read()
    return page.decode()


def scrape(ports: Iterable[int]) -> Scraped:
    """Everything served on these ports of the loopback."""
    samples: list[Sample] = []
    for port in ports:
        families = text_string_to_metric_families(exposed(port))
        samples += [sample for family in families for sample in family.samples]
    return Scraped(tuple(samples))
