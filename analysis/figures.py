"""Figures of a study as the papers draw them: each function takes `ax=` and returns it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from analysis import fit_figure
from analysis.formats import compute
from analysis.frontier import Envelope
from analysis.isoflop import Valleys
from analysis.loss_unit import NATS, loss_unit
from analysis.result import FitResult
from analysis.study import Refused, Study
from analysis.style import COLOURS, DASHES, PALETTE, axes, colour_bar, draw, log_axis, shades
from analysis.table import is_simulated
from analysis.valley import RefusedValley, Valley
from analysis.whiskers import arrow_handle, log_limits, whisker


def valleys(result: Valleys, ax: Axes | None = None, unit: str = NATS) -> Axes:
    """Loss against size on every budget, fitted curves, minima with intervals; hollow: refused or not used."""
    ax = axes(ax)
    shown: list[Valley | RefusedValley] = sorted(
        [*result.valleys, *result.refused], key=lambda valley: valley.budget_flops
    )
    budgets = np.array([valley.budget_flops for valley in shown])
    colour, scale = shades(budgets)
    for bad in result.refused:
        points = bad.points
        ax.plot(
            points["params"],
            points["loss"],
            "o--",
            mfc="white",
            ms=4.5,
            lw=0.8,
            color=colour(bad.budget_flops),
            zorder=2,
        )
    for valley in result.valleys:
        points, shade = valley.points, colour(valley.budget_flops)
        ax.plot(valley.curve_params, valley.curve_loss, color=shade, zorder=2)
        used = points["used"].to_numpy()
        ax.plot(points["params"][used], points["loss"][used], "o", color=shade, ms=4.5, zorder=3)
        ax.plot(points["params"][~used], points["loss"][~used], "o", mec=shade, mfc="none", ms=4.5, zorder=3)
        ax.plot(valley.params_opt, valley.loss_opt, "*", color="white", mec="black", ms=11, mew=0.9, zorder=5)
    sizes = pd.concat([valley.points["params"] for valley in shown])
    limits = log_limits(sizes)
    beyond = [
        whisker(ax, "x", valley.loss_opt, valley.params_interval, limits, "black")
        for valley in result.valleys
    ]
    ax.set_xlim(limits)
    ax.set_ylim(loss_limits(shown))
    log_axis(ax, "x")
    arrows = [arrow_handle("x", "black")] if any(beyond) else []
    if len(budgets) <= 8:
        handles = [
            Line2D([], [], color=colour(v.budget_flops), marker="o", ms=4.5, label=compute(v.budget_flops))
            for v in shown
        ]
        ax.legend(handles=handles + arrows, title="FLOPs", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    else:
        colour_bar(ax, scale, "budget (FLOPs)", compute)
        if arrows:
            ax.legend(handles=arrows, loc="upper right")
    ax.set(
        xlabel="parameters N", ylabel=f"loss ({unit})", title="IsoFLOP valleys; ☆ minimum and its interval"
    )
    return ax


def loss_limits(shown: Sequence[Valley | RefusedValley]) -> tuple[float, float]:
    """Losses from the lowest run or minimum to the highest run."""
    losses = np.concatenate([valley.points["loss"].to_numpy() for valley in shown])
    bottoms = [valley.loss_opt for valley in shown if isinstance(valley, Valley)]
    low, high = float(min([losses.min(), *bottoms])), float(losses.max())
    span = high - low or 0.01 * high
    return low - 0.06 * span, high + 0.03 * span


def optima(study: Study, quantity: str = "params", ax: Axes | None = None) -> Axes:
    """N_opt or D_opt against compute: each budget's minimum, and every approach's line with its band.

    Args:
        study: what `analyse` gave.
        quantity: "params" or "tokens".
        ax: where to draw.
    """
    ax = axes(ax)
    frame = study.table.frame
    start = float(frame["budget"].min() if frame["budget"].notna().any() else frame["flops"].min())
    flops = np.geomspace(start / 1.5, study.target_flops * 1.3, 120)
    exponent = "a" if quantity == "params" else "b"
    points: list[ArrayLike] = []
    ends: list[ArrayLike] = []

    def band(centre: ArrayLike, low: ArrayLike, high: ArrayLike, approach: str, label: str) -> None:
        """An approach's line with its interval shaded, where there is one."""
        points.append(centre)
        ends.extend((low, high))
        colour = COLOURS[approach]
        ax.plot(flops, centre, color=colour, ls=DASHES[approach], label=label, zorder=3)
        if np.isfinite(np.asarray(low, dtype=float)).all():
            ax.fill_between(flops, low, high, color=colour, alpha=0.16, lw=0, zorder=1)

    found: tuple[Valley, ...] = ()
    if isinstance(study.fit, FitResult) and study.fit.exponents:
        best = study.fit.optimal(flops)
        label = f"parametric law, {exponent} = {study.fit.exponents[exponent]:.3f}"
        band(best[quantity], best[f"{quantity}_low"], best[f"{quantity}_high"], "law", label)
    if isinstance(study.valleys, Valleys):
        line = study.valleys.params_law if quantity == "params" else study.valleys.tokens_law
        if line is not None:
            label = f"IsoFLOP valleys, {exponent} = {line.exponent:.3f}"
            band(line.predict(flops), *line.interval(flops), "valleys", label)
        found = study.valleys.valleys
        points.append([getattr(valley, f"{quantity}_opt") for valley in found])
        ends.extend(getattr(valley, f"{quantity}_interval") for valley in found)
    if isinstance(study.envelope, Envelope):
        line = study.envelope.params_law if quantity == "params" else study.envelope.tokens_law
        label = f"training-curve envelope, {exponent} = {line.exponent:.3f}"
        band(line.predict(flops), *line.interval(flops), "envelope", label)
    limits = log_limits(
        np.concatenate([np.ravel(part) for part in points]), np.concatenate([np.ravel(part) for part in ends])
    )
    blue = COLOURS["valleys"]
    beyond = [
        whisker(ax, "y", valley.budget_flops, getattr(valley, f"{quantity}_interval"), limits, blue)
        for valley in found
    ]
    for valley in found:
        ax.plot(
            valley.budget_flops,
            getattr(valley, f"{quantity}_opt"),
            "o",
            color=blue,
            mec="white",
            ms=6,
            zorder=5,
        )
    ax.set_ylim(limits)
    ax.axvline(study.target_flops, color="#555555", lw=0.9, ls=":")
    ax.annotate(
        f"{compute(study.target_flops)} ",
        (study.target_flops, 0.02),
        xycoords=("data", "axes fraction"),
        ha="right",
        va="bottom",
        color="#555555",
        fontsize=9,
    )
    ax.set_xlim(flops[0], flops[-1])
    log_axis(ax, "x", compute)
    log_axis(ax, "y")
    handles = ax.get_legend_handles_labels()[0] + ([arrow_handle("y", blue)] if any(beyond) else [])
    if handles:
        ax.legend(handles=handles, loc="best" if any(beyond) else "upper left")
    symbol, words = ("N", "parameters") if quantity == "params" else ("D", "tokens")
    ax.set(
        xlabel="compute C (FLOPs)",
        ylabel=f"{words} ${symbol}_{{opt}}$",
        title=f"Compute-optimal {words} ${symbol}_{{opt}}$, {study.level:.0%} bands",
    )
    return ax


