"""Axes that follow the points, and intervals that run beyond them, drawn with an arrow at the edge."""

from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

MARGIN = 0.06
"""Room around the points, as a share of their range."""
MOST_ROOM = 1 / 3
"""Most room that intervals and bands get beyond the points on either side, as a share of the points' range."""
LEAST_RANGE = float(np.log(10))
"""Points nearer to each other than a factor of 10 count as that far apart, so that their intervals get room."""
BEYOND = "interval ends\nbeyond the figure"


def log_limits(points: ArrayLike, intervals: ArrayLike = ()) -> tuple[float, float]:
    """Limits of a logarithmic axis: all points, and of intervals as much as leaves the points readable.

    Args:
        points: what must be seen, positive.
        intervals: ends of intervals and bands; those that are not finite and positive are passed over.
    """
    logs = np.log(np.asarray(points, dtype=float).ravel())
    ends = np.asarray(intervals, dtype=float).ravel()
    ends = np.log(ends[np.isfinite(ends) & (ends > 0)])
    low, high = float(logs.min()), float(logs.max())
    span = max(high - low, LEAST_RANGE)
    below = min(max(low - float(ends.min(initial=low)), 0.0), MOST_ROOM * span)
    above = min(max(float(ends.max(initial=high)) - high, 0.0), MOST_ROOM * span)
    margin = MARGIN * max(high + above - low + below, LEAST_RANGE / 2)
    return float(np.exp(low - below - margin)), float(np.exp(high + above + margin))


def whisker(
    ax: Axes,
    which: Literal["x", "y"],
    at: float,
    interval: tuple[float, float],
    limits: tuple[float, float],
    colour: Any,  # whatever matplotlib takes for a colour
) -> bool:
    """Draw an interval along a logarithmic axis; an end beyond the limits becomes an arrow at the edge.

    Args:
        ax: where to draw.
        which: the axis along which the interval lies.
        at: its place on the other axis.
        interval: its ends.
        limits: those of the axis.
        colour: its colour.

    Returns:
        Whether an end lies beyond the limits.
    """

    def marks(values: list[float], style: str, size: float) -> None:
        places = (values, [at] * len(values)) if which == "x" else ([at] * len(values), values)
        ax.plot(*places, style, color=colour, lw=1.2, ms=size, zorder=4)

    arrows, cap = ("<>", "|") if which == "x" else ("v^", "_")
    inside: list[float] = []
    is_open = False
    for end, limit, outside, arrow in (
        (interval[0], limits[0], interval[0] < limits[0], arrows[0]),
        (interval[1], limits[1], interval[1] > limits[1], arrows[1]),
    ):
        place = edge(limits, limit) if outside else end
        marks([place], arrow if outside else cap, 5 if outside else 4)
        inside.append(place)
        is_open |= outside
    marks(inside, "-", 0)
    return is_open


def edge(limits: tuple[float, float], limit: float) -> float:
    """A place just inside a limit, where an arrow is seen whole."""
    inwards = 0.015 * np.log(limits[1] / limits[0]) * (1 if limit == limits[0] else -1)
    return float(limit * np.exp(inwards))


def arrow_handle(which: Literal["x", "y"], colour: Any) -> Line2D:
    """The legend's entry for an interval that ends beyond the figure."""
    return Line2D([], [], color=colour, lw=1.2, ms=5, marker="<" if which == "x" else "v", label=BEYOND)
