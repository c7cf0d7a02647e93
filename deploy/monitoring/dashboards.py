"""Grafana dashboards as code: `python -m deploy.monitoring.dashboards` writes `grafana/dashboards/*.json`.

Two screens: what an operator looks at first, and the stages for whoever looks closer. A panel is a title, a question in
PromQL, and a unit; the rest is the same everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).parent / "grafana" / "dashboards"
PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
_WIDTH, _HEIGHT = 24, 7  # Grafana's grid is 24 wide

Threshold = tuple[float, Literal["green", "yellow", "red"]]


@dataclass(frozen=True)
class Query:
    """PromQL, and how its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel. `kind` stat shows the last value, timeseries the course, table the last values side by side."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"  # Grafana's name of it
    kind: Literal["stat", "timeseries", "table"] = "timeseries"
    width: int = 8
    thresholds: tuple[Threshold, ...] = ()


@dataclass(frozen=True)
class Dashboard:
    """One screen."""

    uid: str
    title: str
    panels: tuple[Panel, ...]


def _panel(title: str, *queries: Query | str, **how: Any) -> Panel:
    asked = tuple(one if isinstance(one, Query) else Query(one) for one in queries)
    return Panel(title, asked, **how)


def _latency(segment: str, legend: str, quantile: float = 0.99) -> Query:
    buckets = f'rate(xiezhi_alert_latency_seconds_bucket{{segment="{segment}"}}[5m])'
    return Query(f"histogram_quantile({quantile}, sum by (le) ({buckets}))", legend)


def _consumed(stage: str) -> str:
    return f'rate(messaging_client_consumed_messages_total{{messaging_consumer_group_name="xiezhi-{stage}"}}[1m])'


def _batch_size(stage: str) -> Query:
    batches = f'rate(xiezhi_batches_total{{stage="{stage}"}}[1m])'
    return Query(f"sum({_consumed(stage)}) / sum({batches})", stage)


OVERVIEW = Dashboard(
    "xiezhi-overview",
    "Xiezhi 獬豸 · 总览 overview",
    (
        _panel(
            "服务在线 services up",
            Query('up{job="xiezhi"}', "{{service}}"),
            kind="stat",
            thresholds=((0, "red"), (1, "green")),
        ),
        _panel(
            "积压时间 lag",
            Query("max by (group) (xiezhi_consumer_group_lag_time_seconds)", "{{group}}"),
            unit="s",
            kind="stat",
            thresholds=((0, "green"), (10, "yellow"), (60, "red")),
        ),
        _panel(
            "24 小时死信 dead letters in 24 h",
            'sum(delta(xiezhi_topic_records{topic="xiezhi.dead-letter.v1"}[24h]))',
            kind="stat",
            width=4,
            thresholds=((0, "green"), (1, "yellow"), (100, "red")),
        ),
        _panel(
            "低水位 watermark age",
            "time() - xiezhi_clock_watermark_seconds",
            unit="s",
            kind="stat",
            width=4,
            thresholds=((0, "green"), (180, "yellow"), (300, "red")),
        ),
        _panel(
            "入站速率 records in",
            Query(
                f"sum by (messaging_destination_name) ({_consumed('router')})",
                "{{messaging_destination_name}}",
            ),
            unit="cps",
        ),
        _panel(
            "预警 alerts said",
            Query("sum by (severity, state) (rate(xiezhi_alerts_said_total[5m]))", "{{severity}} {{state}}"),
            unit="cps",
        ),
        _panel(
            "预警时延 alert latency, p99",
            _latency("ingested_said", "入库→提出 ingested→said"),
            _latency("said_stored", "提出→存储 said→stored"),
            unit="s",
        ),
        _panel(
            "部门静默 / 承诺 silence against promise",
            Query(
                "(time() - xiezhi_topic_last_ingested_seconds) / on (owner, topic) xiezhi_topic_expected_every_seconds",
                "{{owner}} {{topic}}",
            ),
            unit="percentunit",
            width=12,
            thresholds=((0, "green"), (0.8, "yellow"), (1, "red")),
        ),
        _panel(
            "积压记录 records behind",
            Query("sum by (group) (kafka_consumer_group_lag)", "{{group}}"),
            width=12,
        ),
        _panel(
            "审计 audit: 检查点 checkpoint age",
            "time() - xiezhi_audit_checkpoint_seconds",
            unit="s",
            kind="stat",
            width=6,
            thresholds=((0, "green"), (10, "yellow"), (60, "red")),
        ),
        _panel(
            "审计叶子 audit leaves",
            Query("xiezhi_audit_leaves", "全部 all"),
            Query("xiezhi_audit_unsigned", "未签名 unsigned"),
            kind="stat",
            width=6,
        ),
        _panel(
            "剩余磁盘 disk free",
            "xiezhi_disk_free_bytes",
            unit="bytes",
            kind="stat",
            width=6,
            thresholds=((0, "red"), (2 * 1024**3, "yellow"), (10 * 1024**3, "green")),
        ),
        _panel(
            "代理、注册中心 broker, registry",
            Query("xiezhi_broker_up", "代理 broker"),
            Query("xiezhi_registry_up", "注册中心 registry"),
            kind="stat",
            width=6,
            thresholds=((0, "red"), (1, "green")),
        ),
    ),
)

