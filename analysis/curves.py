"""Points of training curves in a table of runs: which rows are one run, and which of many checkpoints are fitted.

The checkpoints of one run share its error (its seed, its data order, its tuning), so that a thousand of them say little
more than ten. Taken as independent they make intervals far too narrow.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.reading.epochs import CURVE_POINTS
from analysis.reading.rows import Split, no_rows, set_aside

MOST_ROWS = 2_000
"""Rows up to which every checkpoint is fitted: 20 points draw the curve of each of 100 runs, whose own errors outweigh
what the points between would add."""
LEAST_POINTS = 10
"""Checkpoints that every run keeps at least."""


def cluster_by_size(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Take many token counts at one size as one training run, where nothing says which rows are one.

    Returns:
        The frame, with a `cluster` where that was so, and a note that says it.
    """
    if {"cluster", "run_id", "seed"} & set(frame.columns):
        return frame, ()
    counts = frame.groupby("params")["tokens"].nunique()
    if counts.median() < CURVE_POINTS:
        return frame, ()
    labels, _ = pd.factorize(frame["params"])
    return frame.assign(cluster=labels), (
        f"{len(counts)} sizes have {counts.median():.0f} token counts each (median), and no column names the runs: "
        "each size is taken as one training run, whose points share its error; cluster=COLUMN names the runs, "
        "cluster=none says that every row is a run of its own",
    )


def thin_curves(frame: pd.DataFrame) -> tuple[Split, tuple[str, ...]]:
    """Keep checkpoints at evenly spaced log tokens of each run where a table has more rows than a fit can use.

    Returns:
        The rows that are kept and those set aside, and a note that says it.
    """
    if len(frame) <= MOST_ROWS or "cluster" not in frame:
        return (frame, no_rows()), ()
    points = max(LEAST_POINTS, MOST_ROWS // frame["cluster"].nunique())
    keep = np.zeros(len(frame), dtype=bool)
    log_tokens = np.log(frame["tokens"].to_numpy())
    for rows in frame.groupby("cluster").indices.values():
        keep[rows[evenly_spaced(log_tokens[rows], points)]] = True
    if keep.all():
        return (frame, no_rows()), ()
    note = (
        f"of {len(frame)} checkpoints of {frame['cluster'].nunique()} runs {keep.sum()} are fitted, up to {points} a "
        "run at evenly spaced log tokens, the first and the last among them: the points of a run share its error"
    )
    return set_aside(frame, pd.Series(~keep, index=frame.index), "between the checkpoints fitted"), (note,)


def evenly_spaced(values: NDArray[np.floating], count: int) -> NDArray[np.intp]:
    """Indices of the values nearest to `count` evenly spaced ones, ends included, each index once."""
    if len(values) <= count:
        return np.arange(len(values))
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    wanted = np.linspace(ordered[0], ordered[-1], count)
    above = np.clip(np.searchsorted(ordered, wanted), 1, len(ordered) - 1)
    nearer_below = wanted - ordered[above - 1] < ordered[above] - wanted
    return np.asarray(np.unique(order[above - nearer_below]))
