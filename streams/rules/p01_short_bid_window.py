"""P01: bidders had less time from publication to the deadline than the method of procurement asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas import catalogue
from streams.kernel import Evidence, Finding, Outcome, Parameters, Statement, View
from streams.rules.days import DAY_MS, day_of
from streams.rules.findings import clear, insufficient, merged, not_applicable
from streams.rules.tenders import latest_notice


@dataclass(frozen=True, slots=True)
class _Window:
    """From the first publication to the last deadline: a notice issued again after a correction restarts nothing."""

    notices: tuple[Statement, ...]
    published_ms: int
    deadline_ms: int

    def days(self, day_count: str) -> int:
        """Whole days: `calendar` counts dates without the first one, `elapsed` full spans of 24 hours."""
        if day_count == "calendar":
            return day_of(self.deadline_ms) - day_of(self.published_ms)
        return (self.deadline_ms - self.published_ms) // DAY_MS


def evaluate(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    notice = latest_notice(view)
    if notice is None:
        return [insufficient("notice_missing")]
    if notice["status"] in ("planned", "cancelled"):
        return [not_applicable("not_in_force")]
    window = _window(view)
    published_ms = window.published_ms if window else None
    limits = parameters.at("window_days_min", published_ms, notice.jurisdiction)
    if notice["method"] not in limits:
        return [not_applicable("method_without_limit")]
    if window is None:
        return [insufficient("dates_missing")]
    if window.deadline_ms < window.published_ms:
        return [insufficient("deadline_before_publication")]
    days = window.days(parameters.at("day_count", published_ms, notice.jurisdiction))
    if days >= limits[notice["method"]]:
        return [clear("window_long_enough")]
    return [_hit(view.key, notice, window, days, limits[notice["method"]])]


def _window(view: View) -> _Window | None:
    notices = tuple(view.of(catalogue.NOTICE.topic))
    published = [n["published_at"] for n in notices if n["published_at"] is not None]
    deadlines = [n["bid_deadline"] for n in notices if n["bid_deadline"] is not None]
    return _Window(notices, min(published), max(deadlines)) if published and deadlines else None


def _hit(procedure_id: str, notice: Statement, window: _Window, days: int, limit_days: int) -> Finding:
    return Finding(
        outcome=Outcome.HIT,
        reason="window_too_short",
        subject={"procedure_id": procedure_id},
        evidence=merged([Evidence.of(n, "published_at", "bid_deadline", "method") for n in window.notices]),
        numbers={
            "window_days": days,
            "limit_days": limit_days,
            "method": notice["method"],
            "occurred_ms": window.published_ms,
            "deadline_ms": window.deadline_ms,
        },
        jurisdiction=notice.jurisdiction,
        office=notice["buyer_id"],
    )
