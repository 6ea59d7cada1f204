"""IsoFLOP budgets of a table: those that it names, or else groups of runs of nearly the same compute."""

import numpy as np
import pandas as pd
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


def budgets_are_named(frame: pd.DataFrame) -> bool:
    """Whether the source says which budget its runs belong to."""
    return "budget" in frame.columns and bool(frame["budget"].notna().any())


def budget_convention(rows: pd.DataFrame) -> str:
    """How the source says that its budgets count FLOPs; empty where it does not."""
    if "budget_convention" not in rows.columns or rows["budget_convention"].isna().all():
        return ", convention not stated"
    return f", FLOPs counted as {rows['budget_convention'].dropna().iloc[0]}"


def add_budgets(frame: pd.DataFrame, tolerance: float) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Give each row the FLOP budget that it belongs to (NaN: none), inferred from shared FLOPs where no column says."""
    if budgets_are_named(frame):
        return frame, ()
    frame = frame.assign(budget=group_budgets(frame["flops"].to_numpy(), tolerance))
    count, members = frame["budget"].nunique(), int(frame["budget"].notna().sum())
    if count == 0:
        return frame, (f"no IsoFLOP budgets: no 4 runs have FLOPs within {tolerance:.0%} of each other",)
    spread = frame.groupby("budget")["flops"].agg(lambda flops: flops.max() / flops.min() - 1).max()
    agree = "exactly" if spread < 1e-6 else f"within {spread:.2g}"
    note = f"{count} budgets inferred from {members} of {len(frame)} runs whose FLOPs agree {agree}"
    return frame, (note,)


def convention_note(frame: pd.DataFrame) -> tuple[str, ...]:
    """A note when named budgets count FLOPs differently from the FLOP column."""
    ratio = (frame["budget"] / frame["flops"]).dropna()
    if ratio.between(0.9, 1.1).all():
        return ()
    return (
        f"budgets are {ratio.min():.3g} to {ratio.max():.3g} times the FLOPs of their runs: another way of counting",
    )
