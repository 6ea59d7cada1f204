"""The look of figures: colours, axes, and files that do not change when nothing did.

Colours: viridis for an ordered quantity, Okabe and Ito's palette for approaches; both are colour-blind-safe.
"""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import ArrayLike

from analysis.formats import short_count

# Okabe & Ito (2008), "Color Universal Design": one colour for each approach.
COLOURS = {"envelope": "#009E73", "valleys": "#0072B2", "law": "#D55E00"}
DASHES = {"envelope": "-.", "valleys": "--", "law": "-"}  # told apart in grey, too
STYLE: Any = {  # matplotlib types the keys of its settings as one long list of literals
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.hashsalt": "scaling",  # the same study, the same file
    "lines.linewidth": 1.8,
}
PALETTE = ListedColormap(
    matplotlib.colormaps["viridis"](np.linspace(0.0, 0.88, 256))
)  # without its palest end
DPI = 160


def axes(ax: Axes | None, size: tuple[float, float] = (6.4, 4.4)) -> Axes:
    """The given axes, or those of a new pyplot figure (shown by a notebook at once)."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    with matplotlib.rc_context(STYLE):
        return plt.subplots(figsize=size, layout="constrained")[1]


def log_axis(ax: Axes, which: str, show: Callable[[float], str] = short_count) -> None:
    """A logarithmic axis whose ticks read 300k, 1M, 3M where a decade or two are shown, and decades beyond."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    low, high = ax.get_xlim() if which == "x" else ax.get_ylim()
    axis.set_major_locator(LogLocator(subs=tick_steps(low, high), numticks=30))
    axis.set_major_formatter(FuncFormatter(lambda value, _: show(value)))
    axis.set_minor_formatter(NullFormatter())


def tick_steps(low: float, high: float) -> tuple[float, ...]:
    """Which multiples of a power of ten bear ticks on a logarithmic axis: the fewer, the more decades it shows."""
    decades = np.log10(high / low)
    return (1.0, 2.0, 5.0) if decades < 1.6 else (1.0, 3.0) if decades < 3.2 else (1.0,)


def colour_bar(
    ax: Axes, scale: ScalarMappable, label: str, show: Callable[[float], str] = short_count
) -> None:
    """A colour bar on a logarithmic scale with readable ticks."""
    bar = ax.figure.colorbar(scale, ax=ax, label=label)
    low, high = bar.ax.get_ylim()
    bar.ax.yaxis.set_major_locator(LogLocator(subs=tick_steps(low, high), numticks=30))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: show(value)))
    bar.ax.yaxis.set_minor_formatter(NullFormatter())


def shades(values: np.ndarray) -> tuple[Callable[[ArrayLike], Any], ScalarMappable]:
    """The colour of a value, or of each of an array, on a logarithmic scale; and that scale, for a colour bar."""
    low, high = float(np.min(values)), float(np.max(values))
    norm = LogNorm(low, high if high > low else low * 1.001)
    scale = ScalarMappable(norm=norm, cmap=PALETTE)
    return lambda value: scale.to_rgba(value), scale


def draw(drawing: Callable[[Axes], Axes], size: tuple[float, float] = (6.8, 4.4)) -> Figure:
    """One figure in the house style, without touching pyplot's state."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        drawing(figure.subplots())
    return figure


def render(figure: Figure) -> dict[str, bytes]:
    """A figure as an SVG and as a PNG file, by their names' endings; the same figure gives the same bytes.

    It is laid out once, and the files are made by the canvases themselves: `savefig` would lay it out and draw it
    twice for each of them.
    """
    svg, png = BytesIO(), BytesIO()
    with matplotlib.rc_context(STYLE):
        vector: Any = FigureCanvasSVG(figure)  # matplotlib gives these two methods no types
        vector.print_svg(svg, metadata={"Date": None})
        figure.set_layout_engine("none")
        figure.set_dpi(DPI)
        raster: Any = FigureCanvasAgg(figure)
        raster.print_png(png)
    return {"svg": svg.getvalue(), "png": png.getvalue()}


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as SVG and as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind, content in render(figure).items():
        paths.append(folder / f"{name}.{kind}")
        paths[-1].write_bytes(content)
    return paths
