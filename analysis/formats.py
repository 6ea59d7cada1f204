"""Numbers as people read them: counts, FLOPs, intervals, shares."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd  # slow to import, and many who write a number have no table


def count(value: float) -> str:
    """A count to three digits, as 33.1k, 1.5M or 2.4B; `not estimated` for NaN."""
    if not np.isfinite(value):
        return "not estimated"
    for size, letter in ((1e15, ""), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            return f"{value:.3g}" if not letter else f"{value / size:#.3g}".rstrip(".") + letter
    return f"{value:.3g}"


def compute(value: float) -> str:
    """FLOPs as 2.95e21."""
    mantissa, _, exponent = f"{value:.3g}".partition("e+")
    return f"{mantissa}e{int(exponent)}" if exponent else f"{value:.3g}"


def between(low: float, high: float, show: Callable[[float], str] = lambda value: f"{value:.3f}") -> str:
    """An interval, or `not estimated`."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return "not estimated"
    return f"{show(low)} to {show(high)}"


def span(low: float, high: float, show: Callable[[float], str]) -> str:
    """An interval of a positive quantity, as 154M–178M; `not estimated` where there is none."""
    return f"{show(low)}–{show(high)}" if np.isfinite(low) and np.isfinite(high) else "not estimated"


def percent(value: float, digits: int = 2) -> str:
    """A share as a percentage; `not estimated` for NaN."""
    return f"{100 * value:.{digits}f} %" if np.isfinite(value) else "not estimated"


def records(frame: pd.DataFrame) -> list[SimpleNamespace]:
    """The rows of a frame with its columns as attributes."""
    return [
        SimpleNamespace(**{str(name): value for name, value in row.items()})
        for row in frame.to_dict("records")
    ]
