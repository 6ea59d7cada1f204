"""Two studies in one figure: the best loss at each compute, and how much more compute the first needs."""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.compare import Pair, StudiesCompared
from analysis.formats import compute
from analysis.refusals import Refusal
from analysis.study import Refused
from analysis.style import STYLE, log_axis

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""One colour for each study (Okabe and Ito)."""


def draw_comparison(found: StudiesCompared) -> Figure:
    """Frontiers on the left, multipliers on the right."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 4.3), layout="constrained")
        left, right = figure.subplots(1, 2)
        frontiers(found, left)
        multipliers(found, right)
    return figure


def frontiers(found: StudiesCompared, ax: Axes) -> None:
    """Every run, and the loss of each study's best model at each compute."""
    for (name, result), colour in zip(found.fits.items(), SERIES * len(found.fits), strict=False):
        frame = found.tables[name].frame
        ax.plot(frame["flops"], frame["loss"], "o", ms=3, alpha=0.5, color=colour)
        budgets = np.geomspace(frame["flops"].min(), 10 * frame["flops"].max(), 60)
        try:
            best = result.optimal(budgets)
        except Refusal:
            continue
        ax.plot(budgets, best["loss"], color=colour, label=name)
        if len(result.draws):
            ax.fill_between(budgets, best["loss_low"], best["loss_high"], color=colour, alpha=0.18, lw=0)
    log_axis(ax, "x", compute)
    ax.set(xlabel="compute (FLOPs)", ylabel=f"loss ({found.unit})", title="Runs, and each law's best model")
    ax.legend()


def multipliers(found: StudiesCompared, ax: Axes) -> None:
    """Compute multipliers with intervals; hollow where extrapolated."""
    shown = 0
    for pair, colour in zip(found.pairs, SERIES[1:] * len(found.pairs), strict=False):
        if isinstance(pair.multipliers, Refused):
            continue
        shown += one_line(pair, colour, ax)
    ax.axhline(1.0, color="#777777", lw=0.8)
    log_axis(ax, "x", compute)
    first = next(iter(found.fits))
    ax.set(xlabel="compute of the other study (FLOPs)", ylabel=f"times the compute that {first} needs")
    ax.set_title("Compute for the same loss (hollow: extrapolated)")
    if shown:
        ax.legend()


def one_line(pair: Pair, colour: str, ax: Axes) -> int:
    """One pair's multipliers; 1 where some could be drawn."""
    assert not isinstance(pair.multipliers, Refused)
    frame = pair.multipliers[np.isfinite(pair.multipliers["multiplier"])]
    if frame.empty:
        return 0
    ax.plot(frame["flops"], frame["multiplier"], color=colour, lw=1.2, label=f"for the loss of {pair.second}")
    for row in frame.to_dict("records"):
        hollow = "white" if row["extrapolated"] else colour
        ax.plot(row["flops"], row["multiplier"], "o", mfc=hollow, color=colour, ms=5)
        if np.isfinite([row["low"], row["high"]]).all():
            ax.plot([row["flops"]] * 2, [row["low"], row["high"]], color=colour, lw=1)
    return 1
