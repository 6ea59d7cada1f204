"""The runs that a study read, and how each quantity is counted."""

import pandas as pd

from analysis.formats import between, compute, count
from analysis.sections.section import Section
from analysis.study import Study

SHOWN = {"params": count, "tokens": count, "flops": compute, "budget": compute}
"""Quantity → how its range is written; others are written to four digits."""


def runs_section(study: Study) -> Section:
    """How many runs there are, from where, and each quantity's column and range."""
    table = study.table
    frame = table.frame
    rows = tuple(
        (
            role,
            stated,
            between(
                float(frame[role].min()), float(frame[role].max()), SHOWN.get(role, lambda v: f"{v:.4g}")
            ),
        )
        for role, stated in table.convention.items()
        if role in frame and pd.api.types.is_numeric_dtype(frame[role])
    )
    words = [f"{len(frame)} runs of {frame['params'].nunique()} sizes from {table.source}."]
    if len(table.excluded):
        left = ", ".join(f"{number} ({reason})" for reason, number in table.excluded_by_reason().items())
        words.append(f"{len(table.excluded)} rows of the source are not used: {left}.")
    words += [f"Note: {note}." for note in table.notes]
    return Section("Runs", ("quantity", "counted as", "range"), rows, tuple(words))
