"""Unique tokens of runs that repeat their data: from passes over it, which are those of a row or of the whole run."""

import numpy as np
import pandas as pd

from analysis.refusals import BadColumn

CURVE_POINTS = 8
"""Token counts of one size from which rows look like points of a training curve."""
SAME = 1.02
"""Unique tokens of one run agree within this factor; passes are often rounded."""
REPEATED = 1.05
"""Tokens over unique tokens above which a row has repeated some."""


def add_unique_tokens(frame: pd.DataFrame, column: str) -> tuple[pd.DataFrame, str]:
    """The frame with `unique_tokens` in place of `epochs`, and how they were found, in words.

    Where a run has several rows and all say the same number of passes, it is that of the whole run: the unique tokens
    are those of its last row over the passes. Else each row counts its own passes, and the run's unique tokens are the
    most that a row of it shows (a row of less than one pass has seen only some of them).

    Args:
        frame: `tokens`, `params` and `epochs`, and where known `cluster`, the run of each row.
        column: the source's column of the passes.
    """
    epochs = frame["epochs"]
    run = frame["cluster"] if "cluster" in frame else curves(frame)
    by_row = frame["tokens"] / epochs.clip(lower=1)
    if run is None:
        return frame.drop(columns="epochs").assign(unique_tokens=by_row), f"tokens over column {column!r}"
    constant = epochs.groupby(run).transform("nunique") == 1
    several = frame["tokens"].groupby(run).transform("nunique") > 1
    of_run = frame["tokens"].groupby(run).transform("max") / epochs.clip(lower=1)
    unique = by_row.groupby(run).transform("max").where(~(constant & several), of_run)
    total = bool((constant & several & (epochs > 1)).any())
    if total:
        how = (
            f"those of each run's last row over column {column!r}, the passes of a whole run (say "
            "unique_tokens=COLUMN where the table holds less of it)"
        )
    else:
        how = f"the most that a row of each run shows as tokens over column {column!r}"
    return frame.drop(columns="epochs").assign(unique_tokens=unique), how


def curves(frame: pd.DataFrame) -> pd.Series | None:
    """The run of each row where no column names it but many token counts of one size and passes show curves."""
    run = frame.groupby(["params", "epochs"], sort=False).ngroup()
    counts = frame["tokens"].groupby(run).nunique()
    return run if counts.median() >= CURVE_POINTS else None


def refuse_varying(frame: pd.DataFrame, column: str) -> None:
    """Raise where the unique tokens of one run differ among rows that have repeated some of them.

    A row in its first pass may count what it has seen so far, which grows.
    """
    if "cluster" not in frame:
        return
    unique = frame["unique_tokens"].where(frame["tokens"] > REPEATED * frame["unique_tokens"])
    runs = unique.groupby(frame["cluster"])
    low, high = runs.transform("min"), runs.transform("max")
    differ = np.flatnonzero((high > SAME * low).to_numpy())
    if len(differ):
        first = frame.iloc[differ[0]]
        raise BadColumn(
            f"unique tokens of run {first['cluster']!r} vary from {low.iloc[differ[0]]:.4g} to "
            f"{high.iloc[differ[0]]:.4g} (column {column!r}, row {int(first['row'])}): one run has one set of unique "
            "tokens; name the right column with unique_tokens=COLUMN, or leave it out with unique_tokens=none"
        )