def contours(result: FitResult, ax: Axes | None = None) -> Axes:
    """Contours of predicted loss over (N, D), the runs, and the efficient frontier of compute."""
    ax = axes(ax)
    points = result.points
    n_low, n_high = points["params"].min() / 2, points["params"].max() * 2
    d_low, d_high = points["tokens"].min() / 2, points["tokens"].max() * 2
    sizes, tokens = np.meshgrid(np.geomspace(n_low, n_high, 80), np.geomspace(d_low, d_high, 80))
    curve = replace(result, draws=result.draws[:0])  # contours need no intervals
    # For a law that knows repeats: what every token seen for the first time would give.
    x = {"params": sizes.ravel(), "tokens": tokens.ravel(), "unique_tokens": tokens.ravel()}
    loss = curve.predict_columns(x)["loss"].reshape(sizes.shape)
    levels = np.quantile(loss, np.linspace(0.03, 0.97, 12))
    lines = ax.contour(sizes, tokens, loss, levels=levels, cmap=PALETTE, linewidths=1.2)
    k = result.flops_per_param_token
    if result.exponents:
        flops = np.geomspace(k * n_low * d_low, k * n_high * d_high, 100)
        best = result.optimal(flops)
        ax.plot(
            best["params"], best["tokens"], color=COLOURS["law"], lw=2.4, label="efficient frontier", zorder=4
        )
        if best["params_low"].notna().all():
            ax.fill_betweenx(
                best["tokens"],
                best["params_low"],
                best["params_high"],
                color=COLOURS["law"],
                alpha=0.16,
                lw=0,
            )
    ax.plot(points["params"], points["tokens"], "o", color="#222222", ms=3, label="runs", zorder=3)
    ax.set(xlim=(n_low, n_high), ylim=(d_low, d_high))
    log_axis(ax, "x")
    log_axis(ax, "y")
    ax.clabel(lines, fontsize=8, fmt="%.3g")
    ax.legend(loc="upper left", frameon=True, framealpha=0.9, edgecolor="none")
    ax.set(
        xlabel="parameters N",
        ylabel="tokens D",
        title=f"Predicted loss ({loss_unit(result.convention)}) and the efficient frontier",
    )
    return ax


