"""F02: payments of one payer to one payee for one purpose, each below the limit of approval, reach it together.

The view is a fold (`streams/joins/payment_series.py`): the payments of two periods, of which the first is judged and
the second is there for windows that begin in the first. So every window is judged under one key and no key grows
with the years. The limit in force when the first period begins holds for all of it.

Payments from the limit on had their approval and do not count, nor do refunds from the limit on. Smaller refunds
within the window are deducted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from streams.kernel import Evidence, Finding, FoldView, Outcome, Parameters, Statement
from streams.rules.days import day_of, start_of
from streams.rules.findings import clear, insufficient, merged, not_applicable
from streams.rules.standing import known_since_ms, standing_since_ms
from streams.rules.working_days import WorkingDays

#: Four weeks. No window may be longer, or it would reach beyond the payments of the view.
PERIOD_DAYS = 28
#: Payments from the limit on that are told apart one by one. Without a bound one key could make every answer slow.
LARGE_MAX = 500
#: Records cited at most, the earliest of the window: an alert is for people, and must fit into one message.
EVIDENCE_MAX = 100

_FIELDS = ("payer_id", "payee_id", "purpose", "amount_minor", "currency", "kind", "paid_at", "contract_id")


@dataclass(frozen=True, slots=True)
class _Window:
    """The days from `first` up to, not including, `end`, and the payments below the limit in them, net of refunds."""

    first: int
    end: int
    last: int
    payments: int
    net_minor: int

    def has(self, payment: Statement) -> bool:
        return self.first <= day_of(payment["paid_at"]) < self.end


def evaluate(view: FoldView, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    paid = view.within("paid")
    if not paid.count:
        return [not_applicable("no_payments")]
    newest = view.ranked("days", 1, descending=True)[0]
    begins = _period(view) * PERIOD_DAYS
    when = (start_of(begins), newest.jurisdiction)
    limit = parameters.at("approval_limits_minor", *when).get(newest["currency"])
    if limit is None:
        return [not_applicable("no_limit_in_currency")]
    if paid.sum < limit:
        return [clear("below_limit_together")]
    large = view.ranked("amounts", LARGE_MAX + 1, low=limit)
    if len(large) > LARGE_MAX:
        return [insufficient("too_many_above_limit")]
    payments, net = _by_day(view, large)
    if not any(payments.values()):
        return [not_applicable("each_reaches_limit")]
    calendar, days = parameters.at("working_days", *when), parameters.at("window_working_days", *when)
    spans = [
        (day, _end_of(calendar, day, days))
        for day in sorted(payments)
        if payments[day] and begins <= day < begins + PERIOD_DAYS
    ]
    windows = [_window(payments, net, first, end) for first, end in spans if end is not None]
    reaching = [window for window in windows if window.net_minor >= limit]
    if reaching:
        return [_hit(view, reaching, limit, len(large))]
    if len(windows) < len(spans):
        return [insufficient("calendar_missing")]
    return [clear("below_limit_together")]


def _period(view: FoldView) -> int:
    """The first of the two periods: the last part of the key."""
    return int(view.key.rpartition(" ")[2])


def _by_day(view: FoldView, large: Iterable[Statement]) -> tuple[Mapping[int, int], Mapping[int, int]]:
    """Of every day the number of payments below the limit, and their sum net of refunds."""
    payments, net = Counter[int](), Counter[int]()
    for day, totals in view.days("paid"):
        payments[day] += totals.count
        net[day] += int(totals.sum)
    for day, totals in view.days("returned"):
        net[day] -= int(totals.sum)
    for one in large:
        payments[day_of(one["paid_at"])] -= one["kind"] == "payment"
        net[day_of(one["paid_at"])] -= _signed(one)
    return payments, net


def _end_of(calendar: WorkingDays, first: int, working_days: int) -> int | None:
    """The day after the window that begins with `first`; None when the calendar does not reach so far."""
    end_ms = calendar.end_of(start_of(first), working_days)
    if end_ms is None:
        return None
    end = day_of(end_ms)
    if end - first > PERIOD_DAYS:
        raise ValueError(f"{working_days} working days are more than the {PERIOD_DAYS} days that can be seen")
    return end


def _window(payments: Mapping[int, int], net: Mapping[int, int], first: int, end: int) -> _Window:
    days = [day for day in net if first <= day < end]
    return _Window(
        first=first,
        end=end,
        last=max(day for day in days if payments[day]),
        payments=sum(payments[day] for day in days),
        net_minor=sum(net[day] for day in days),
    )


def _hit(view: FoldView, windows: Sequence[_Window], limit: int, large: int) -> Finding:
    first = windows[0]
    listed = view.ranked("days", EVIDENCE_MAX + large, low=first.first, high=windows[-1].end)
    small = [one for one in listed if one["amount_minor"] < limit][:EVIDENCE_MAX]
    cited = [one for one in small if first.has(one)]
    told = cited[0]
    return Finding(
        outcome=Outcome.HIT,
        reason="split_below_limit",
        subject={name: told[name] for name in ("payer_id", "payee_id", "purpose")},
        evidence=merged(Evidence.of(one, *_FIELDS) for one in cited),
        numbers={
            "payments": first.payments,
            "paid_minor": first.net_minor,
            "limit_minor": limit,
            "currency": told["currency"],
            "first_on": first.first,
            "last_on": first.last,
        },
        jurisdiction=told.jurisdiction,
        office=told["payer_id"],
        established_ms=_standing_since_ms(small, windows, limit),
    )


def _standing_since_ms(payments: Sequence[Statement], windows: Sequence[_Window], limit: int) -> int:
    """Since when some window has reached the limit: a refund may still be on its way.

    Where that takes more payments than are cited, since all of these are known.
    """
    nets = dict.fromkeys(windows, 0)

    def reached_with(payment: Statement) -> bool:
        for window in windows:
            nets[window] += _signed(payment) if window.has(payment) else 0
        return max(nets.values()) >= limit

    since = standing_since_ms(payments, reached_with)
    return known_since_ms(payments) if since is None else since


def _signed(payment: Statement) -> int:
    """A payment counts up, a refund down."""
    amount = int(payment["amount_minor"])
    return -amount if payment["kind"] == "refund" else amount
