"""The reference page of the metrics: `python -m xiezhi.telemetry.reference > docs/reference/metrics.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from xiezhi.telemetry import catalogue
from xiezhi.telemetry.catalogue import Metric

_HEAD = """# Metrics · 指标

Generated from `xiezhi/telemetry/catalogue.py`: `python -m xiezhi.telemetry.reference > docs/reference/metrics.md`.

Each service serves its metrics at `http://127.0.0.1:<port>/metrics` ([ports, dashboards, alert
rules](../how-to/monitor.md)). Names are those of the OpenTelemetry semantic conventions for messaging 1.44 or of the
collector's Kafka receiver where one exists; Prometheus shows dots as underscores, adds the unit and, to a counter,
`_total`. No label holds an id, a key, a token or a name.
"""
_SECTIONS = (
    ("Stages 各环节: router, judge, alert-store", catalogue.STAGE_METRICS),
    ("Clock 时钟", catalogue.CLOCK_METRICS),
    ("Monitor 监视: the whole bus, whether its stages live or not", catalogue.MONITOR_METRICS),
    ("Audit 审计", catalogue.AUDIT_METRICS),
    ("Every service 所有服务", catalogue.PROCESS_METRICS),
)


def page() -> str:
    """The whole page."""
    sections = ("\n".join([f"\n## {title}\n", *_table(metrics)]) for title, metrics in _SECTIONS)
    return _HEAD + "\n".join(sections) + "\n"


def _table(metrics: Iterable[Metric]) -> list[str]:
    rows = ["| metric, as scraped | kind, unit | labels | meaning 含义 |", "|---|---|---|---|"]
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.exposed_labels) or "–"
        name = f"`{metric.name}`<br>`{metric.exposed}`"
        rows.append(f"| {name} | {metric.kind}, {metric.unit} | {labels} | {metric.en}<br>{metric.zh} |")
    return rows


if __name__ == "__main__":
    sys.stdout.write(page())
