"""Monitoring of the bus: configuration of collector, Prometheus, Jaeger and Grafana; dashboards as code."""
