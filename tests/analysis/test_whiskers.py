"""Axes follow the points; an interval that runs beyond them ends in an arrow at the edge, and the legend says so."""

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from simulated_isoflop import isoflop_study

from analysis import figures
from analysis.isoflop import Valleys
from analysis.study import Study, analyse
from analysis.table import load
from analysis.valley import Valley
from analysis.whiskers import BEYOND, log_limits, whisker

matplotlib.use("Agg")
FAR = 1e8


def with_open_interval(study: Study, side: int) -> Study:
    """The study with one valley's interval eight decades wide on one side, as a nearly flat parabola gives it."""
    assert isinstance(study.valleys, Valleys)
    first, *others = study.valleys.valleys
    low, high = first.params_interval
    params = (low / FAR, high) if side < 0 else (low, high * FAR)
    tokens_low, tokens_high = first.tokens_interval
    tokens = (tokens_low, tokens_high * FAR) if side < 0 else (tokens_low / FAR, tokens_high)
    wide: Valley = replace(first, params_interval=params, tokens_interval=tokens)
    return replace(study, valleys=replace(study.valleys, valleys=(wide, *others)))


@pytest.fixture(scope="module")
def study() -> Study:
    return analyse(load(isoflop_study(noise=0.002)), bootstrap=60)


def legend_texts(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("name", ["valleys", "optimal_params", "optimal_tokens"])
def test_one_open_interval_does_not_stretch_the_axes(study: Study, name: str, side: int) -> None:
    plain = figures.study_figures(study)[name](Figure().subplots())
    ax = figures.study_figures(with_open_interval(study, side))[name](Figure().subplots())
    assert BEYOND not in legend_texts(plain)
    assert BEYOND in legend_texts(ax)
    limits = (ax.get_xlim, plain.get_xlim) if name == "valleys" else (ax.get_ylim, plain.get_ylim)
    decades, usual = (float(np.log10(high / low)) for low, high in (limit() for limit in limits))
    assert decades < 1.5 * usual
    arrows = [line for line in ax.lines if line.get_marker() in ("<", ">", "v", "^")]
    assert len(arrows) == 1
    place = float(np.ravel(arrows[0].get_xdata() if name == "valleys" else arrows[0].get_ydata())[0])
    low, high = limits[0]()
    assert low < place < high


@pytest.mark.parametrize("name", ["valleys", "optimal_params", "optimal_tokens", "contours", "fit"])
def test_every_point_lies_inside_the_axes(study: Study, name: str) -> None:
    ax = figures.study_figures(study)[name](Figure().subplots())
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    for line in ax.lines:
        if line.get_marker() in ("o", "*"):
            x, y = np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)
            assert ((left <= x) & (x <= right) & (low <= y) & (y <= high)).all()


def test_a_minimum_below_all_runs_is_seen() -> None:
    """Two groups of sizes with nothing between them: the parabola's bottom lies below every loss."""
    frame = isoflop_study(budgets=1, sizes=6)
    frame["params"] = [0.9e9, 1.05e9, 1.2e9, 1.7e9, 1.95e9, 2.25e9]
    frame["tokens"] = frame["budget"] / 6 / frame["params"]
    frame["loss"] = [2.75, 2.70, 2.670, 2.665, 2.69, 2.74]
    result = analyse(load(frame), bootstrap=0).valleys
    assert isinstance(result, Valleys)
    (valley,) = result.valleys
    ax = figures.valleys(result, Figure().subplots())
    low, high = ax.get_ylim()
    assert valley.loss_opt < frame["loss"].min()
    assert low < valley.loss_opt < frame["loss"].max() < high


def test_limits_give_intervals_some_room_and_points_the_most() -> None:
    assert log_limits([1e3, 1e6]) == pytest.approx((1e3 / 1e3**0.06, 1e6 * 1e3**0.06))
    low, high = log_limits([1e3, 1e6], [900.0, np.nan, np.inf, 0.0, 1e6])
    assert low < 900
    assert high < 2e6
    low, high = log_limits([1e3, 1e6], [1e-9, 1e40])
    assert np.log10(high / low) < 2 * 3


def test_a_closed_interval_ends_in_caps() -> None:
    ax = Figure().subplots()
    assert not whisker(ax, "y", 1.0, (2.0, 3.0), (1.0, 10.0), "black")
    assert [line.get_marker() for line in ax.lines] == ["_", "_", "None"]
    assert whisker(ax, "x", 1.0, (2.0, 30.0), (1.0, 10.0), "black")
    assert ax.lines[-2].get_marker() == ">"
