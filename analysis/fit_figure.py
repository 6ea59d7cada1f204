"""The figure of one fit: observed against predicted values."""

import numpy as np
from matplotlib.axes import Axes

from analysis.style import axes, colour_bar, shades

SIZE = (5.4, 4.6)
"""Width and height in inches."""
LABELS = {
    "params": "parameters N",
    "tokens": "tokens D",
    "flops": "compute C (FLOPs)",
    "loss": "loss",
}


def observed_against_predicted(
    observed: np.ndarray,
    predicted: np.ndarray,
    shade: np.ndarray,
    target: str,
    shade_name: str,
    ax: Axes | None = None,
    unit: str = "",
) -> Axes:
    """A point for each run beside the line on which observed and predicted values are equal.

    Args:
        observed, predicted: values of the target, shape (n,).
        shade: what colours each point, positive, shape (n,).
        target, shade_name: the columns that hold them, for the labels.
        ax: where to draw; by default a new figure.
        unit: of the target, for the labels.
    """
    shown = LABELS.get(target, target) + (f" ({unit})" if unit else "")
    ax = axes(ax, SIZE)
    colour, scale = shades(shade)
    ends = np.array([min(observed.min(), predicted.min()), max(observed.max(), predicted.max())])
    ends = ends + np.array([-0.04, 0.04]) * np.ptp(ends)
    ax.plot(ends, ends, color="black", lw=0.9)
    ax.scatter(predicted, observed, c=colour(shade), s=22, zorder=3)
    colour_bar(ax, scale, LABELS.get(shade_name, shade_name))
    ax.set(
        xlim=ends,
        ylim=ends,
        xlabel=f"predicted {shown}",
        ylabel=f"observed {shown}",
        title=f"Observed against predicted {target}",
    )
    ax.set_aspect("equal")
    return ax
