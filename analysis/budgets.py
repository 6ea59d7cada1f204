"""IsoFLOP budgets of a table that does not name them."""

import numpy as np
from numpy.typing import NDArray

WIDEST = 0.35  # spread of a group that stands apart: runs rounded to whole steps or sizes miss their budget by so much
MIN_RUNS = 4  # fewer points than this cannot show a minimum with a residual left over


def group_budgets(flops: NDArray[np.floating], tolerance: float) -> NDArray[np.floating]:
    """Give runs that were trained with nearly the same compute one budget.

    Groups that stand apart, with wider gaps around them than inside, are budgets however their runs missed it (up to
    35 %). Of the other runs the densest group is taken first, then the densest of what remains, so that stragglers
    between two budgets do not chain them together.

    Args:
        flops: training FLOPs, shape (n,), positive.
        tolerance: largest relative spread (max/min − 1) within a group that does not stand apart.

    Returns:
        The budget of each run, the geometric mean of its group's FLOPs, shape (n,); NaN where fewer than 4 runs agree.
    """
    log_flops = np.log(flops)
    order = np.argsort(log_flops, kind="stable")
    ordered = log_flops[order]
    free = np.ones(len(flops), dtype=bool)
    budgets = np.full(len(flops), np.nan)
    width = np.log1p(tolerance) + 1e-9
    for members in standing_apart(ordered, width):
        budgets[order[members]] = np.exp(ordered[members].mean())
        free[members] = False
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


def standing_apart(ordered: NDArray[np.floating], narrow: float) -> list[NDArray[np.intp]]:
    """Groups of sorted log FLOPs that are wider than `narrow` yet narrower than the empty space on either side."""
    inside = np.split(np.arange(len(ordered)), np.flatnonzero(np.diff(ordered) > 0.5 * np.log1p(WIDEST)) + 1)
    groups = []
    for members in inside:
        first, last = members[0], members[-1]
        width = ordered[last] - ordered[first]
        below = ordered[first] - ordered[first - 1] if first else np.inf
        above = ordered[last + 1] - ordered[last] if last + 1 < len(ordered) else np.inf
        if len(members) >= MIN_RUNS and narrow < width < min(np.log1p(WIDEST), below, above):
            groups.append(members)
    return groups
