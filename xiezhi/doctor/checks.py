"""The checks that every bus has, in the order in which they are shown. A project adds its own through `xiezhi.toml`."""

from __future__ import annotations

from xiezhi.doctor import flow, parts, processes
from xiezhi.doctor.finding import Check

CHECKS: tuple[Check, ...] = (
    Check(processes.PART, processes.examine),
    Check("broker", parts.examine_broker),
    Check("registry", parts.examine_registry),
    Check("topics", parts.examine_topics, ("broker",)),
    Check(flow.LAG, flow.examine_lag, ("broker",)),
    Check("dead_letters", parts.examine_dead_letters, ("broker", "registry")),
    Check(flow.DEPARTMENTS, flow.examine_departments, ("broker",)),
    Check("disk", parts.examine_disk),
)
