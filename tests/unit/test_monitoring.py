"""The monitoring configuration holds together: what it asks for is measured, what it names exists, what it says is said
in both languages. The alert rules themselves are run over synthetic series by `make monitoring` (promtool)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.monitoring.dashboards import DASHBOARDS, FOLDER, to_json
from tests.promql import asked_by
from xiezhi.local.services import load_services
from xiezhi.telemetry import catalogue, reference

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
#: What Prometheus itself adds to every series, and its own series about a scrape.
SCRAPE_LABELS = {"job", "instance", "service"}
SCRAPE_SERIES = {"up"}
#: Template functions of Prometheus' alert texts that the rules use.
TEMPLATE_FUNCTIONS = {"humanize", "humanize1024", "humanizeDuration", "humanizePercentage"}


def loaded(name: str) -> Any:
    return yaml.safe_load((MONITORING / name).read_text("utf-8"))


def alert_rules() -> list[dict[str, Any]]:
    return [rule for group in loaded("rules.yaml")["groups"] for rule in group["rules"]]


def panels() -> Iterator[tuple[str, str, str]]:
    """(dashboard, panel, PromQL) of every query in the files that Grafana reads."""
    for file in sorted(FOLDER.glob("*.json")):
        for panel in json.loads(file.read_text("utf-8"))["panels"]:
            for target in panel["targets"]:
                yield file.stem, panel["title"], target["expr"]


def expressions() -> list[Any]:
    rules = [pytest.param(rule["expr"], id=f"rule {rule['alert']}") for rule in alert_rules()]
    return rules + [pytest.param(expr, id=f"{screen} {title}") for screen, title, expr in panels()]


def labels_by_series() -> dict[str, set[str]]:
    known = {series: set(metric.exposed_labels) for metric in catalogue.METRICS for series in metric.series}
    return {name: labels | SCRAPE_LABELS | {"le"} for name, labels in known.items()} | dict.fromkeys(
        SCRAPE_SERIES, SCRAPE_LABELS
    )


@pytest.mark.parametrize("expression", expressions())
def test_every_query_parses_and_asks_only_for_what_is_measured(expression: str) -> None:
    asked, known = asked_by(expression), labels_by_series()
    assert asked.series <= known.keys()
    assert [(name, label) for name, label in asked.matched if label not in known[name]] == []
    reachable = set().union(*(known[name] for name in asked.series)) | asked.made
    assert asked.grouped <= reachable


def test_a_query_for_what_nobody_measures_is_noticed() -> None:
    asked = asked_by('sum by (colour) (rate(xiezhi_wishes_total{shape="round"}[5m]))')
    assert asked.series == {"xiezhi_wishes_total"}
    assert asked.matched == {("xiezhi_wishes_total", "shape")}
    assert asked.grouped == {"colour"}
    with pytest.raises(ValueError, match="unclosed"):
        asked_by("sum by (rate(")


def test_every_metric_of_the_catalogue_is_looked_at_by_somebody() -> None:
    queries = [rule["expr"] for rule in alert_rules()] + [expr for _, _, expr in panels()]
    asked = {name for expr in queries for name in asked_by(expr).series}
    unseen = [metric.name for metric in catalogue.METRICS if not set(metric.series) & asked]
    assert unseen == []


def test_alert_rules_say_what_to_do_in_both_languages() -> None:
    for rule in alert_rules():
        assert set(rule["annotations"]) == {"zh", "en", "do"}, rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        asked = asked_by(rule["expr"])
        labels = set().union(*(labels_by_series()[name] for name in asked.series)) | asked.made
        for text in rule["annotations"].values():
            used = re.findall(r"\{\{ *(.*?) *\}\}", text)
            for one in used:
                value, *functions = [part.strip() for part in one.split("|")]
                assert value == "$value" or value.removeprefix("$labels.") in labels, (rule["alert"], one)
                assert set(functions) <= TEMPLATE_FUNCTIONS


def test_every_alert_rule_is_tested_with_series_that_raise_it_and_that_do_not() -> None:
    quiet, broken, *_ = loaded("rules.test.yaml")["tests"]
    (firing,) = broken["promql_expr_test"]
    raised = {re.findall(r'alertname="(\w+)"', sample["labels"])[0] for sample in firing["exp_samples"]}
    assert raised == {rule["alert"] for rule in alert_rules()}
    (none,) = quiet["promql_expr_test"]
    assert none["exp_samples"] == []
    given = {re.match(r"\w+", one["series"])[0] for one in quiet["input_series"]}  # type: ignore[index]
    asked = set().union(*(asked_by(rule["expr"]).series for rule in alert_rules()))
    assert asked - given == {
        *("xiezhi_dead_letters_total", "messaging_client_consumed_messages_total", "xiezhi_audit_gaps_total")
    }, "of these a quiet bus has none"


def test_prometheus_scrapes_every_service_where_it_serves() -> None:
    (job,) = loaded("prometheus.yaml")["scrape_configs"]
    scraped = {
        one["labels"]["service"]: int(one["targets"][0].rpartition(":")[2]) for one in job["static_configs"]
    }
    services = load_services(ROOT / "deploy" / "services.toml")
    assert scraped == {service.name: service.metrics_port for service in services if service.metrics_port}
    assert all(service.metrics_port for service in services), "every service can be watched"
    assert loaded("prometheus.yaml")["rule_files"] == ["rules.yaml"]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.uid)
def test_the_dashboard_that_grafana_reads_is_the_one_in_the_code(dashboard: Any) -> None:
    written = (FOLDER / f"{dashboard.uid}.json").read_text("utf-8")
    assert written == to_json(dashboard), "run: python -m deploy.monitoring.dashboards"


def test_panels_lie_side_by_side_and_never_on_each_other() -> None:
    for dashboard in DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(to_json(dashboard))["panels"]:
            place = panel["gridPos"]
            cells = {(x, place["y"]) for x in range(place["x"], place["x"] + place["w"])}
            assert not cells & taken
            assert max(x for x, _ in cells) < 24
            taken |= cells


def test_grafana_knows_the_sources_that_the_dashboards_name() -> None:
    sources = {
        one["uid"]: one["type"]
        for one in loaded("grafana/provisioning/datasources/xiezhi.yaml")["datasources"]
    }
    used = {
        (panel["datasource"]["uid"], panel["datasource"]["type"])
        for dashboard in DASHBOARDS
        for panel in json.loads(to_json(dashboard))["panels"]
    }
    assert used <= set(sources.items())
    (provider,) = loaded("grafana/provisioning/dashboards/xiezhi.yaml")["providers"]
    mounts = loaded("compose.yaml")["services"]["grafana"]["volumes"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in mounts


@pytest.mark.parametrize("name", ["collector.yaml", "jaeger.yaml"])
def test_pipelines_are_made_of_components_that_are_configured(name: str) -> None:
    config = loaded(name)
    for pipeline in config["service"]["pipelines"].values():
        assert set(pipeline) == {"receivers", "processors", "exporters"}
        for kind, members in pipeline.items():
            assert set(members) <= config[kind].keys()
    assert set(config["service"]["extensions"]) == config["extensions"].keys()


def test_the_collector_hands_its_traces_to_where_jaeger_listens() -> None:
    exporter = loaded("collector.yaml")["exporters"]["otlp/jaeger"]["endpoint"]
    assert exporter == loaded("jaeger.yaml")["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]


def test_everything_listens_and_asks_on_loopback() -> None:
    for file in MONITORING.rglob("*.yaml"):
        addresses = re.findall(r"\b\d+\.\d+\.\d+\.\d+(?=:\d|\b)", file.read_text("utf-8"))
        assert set(addresses) <= {"127.0.0.1"}, file
        assert "endpoint: :" not in file.read_text("utf-8")


def test_files_that_containers_mount_exist() -> None:
    for service in loaded("compose.yaml")["services"].values():
        for mount in service.get("volumes", ()):
            assert (MONITORING / mount.split(":")[0]).exists(), mount
        assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+", service["image"]), "images are pinned"


def test_the_reference_page_of_the_metrics_is_current() -> None:
    page = (ROOT / "docs/reference/metrics.md").read_text("utf-8")
    assert page == reference.page(), "run: python -m xiezhi.telemetry.reference > docs/reference/metrics.md"


def test_metrics_have_a_name_a_meaning_and_labels_of_few_values() -> None:
    names = [metric.name for metric in catalogue.METRICS]
    assert len(set(names)) == len(names)
    few = {
        *("messaging.destination.name", "messaging.consumer.group.name", "group", "topic", "partition"),
        *("stage", "on", "reason", "owner", "rule", "outcome", "severity", "state", "segment", "process"),
    }
    for metric in catalogue.METRICS:
        assert metric.zh, metric.name
        assert metric.en, metric.name
        assert set(metric.labels) <= few, metric.name
        assert bool(metric.buckets) == (metric.kind is catalogue.Kind.HISTOGRAM)
