"""Approach 1: the envelope of training curves, whose lowest curve at each compute names the best size.

Hoffmann et al. (2022, section 3.1) interpolate every size's loss over compute, take the best size at each of 1500
logarithmically spaced budgets, and fit power laws through the winners.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.powerlaw import PowerLaw
from analysis.quantiles import student
from analysis.refusals import NoMinimum, NoSpread, TooFewPoints
from analysis.table import Table

MIN_SIZES = 4  # leaves two sizes that can win: the smallest and the largest have a rival on one side only
MARGIN = 1.0  # the line of best sizes keeps this many of the winners' standard deviations from the ends
ROUNDS = 20  # of finding the budgets where it does; it settles in a few
GRID = 1500  # budgets at which Hoffmann et al. look for the winner


@dataclass(frozen=True)
class Envelope:
    """The frontier of training curves.

    Attributes:
        curves: `params`, `tokens`, `flops`, `loss` of every point that lies on a curve, one curve a size.
        winners: for each budget where an interior size wins: `flops`, `params`, `tokens`, `loss`.
        params_law, tokens_law: N_opt and D_opt against C, with intervals from leaving out one size at a time.
        level: probability of the intervals.
    """

    curves: pd.DataFrame
    winners: pd.DataFrame
    params_law: PowerLaw
    tokens_law: PowerLaw
    level: float


def envelope(table: Table, level: float = 0.9) -> Envelope:
    """Find which size is best at each compute, from curves of loss against compute.

    A curve is what one size reached at two or more token counts: one run followed through training, branches of it, or
    separate runs. Points of a schedule that had not yet decayed lie above what the size can reach there, and push the
    envelope; a table of decayed branches or of separate runs does not have that fault.

    Args:
        table: runs, several token counts a size.
        level: probability of the intervals.

    Raises:
        TooFewPoints: fewer than 4 sizes were trained to two or more token counts.
        NoSpread: the curves of too few sizes overlap in compute.
        NoMinimum: at no compute does a size win that has a smaller and a larger one beside it.
    """
    runs = table.frame
    keys = [runs["params"], runs["tokens"]]
    curves = runs[["flops", "loss"]].apply(np.log).groupby(keys).mean().apply(np.exp).reset_index()
    several = curves.groupby("params")["flops"].transform("nunique") > 1
    curves = curves[several].reset_index(drop=True)
    sizes = np.sort(curves["params"].unique())
    if len(sizes) < MIN_SIZES:
        raise TooFewPoints(
            f"{len(sizes)} sizes with two or more token counts: the envelope of training curves needs {MIN_SIZES}; "
            "record losses along training, or train sizes to several token counts"
        )
    flops = np.geomspace(curves["flops"].min(), curves["flops"].max(), GRID)
    log_loss, log_tokens = interpolate(curves, sizes, flops)
    winners = winning_sizes(sizes, flops, log_loss, log_tokens)
    params_law, tokens_law = (
        law_with_jackknife(sizes, flops, log_loss, log_tokens, winners, quantity, level)
        for quantity in ("params", "tokens")
    )
    return Envelope(curves, winners, params_law, tokens_law, level)


def interpolate(
    curves: pd.DataFrame, sizes: NDArray[np.floating], flops: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """log loss and log tokens of every size at every compute, shape (sizes, budgets); NaN outside its curve."""
    log_loss = np.full((len(sizes), len(flops)), np.nan)
    log_tokens = np.full_like(log_loss, np.nan)
    for i, (_, curve) in enumerate(curves.groupby("params", sort=True)):
        curve = curve.sort_values("flops")
        log_flops = np.log(curve["flops"])
        log_loss[i] = np.interp(np.log(flops), log_flops, np.log(curve["loss"]), left=np.nan, right=np.nan)
        log_tokens[i] = np.interp(
            np.log(flops), log_flops, np.log(curve["tokens"]), left=np.nan, right=np.nan
        )
    return log_loss, log_tokens


def winning_sizes(
    sizes: NDArray[np.floating],
    flops: NDArray[np.floating],
    log_loss: NDArray[np.floating],
    log_tokens: NDArray[np.floating],
) -> pd.DataFrame:
    """The best size at each compute where a smaller and a larger one were there to be better.

    Which budgets count must not hang on who wins at them: where the true best size is near the smallest one, winners
    that are by chance larger would count and those that are by chance the smallest would not, which flattens the line
    through them. So a line is laid through the winners with a rival on either side, and then again and again through
    all winners at the budgets where that line is at least a standard deviation from both ends.
    """
    there = np.isfinite(log_loss)
    enough = there.sum(axis=0) >= 3
    if not enough.any():
        raise NoSpread(
            "at no compute do three sizes' curves overlap: train neighbouring sizes to overlapping compute"
        )
    best = np.argmin(np.where(there, log_loss, np.inf), axis=0)
    first = np.argmax(there, axis=0)
    last = len(sizes) - 1 - np.argmax(there[::-1], axis=0)
    at = np.flatnonzero(enough & (best > first) & (best < last))
    if len(np.unique(best[at])) < 2:
        raise NoMinimum(
            "the envelope shows no interior best size that changes with compute: the smallest or the largest size "
            "wins nearly everywhere; add sizes on that side"
        )
    log_flops, log_sizes = np.log(flops), np.log(sizes)
    for _ in range(ROUNDS):
        slope, intercept = np.polyfit(log_flops[at], log_sizes[best[at]], 1)
        line = intercept + slope * log_flops
        margin = MARGIN * float(np.std(log_sizes[best[at]] - line[at]))
        inside = (line - margin > log_sizes[first]) & (line + margin < log_sizes[last])
        within = np.flatnonzero(enough & inside)
        if len(np.unique(best[within])) < 2 or np.array_equal(within, at):
            break
        at = within
    return pd.DataFrame(
        {
            "flops": flops[at],
            "params": sizes[best[at]],
            "tokens": np.exp(log_tokens[best[at], at]),
            "loss": np.exp(log_loss[best[at], at]),
        }
    )


def law_with_jackknife(
    sizes: NDArray[np.floating],
    flops: NDArray[np.floating],
    log_loss: NDArray[np.floating],
    log_tokens: NDArray[np.floating],
    winners: pd.DataFrame,
    quantity: str,
    level: float,
) -> PowerLaw:
    """A straight line through the winners, its covariance from leaving out one size at a time.

    The winners of one size lie on a step and are one observation, not many.
    """
    log_flops = np.log(winners["flops"])
    slope, intercept = np.polyfit(log_flops, np.log(winners[quantity]), 1)
    lines = []
    for out in range(len(sizes)):
        keep = np.arange(len(sizes)) != out
        try:
            fewer = winning_sizes(sizes[keep], flops, log_loss[keep], log_tokens[keep])
        except (NoSpread, NoMinimum):
            continue
        lines.append(np.polyfit(np.log(fewer["flops"]), np.log(fewer[quantity]), 1)[::-1])
    count = len(lines)
    if count < 3:
        raise NoMinimum(
            "the envelope hangs on one or two sizes: leaving one out leaves no interior winner; train more sizes"
        )
    deviation = np.array(lines) - np.mean(lines, axis=0)
    covariance = (count - 1) / count * deviation.T @ deviation
    return PowerLaw(
        exponent=float(slope),
        log_coefficient=float(intercept),
        covariance=covariance,
        quantile=student(0.5 + level / 2, count - 1),
        level=level,
        x_range=(float(winners["flops"].min()), float(winners["flops"].max())),
        points=int(winners["params"].nunique()),
    )
