"""Formatters: rounding never shows four digits, and each unit ends where the next begins."""

from math import inf, nan

import pytest

from analysis.formats import (
    between,
    compute,
    count,
    duration,
    duration_in_one_unit,
    percent,
    short_count,
    span,
)


@pytest.mark.parametrize(
    ("value", "shown", "short"),
    [
        (0, "0", "0"),
        (950, "950", "950"),
        (33_100, "33.1k", "33.1k"),
        (33_000, "33.0k", "33k"),
        (999_700, "1.00M", "1M"),
        (1.59e10, "15.9B", "15.9B"),
        (7e9, "7.00B", "7B"),
        (2e12, "2.00T", "2T"),
        (3e20, "3e+20", "3e+20"),
        (nan, "not estimated", "not estimated"),
    ],
)
def test_counts(value: float, shown: str, short: str) -> None:
    assert count(value) == shown
    assert short_count(value) == short


def test_counts_take_more_digits() -> None:
    assert short_count(6_738_415_616, 4) == "6.738B"
    assert short_count(999_970, 4) == "1M"
    assert count(999_940, 4) == "999.9k"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 m 0 s"), (200, "3 m 20 s"), (7500, "2 h 5 m"), (nan, "?")],
)
def test_durations_by_the_clock(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0023, "2.3 ms"),
        (0.25, "0.25 s"),
        (119, "119 s"),
        (9000, "2.5 hours"),
        (12 * 86_400, "12 days"),
        (2000 * 365.25 * 86_400, "2,000 years"),
    ],
)
def test_durations_in_one_unit(seconds: float, shown: str) -> None:
    assert duration_in_one_unit(seconds) == shown


def test_other_formats() -> None:
    assert compute(2.949e21) == "2.95e21"
    assert percent(0.0123) == "1.23 %"
    assert percent(nan) == "not estimated"
    assert span(1e6, 2.5e6, count) == "1.00M–2.50M"
    assert span(1e6, inf, count) == "not estimated"
    assert between(0.48, 0.51) == "0.480 to 0.510"
