"""Numbers as people read them: the one home of formatters. What cannot be known is said to be `not estimated`."""

from collections.abc import Callable
from math import isfinite, isnan

SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
TIMES = ((365.25 * 86_400, "years"), (86_400, "days"), (3600, "hours"), (60, "minutes"))


def count(value: float, digits: int = 3) -> str:
    """A count to three digits, as 950, 33.1k, 1.50M or 2.40B."""
    return _suffixed(value, digits, "#")


def short_count(value: float, digits: int = 3) -> str:
    """A count to three digits without trailing zeros, as 950, 33.1k, 1.5M or 7B."""
    return _suffixed(value, digits, "")


def _suffixed(value: float, digits: int, zeros: str) -> str:
    if not isfinite(value):
        return "not estimated"
    rounds_up = 1 - 0.5 * 10.0**-digits  # 999,700 to three digits is 1.00M, not 1000k
    if value < 1e15 * rounds_up:
        for size, suffix in SUFFIXES:
            if value >= size * rounds_up:
                return f"{value / size:{zeros}.{digits}g}".rstrip(".") + suffix
    return f"{value:.{digits}g}"


def compute(value: float) -> str:
    """FLOPs to three digits, as 2.95e21."""
    mantissa, _, exponent = f"{value:.3g}".partition("e+")
    return f"{mantissa}e{int(exponent)}" if exponent else f"{value:.3g}"


def duration(seconds: float) -> str:
    """A time by the clock, to a second or a minute: 12 s, 3 m 20 s, 2 h 5 m; `?` for NaN."""
    if isnan(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} m"
    return f"{minutes} m {rest} s" if minutes else f"{rest} s"


def duration_in_one_unit(seconds: float) -> str:
    """A time to three digits in the largest unit of which it holds two or more: 350 ms, 90 s, 2.5 hours, 12 days."""
    if not isfinite(seconds):
        return "not estimated"
    if seconds < 0.1:
        return f"{seconds * 1e3:.3g} ms"
    size, unit = next(((size, unit) for size, unit in TIMES if seconds >= 2 * size), (1.0, "s"))
    amount = seconds / size
    return f"{amount:,.3g} {unit}" if amount < 1000 else f"{amount:,.0f} {unit}"


def between(low: float, high: float, show: Callable[[float], str] = lambda value: f"{value:.3f}") -> str:
    """An interval, as 0.480 to 0.510."""
    return f"{show(low)} to {show(high)}" if isfinite(low) and isfinite(high) else "not estimated"


def span(low: float, high: float, show: Callable[[float], str]) -> str:
    """An interval of a positive quantity, as 154M–178M."""
    return f"{show(low)}–{show(high)}" if isfinite(low) and isfinite(high) else "not estimated"


def percent(value: float, digits: int = 2) -> str:
    """A share as a percentage, as 1.23 %."""
    return f"{100 * value:.{digits}f} %" if isfinite(value) else "not estimated"