STAGES = Dashboard(
    "xiezhi-stages",
    "Xiezhi 獬豸 · 环节 stages",
    (
        _panel(
            "忙碌占比（每核） busy part of a core",
            Query("sum by (stage) (rate(xiezhi_process_time_seconds_total[1m]))", "{{stage}}"),
            unit="percentunit",
        ),
        _panel(
            "处理器 CPU",
            Query('rate(process_cpu_seconds_total{job="xiezhi"}[1m])', "{{service}}"),
            unit="percentunit",
        ),
        _panel(
            "内存 memory", Query('process_resident_memory_bytes{job="xiezhi"}', "{{service}}"), unit="bytes"
        ),
        _panel(
            "记录 records",
            Query(
                "sum by (messaging_consumer_group_name) (rate(messaging_client_consumed_messages_total[1m]))",
                "{{messaging_consumer_group_name}}",
            ),
            unit="cps",
        ),
        _panel(
            "每批记录 records per batch",
            _batch_size("router"),
            _batch_size("judge"),
        ),
        _panel(
            "发送 sent",
            Query(
                "sum by (messaging_destination_name) (rate(messaging_client_sent_messages_total[1m]))",
                "{{messaging_destination_name}}",
            ),
            unit="cps",
        ),
        _panel(
            "在途批 batches in flight",
            Query("sum by (stage) (xiezhi_batch_in_flight)", "{{stage}}"),
        ),
        _panel("分区 partitions", Query("sum by (stage) (xiezhi_partitions_assigned)", "{{stage}}")),
        _panel(
            "等待 waiting",
            Query("sum by (stage, on) (rate(xiezhi_wait_time_seconds_total[5m]))", "{{stage}} {{on}}"),
            unit="percentunit",
        ),
        _panel(
            "死信 dead letters",
            Query(
                "sum by (stage, topic, reason) (rate(xiezhi_dead_letters_total[5m]))",
                "{{stage}} {{topic}} {{reason}}",
            ),
            unit="cps",
        ),
        _panel(
            "规则结果 rule outcomes",
            Query("sum by (rule, outcome) (rate(xiezhi_rule_outcomes_total[5m]))", "{{rule}} {{outcome}}"),
            unit="cps",
        ),
        _panel(
            "后台重新研判 keys judged again",
            Query("sum(rate(xiezhi_rejudged_keys_total[5m]))", "keys"),
            unit="cps",
        ),
        _panel(
            "规则出错 rule failures",
            Query("sum by (rule) (rate(xiezhi_rule_failures_total[5m]))", "{{rule}}"),
        ),
        _panel(
            "部门延迟（发生→入库，中位数） lateness of departments, median",
            Query(
                "histogram_quantile(0.5, sum by (owner, le) (rate(xiezhi_record_lateness_seconds_bucket[1h])))",
                "{{owner}}",
            ),
            unit="s",
            width=12,
        ),
        _panel(
            "预警时延（发生→入库） alert latency, occurred→ingested",
            _latency("occurred_ingested", "p50", 0.5),
            _latency("occurred_ingested", "p99"),
            unit="s",
            width=12,
        ),
        _panel(
            "入库、采纳 stored",
            Query(
                "sum by (severity, state) (rate(xiezhi_alerts_stored_total[5m]))", "{{severity}} {{state}}"
            ),
            unit="cps",
        ),
        _panel("主题记录 records on topics", Query("xiezhi_topic_records", "{{topic}}"), kind="table"),
        _panel(
            "重启 restarts",
            Query('changes(process_start_time_seconds{job="xiezhi"}[1h])', "{{service}}"),
            Query("xiezhi_process_restarts", "{{process}}"),
            kind="table",
        ),
    ),
)

DASHBOARDS = (OVERVIEW, STAGES)


def to_json(dashboard: Dashboard) -> str:
    """The file that Grafana reads (schema version 39, Grafana 11 and later)."""
    value = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["xiezhi"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "panels": list(_laid_out(dashboard.panels)),
    }
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _laid_out(panels: Sequence[Panel]) -> Iterator[dict[str, Any]]:
    """From left to right, a new row when the line is full."""
    x = y = 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > _WIDTH:
            x, y = 0, y + _HEIGHT
        yield {
            "id": number,
            "type": panel.kind,
            "title": panel.title,
            "datasource": PROMETHEUS,
            "gridPos": {"x": x, "y": y, "w": panel.width, "h": _HEIGHT},
            "targets": [
                _target(query, ref, panel.kind) for ref, query in zip("ABC", panel.queries, strict=False)
            ],
            "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
            "options": {"reduceOptions": {"calcs": ["lastNotNull"]}} if panel.kind == "stat" else {},
        }
        x += panel.width


def _target(query: Query, ref: str, kind: str) -> dict[str, Any]:
    now = {} if kind == "timeseries" else {"instant": True}
    shape = {"format": "table"} if kind == "table" else {}
    return {"refId": ref, "expr": query.expr, "legendFormat": query.legend, **now, **shape}


def _defaults(panel: Panel) -> dict[str, Any]:
    steps = [
        {"value": value if number else None, "color": colour}
        for number, (value, colour) in enumerate(panel.thresholds)
    ]
    shown = {"thresholds": {"mode": "absolute", "steps": steps}} if steps else {}
    return {"unit": panel.unit, **shown}


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard.uid}.json").write_text(to_json(dashboard), "utf-8")


if __name__ == "__main__":
    main()