def residuals(result: FitResult, ax: Axes | None = None) -> Axes:
    """Relative residual of each run against compute, coloured by size."""
    ax = axes(ax)
    points = result.points
    flops = result.flops_per_param_token * points["params"] * points["tokens"]
    colour, scale = shades(points["params"].to_numpy())
    percent = 100 * np.expm1(result.residuals)
    spread = 100 * float(np.sqrt(np.mean(result.residuals**2)))
    ax.axhspan(-spread, spread, color="#f0f0f0", zorder=0)
    ax.axhline(0, color="black", lw=0.9)
    ax.scatter(flops, percent, c=colour(points["params"].to_numpy()), s=22, zorder=3)
    log_axis(ax, "x", compute)
    colour_bar(ax, scale, "parameters N")
    ax.set(
        xlabel="compute C (FLOPs)",
        ylabel="observed / predicted − 1  (%)",
        title=f"Residuals of the law; shaded: their root mean square, {spread:.2g} %",
    )
    return ax


def correlations(result: FitResult, ax: Axes | None = None) -> Axes:
    """Correlations of the bootstrap draws of parameters and exponents: what the runs cannot tell apart."""
    ax = axes(ax, (5.0, 4.4))
    draws = result.derived_draws
    draws = draws.drop(columns=[name for name in ("b",) if name in draws])  # b = 1 − a
    logged = {name: np.log(draws[name]) for name in ("A", "B") if name in draws and (draws[name] > 0).all()}
    draws = draws.assign(**logged).rename(columns={name: f"log {name}" for name in logged})
    matrix = draws.corr().to_numpy()
    names = {"alpha": "α", "beta": "β", "eta": "η"}
    labels = [names.get(str(name), str(name)) for name in draws.columns]
    image = ax.imshow(matrix, cmap="PuOr_r", vmin=-1, vmax=1)
    ax.grid(visible=False)
    ax.set_xticks(range(len(labels)), labels)
    ax.set_yticks(range(len(labels)), labels)
    for (row, column), value in np.ndenumerate(matrix):
        ax.text(
            column,
            row,
            f"{value:.2f}",
            ha="center",
            va="center",
            color="white" if abs(value) > 0.7 else "black",
            fontsize=9,
        )
    ax.figure.colorbar(image, ax=ax, shrink=0.85)
    ax.set_title("Correlations of estimates (bootstrap)")
    return ax


def training_curves(result: Envelope, ax: Axes | None = None, unit: str = NATS) -> Axes:
    """Loss against compute of every size, and the size that is best at each compute."""
    ax = axes(ax)
    sizes = np.sort(result.curves["params"].unique())
    colour, scale = shades(sizes)
    for size in sizes:
        curve = result.curves[result.curves["params"] == size].sort_values("flops")
        ax.plot(curve["flops"], curve["loss"], color=colour(size), lw=1.1, marker="o", ms=2.5, alpha=0.9)
    winners = result.winners
    ax.scatter(winners["flops"], winners["loss"], s=2, color="black", zorder=4, label="envelope (best sizes)")
    log_axis(ax, "x", compute)
    ax.legend(loc="upper right")
    colour_bar(ax, scale, "parameters N")
    ax.set(xlabel="compute C (FLOPs)", ylabel=f"loss ({unit})", title="Training curves and their envelope")
    return ax


def study_figures(study: Study) -> Mapping[str, Callable[[Axes], Axes]]:
    """Name → the function that draws it, for every figure that the study's parts allow."""
    drawings: dict[str, Callable[[Axes], Axes]] = {}
    found, fitted, frontier = study.valleys, study.fit, study.envelope
    unit = loss_unit(study.table.convention)
    if isinstance(found, Valleys):
        drawings["valleys"] = lambda ax: valleys(found, ax, unit)
    if len(study.comparison.frame):
        drawings["optimal_params"] = lambda ax: optima(study, "params", ax)
        drawings["optimal_tokens"] = lambda ax: optima(study, "tokens", ax)
    if isinstance(fitted, FitResult) and {"params", "tokens"} <= set(fitted.points.columns):
        drawings["contours"] = lambda ax: contours(fitted, ax)
        drawings["fit"] = fitted.plot
        drawings["residuals"] = lambda ax: residuals(fitted, ax)
    if isinstance(fitted, FitResult) and len(fitted.draws):
        drawings["correlations"] = lambda ax: correlations(fitted, ax)
    if not isinstance(frontier, Refused):
        drawings["training_curves"] = lambda ax: training_curves(frontier, ax, unit)
    return drawings


SIZES = {"fit": fit_figure.SIZE, "correlations": (5.2, 4.4)}


def draw_all(study: Study) -> dict[str, Figure]:
    """Every figure that the study's parts allow, by name."""
    drawn = {
        name: draw(drawing, SIZES.get(name, (6.8, 4.4))) for name, drawing in study_figures(study).items()
    }
    if is_simulated(study.table):
        for figure in drawn.values():
            figure.text(0.5, 0.5, "SIMULATED", size=40, color="#888888", alpha=0.25, rotation=25, ha="center")
    return drawn
