"""IsoFLOP budgets of a table that does not name them."""

import numpy as np
from numpy.typing import NDArray

MIN_RUNS = 4  # fewer points than this cannot show a minimum with a residual left over


def group_budgets(flops: NDArray[np.floating], tolerance: float) -> NDArray[np.floating]:
    """Give runs that were trained with nearly the same compute one budget.

    The densest group is taken first, then the densest of what remains, so that stragglers between two budgets do
    not chain them together.

    Args:
        flops: training FLOPs, shape (n,), positive.
        tolerance: largest relative spread (max/min − 1) within a group.

    Returns:
        The budget of each run, the geometric mean of its group's FLOPs, shape (n,); NaN where fewer than 4 runs agree.
    """
    log_flops = np.log(flops)
    order = np.argsort(log_flops, kind="stable")
    ordered = log_flops[order]
    free = np.ones(len(flops), dtype=bool)
    budgets = np.full(len(flops), np.nan)
    width = np.log1p(tolerance) + 1e-9
    while True:
        remaining = np.flatnonzero(free)
        if len(remaining) < MIN_RUNS:
            return budgets
        values = ordered[remaining]
        ends = np.searchsorted(values, values + width, side="right")
        sizes = ends - np.arange(len(values))
        start = int(np.argmax(sizes))
        if sizes[start] < MIN_RUNS:
            return budgets
        members = remaining[start : ends[start]]
        budgets[order[members]] = np.exp(ordered[members].mean())
        free[members] = False
