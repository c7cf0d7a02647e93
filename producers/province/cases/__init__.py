"""What is planted: one module per rule, each with several plots. Every plot is told as a case and as a decoy."""

from __future__ import annotations

from producers.province.cases import (
    benefits,
    bidders,
    bidding,
    cadres,
    changes,
    conflicts,
    early_payments,
    overdue,
    overpayments,
    rebounds,
    splitting,
)
from producers.province.cases.plot import Plot

PLOTS: tuple[Plot, ...] = (
    *bidding.PLOTS,
    *bidders.PLOTS,
    *conflicts.PLOTS,
    *changes.PLOTS,
    *overpayments.PLOTS,
    *early_payments.PLOTS,
    *splitting.PLOTS,
    *benefits.PLOTS,
    *cadres.PLOTS,
    *overdue.PLOTS,
    *rebounds.PLOTS,
)

__all__ = ["PLOTS", "Plot"]
