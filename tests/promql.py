"""What a PromQL expression asks for: parsed by the parser that Prometheus-compatible servers in Rust use."""

from __future__ import annotations

from dataclasses import dataclass

import promql_parser
from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, MatrixSelector, StringLiteral, VectorSelector


@dataclass(frozen=True, slots=True)
class Asked:
    """Names of series, labels that their selectors match on, and labels that the rest of the expression names."""

    series: frozenset[str]
    matched: frozenset[tuple[str, str]]  # series, label
    grouped: frozenset[str]
    made: frozenset[str]  # labels that label_replace writes


def asked_by(expression: str) -> Asked:
    """Raises ValueError for what is not PromQL."""
    series: set[str] = set()
    matched: set[tuple[str, str]] = set()
    grouped: set[str] = set()
    made: set[str] = set()

    def visit(expr: Expr) -> bool:
        if isinstance(expr, MatrixSelector):
            return visit(expr.vector_selector)
        if isinstance(expr, VectorSelector):
            assert expr.name is not None, "a selector without a name reads everything"
            series.add(expr.name)
            matched.update((expr.name, one.name) for one in expr.matchers.matchers)
        elif isinstance(expr, AggregateExpr) and expr.modifier is not None:
            grouped.update(expr.modifier.labels)
        elif isinstance(expr, BinaryExpr) and expr.modifier is not None:
            grouped.update(expr.modifier.matching.labels if expr.modifier.matching else ())
            grouped.update(expr.modifier.group_labels or ())
        elif isinstance(expr, Call) and expr.func.name == "label_replace":
            target, _, source, _ = (one.val for one in expr.args if isinstance(one, StringLiteral))
            made.add(target)
            grouped.add(source)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return Asked(frozenset(series), frozenset(matched), frozenset(grouped), frozenset(made))
