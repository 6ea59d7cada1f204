"""Figures draw on the axes they are given, show what they say, and give the same file twice."""

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from simulated_isoflop import isoflop_study
from test_frontier import curves

from analysis import figures, style
from analysis.isoflop import Valleys, valleys
from analysis.result import FitResult
from analysis.study import Study, analyse
from analysis.table import load

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def study() -> Study:
    return analyse(load(isoflop_study(noise=0.002)), bootstrap=60)


def test_every_figure_returns_the_axes_it_was_given(study: Study) -> None:
    drawings = figures.study_figures(study)
    assert {
        "valleys",
        "optimal_params",
        "optimal_tokens",
        "contours",
        "fit",
        "residuals",
        "correlations",
    } <= set(drawings)
    for name, drawing in drawings.items():
        ax = Figure().subplots()
        assert drawing(ax) is ax, name
        labels = {ax.get_xlabel(), ax.get_ylabel(), ax.get_title() + ax.get_title(loc="left")}
        # Correlations are a square of parameters against parameters, whose names are its ticks.
        assert "" not in (labels if name != "correlations" else {ax.get_title()}), name


def test_training_curves_are_drawn_where_there_are_some() -> None:
    drawings = figures.study_figures(analyse(load(curves(sizes=7)), bootstrap=0))
    assert "correlations" not in drawings  # nothing was estimated to correlate
    ax = drawings["training_curves"](Figure().subplots())
    assert len(ax.lines) == 7  # one curve for each size
    assert np.shape(ax.collections[0].get_offsets())[0] > 100  # the envelope's winners, over many computes


def test_without_axes_a_figure_is_made(study: Study) -> None:
    assert isinstance(study.fit, FitResult)
    ax = figures.residuals(study.fit)
    assert ax.get_figure() in [plt.figure(number) for number in plt.get_fignums()]
    plt.close("all")
    assert np.shape(ax.collections[-1].get_offsets())[0] == len(study.fit.points)


def test_valleys_show_every_run_and_minimum() -> None:
    table = load(isoflop_study(noise=0.002))
    result = valleys(table)
    ax = figures.valleys(result, Figure().subplots())
    stars = [line for line in ax.lines if line.get_marker() == "*"]
    assert len(stars) == len(result.valleys)
    drawn = sum(np.size(line.get_xdata()) for line in ax.lines if line.get_marker() == "o")
    assert drawn == len(table)
    low, high = ax.get_ylim()
    assert low < table.frame["loss"].min()
    assert high > table.frame["loss"].max()


def test_refused_valleys_are_drawn_hollow() -> None:
    result = valleys(load(isoflop_study(shift=8.0)))
    assert isinstance(result, Valleys)
    ax = figures.valleys(result, Figure().subplots())
    assert {line.get_markerfacecolor() for line in ax.lines} == {"white"}


def test_files_are_png_and_svg_and_do_not_change(study: Study, tmp_path: Path) -> None:
    drawing = figures.study_figures(study)["optimal_params"]
    first = style.save(style.draw(drawing), tmp_path / "one", "optima")
    again = style.save(style.draw(drawing), tmp_path / "two", "optima")
    assert [path.suffix for path in first] == [".svg", ".png"]
    assert [a.read_bytes() == b.read_bytes() for a, b in zip(first, again, strict=True)] == [True, True]


def test_ticks_read_as_numbers() -> None:
    ax = Figure().subplots()
    ax.set_xlim(9e8, 1.1e10)
    style.log_axis(ax, "x")
    assert [ax.xaxis.get_major_formatter()(value) for value in (1e9, 2e9, 5e9, 1e10)] == [
        "1B",
        "2B",
        "5B",
        "10B",
    ]


def test_colours_are_told_apart_in_grey() -> None:
    """Approaches differ in their dashes, and budgets run from dark to light."""
    assert len(set(style.DASHES.values())) == len(style.COLOURS) == 3
    colour, _ = style.shades(np.array([1e18, 1e21]))
    steps = [np.dot(colour(v)[:3], [0.2126, 0.7152, 0.0722]) for v in np.geomspace(1e18, 1e21, 8)]
    assert (np.diff(steps) > 0).all()
