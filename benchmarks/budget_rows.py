"""One measured figure of the budget benchmarks beside what is asked of it, and a table of them as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured quantity beside what is asked of it."""

    quantity: str
    against: str
    reached: str
    asked: str
    ok: bool


def markdown(rows: Iterable[Row]) -> str:
    """The table as README shows it."""
    lines = ["| quantity | against | reached | asked |", "|---|---|---|---|"]
    for row in rows:
        short = "" if row.ok else " **(short)**"
        lines.append(f"| {row.quantity} | {row.against} | {row.reached}{short} | {row.asked} |")
    return "\n".join(lines) + "\n"
