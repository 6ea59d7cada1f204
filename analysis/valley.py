"""One budget's loss valley: its minimum by parabola or by Akima's spline, with interval, flat range, or a refusal."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

from analysis.quantiles import normal, student
from analysis.refusals import NoMinimum, TooFewPoints

MIN_SIZES = 4  # three points always lie on a parabola: the fourth is what can contradict it
FLAT = 1e-3  # "as good as the best": within 0.1 % of its loss
PARABOLA_WINDOW = 0.1  # a parabola describes the bottom: runs within 10 % of the best loss
GRID_PER_GAP = 25  # interpolated sizes between neighbouring ones, as in Porian et al.
NEAR_SIZES = (
    0.25  # a spline takes sizes closer than this share of the mean spacing as one: their slope is all noise
)
SPACING_FLOOR = (
    0.33  # an optimum is known no better than a third of the spacing of sizes, as in Porian et al.
)
FAR_FROM_SIZES = 2.0
"""Factor from the nearest size tried beyond which a minimum is a guess: published IsoFLOP grids step by 1.3 to 2."""
FAR_BELOW = 0.02
"""Share of the lowest loss measured by which a minimum may undercut it: under Chinchilla's law the best of sizes a
factor of 2 apart lies within .5 % of the minimum."""
NOISE_BELOW = 3.0
"""Standard deviations of a loss by which it may undercut it besides."""
MAX_SIZES_TO_ADD = 4  # sizes proposed for a budget whose minimum lies beyond those tried
DRAWS = 1000  # noisy copies of a budget's losses, as in Porian et al.


@dataclass(frozen=True)
class Valley:
    """The loss valley of one budget.

    Attributes:
        budget_flops: its compute.
        points: its runs sorted by size: `params`, `tokens`, `loss` (brought to exactly this budget where FLOPs differ a
            little), `runs` (replicates averaged) and `used` (whether the curve was fitted on it).
        params_opt, tokens_opt, loss_opt: the bottom.
        params_interval, tokens_interval, loss_interval: their intervals.
        flat_params: sizes between which the loss stays within 0.1 % of the best.
        flat_open: whether that range runs out of the sizes that were tried, below and above.
        log_std: standard deviation of log params_opt.
        curve_params, curve_loss: the fitted curve, to draw.
    """

    budget_flops: float
    points: pd.DataFrame
    params_opt: float
    params_interval: tuple[float, float]
    tokens_opt: float
    tokens_interval: tuple[float, float]
    loss_opt: float
    loss_interval: tuple[float, float]
    flat_params: tuple[float, float]
    flat_open: tuple[bool, bool]
    log_std: float
    curve_params: NDArray[np.floating]
    curve_loss: NDArray[np.floating]


@dataclass(frozen=True)
class RefusedValley:
    """A budget without a minimum that could be reported.

    Attributes:
        budget_flops: its compute.
        points: its runs, as a Valley has them.
        reason: why it shows none.
        sizes_to_add: sizes that would show it.
        remedy: how to ask for them, in words; empty where the caller does not know how the runs are made.
    """

    budget_flops: float
    points: pd.DataFrame
    reason: str
    sizes_to_add: tuple[float, ...]
    remedy: str = ""


def near_bottom(points: pd.DataFrame) -> NDArray[np.bool_]:
    """Which sizes lie within 10 % of the best loss; where those are fewer than 4, the 4 best."""
    loss = points["loss"].to_numpy()
    near: NDArray[np.bool_] = loss <= loss.min() * (1 + PARABOLA_WINDOW)
    near[np.argsort(loss, kind="stable")[:MIN_SIZES]] = True
    return near


@dataclass(frozen=True)
class Parabola:
    """log L = c0 + c1·x + c2·x², x = log N − centre, the unscaled covariance of the coefficients and the residual."""

    centre: float
    coefficients: NDArray[np.floating]
    unscaled: NDArray[np.floating]
    residual_squares: float
    spare: int
    near: NDArray[np.bool_]


def fit_parabola(points: pd.DataFrame) -> Parabola | None:
    """Least squares on the bottom of a valley; None with fewer than 4 sizes."""
    if len(points) < MIN_SIZES:
        return None
    near = near_bottom(points)
    log_params, log_loss = np.log(points["params"].to_numpy()[near]), np.log(points["loss"].to_numpy()[near])
    centre = float(log_params.mean())
    design = np.vander(log_params - centre, 3, increasing=True)
    unscaled = np.linalg.inv(design.T @ design)
    coefficients = unscaled @ (design.T @ log_loss)
    residual = log_loss - design @ coefficients
    return Parabola(centre, coefficients, unscaled, float(residual @ residual), int(near.sum()) - 3, near)


def refuse_few(points: pd.DataFrame) -> None:
    """Raise unless there are 4 sizes."""
    if len(points) < MIN_SIZES:
        raise TooFewPoints(f"{len(points)} sizes: a valley needs {MIN_SIZES} or more")


def refuse_edge(points: pd.DataFrame) -> None:
    """Raise unless the lowest loss has a higher one on either side."""
    best = int(np.argmin(points["loss"].to_numpy()))
    if best in (0, len(points) - 1):
        side = "smallest" if best == 0 else "largest"
        raise NoMinimum(
            f"no interior minimum: the lowest loss is at the {side} size tried, {points['params'].iloc[best]:.3g}"
        )


def refuse_together(points: pd.DataFrame) -> pd.DataFrame:
    """The sizes that lie apart from each other, near ones as one; raise unless there are 4 of them.

    Two sizes that lie together are one measured twice: a curve through few others goes anywhere in the gaps between.
    """
    apart = merge_near_sizes(points)
    if len(apart) < MIN_SIZES:
        raise TooFewPoints(
            f"only {len(apart)} of {len(points)} sizes lie apart from each other: a valley needs {MIN_SIZES}"
        )
    return apart


def refuse_unseen(points: pd.DataFrame, log_params: float, log_loss: float, noise: float) -> None:
    """Raise where a minimum lies far from every size that was tried, or far below every loss that was measured."""
    sizes, lowest = points["params"].to_numpy(), float(points["loss"].min())
    nearest = float(sizes[np.argmin(np.abs(np.log(sizes) - log_params))])
    factor = float(np.exp(abs(np.log(nearest) - log_params)))
    if factor > FAR_FROM_SIZES:
        raise NoMinimum(
            f"the curve's minimum at {np.exp(log_params):.3g} lies in a gap between the sizes tried, a factor of "
            f"{factor:.2g} from the nearest, {nearest:.3g}: train sizes there"
        )
    below = np.log(lowest) - log_loss
    if below > FAR_BELOW + NOISE_BELOW * noise:
        raise NoMinimum(
            f"the curve's minimum, a loss of {np.exp(log_loss):.4g}, lies {below:.1%} below the lowest measured, "
            f"{lowest:.4g}: train sizes near {np.exp(log_params):.3g} to see whether it is there"
        )


def parabola_valley(
    budget: float, points: pd.DataFrame, bottom: Parabola | None, noise: float, dof: float, level: float
) -> Valley:
    """The minimum of a fitted parabola, with Fieller's interval (exact for the ratio −c1 / 2c2 of normal estimates)."""
    refuse_few(points)
    refuse_edge(points)
    refuse_together(points)
    assert bottom is not None
    _, c1, c2 = bottom.coefficients
    if c2 <= 0:
        raise NoMinimum("upside-down: the parabola through these losses has no minimum")
    log_opt = -c1 / (2 * c2)
    low, high = np.log(points["params"].iloc[[0, -1]]) - bottom.centre
    if not low < log_opt < high:
        size = np.exp(log_opt + bottom.centre)
        raise NoMinimum(f"no interior minimum: the parabola's lies at {size:.3g}, outside the sizes tried")
    log_loss = float(np.polynomial.polynomial.polyval(log_opt, bottom.coefficients))
    refuse_unseen(points, log_opt + bottom.centre, log_loss, noise)
    quantile = student(0.5 + level / 2, dof)
    covariance = bottom.unscaled * noise**2
    # Fieller: all x with (c1 + 2·c2·x)² ≤ q² Var(c1 + 2·c2·x), a quadratic in x.
    square = 4 * (c2**2 - quantile**2 * covariance[2, 2])
    if square <= 0:
        raise NoMinimum(
            f"flat within its noise: the curvature is not told from zero at {level:.0%}; widen the sizes or repeat runs"
        )
    linear = 4 * (c1 * c2 - quantile**2 * covariance[1, 2])
    constant = c1**2 - quantile**2 * covariance[1, 1]
    root = np.sqrt(max(linear**2 - 4 * square * constant, 0.0))
    ends = (-linear - root) / (2 * square), (-linear + root) / (2 * square)
    by_c1, by_c2 = -1 / (2 * c2), c1 / (2 * c2**2)
    variance = (
        by_c1**2 * covariance[1, 1] + 2 * by_c1 * by_c2 * covariance[1, 2] + by_c2**2 * covariance[2, 2]
    )
    at_bottom = np.array([1.0, log_opt, log_opt**2])
    half = quantile * float(np.sqrt(at_bottom @ covariance @ at_bottom))
    reach = np.sqrt(np.log1p(FLAT) / c2)
    flat = log_opt - reach, log_opt + reach
    used = points["params"][bottom.near]
    grid = np.geomspace(used.min(), used.max(), 200)
    tokens = tokens_along(points)
    params_interval = float(np.exp(ends[0] + bottom.centre)), float(np.exp(ends[1] + bottom.centre))
    params_opt = float(np.exp(log_opt + bottom.centre))
    return Valley(
        budget_flops=budget,
        points=points.assign(used=bottom.near),
        params_opt=params_opt,
        params_interval=params_interval,
        tokens_opt=tokens(params_opt),
        tokens_interval=(tokens(params_interval[1]), tokens(params_interval[0])),
        loss_opt=float(np.exp(log_loss)),
        loss_interval=(float(np.exp(log_loss - half)), float(np.exp(log_loss + half))),
        flat_params=(
            float(np.exp(max(flat[0], low) + bottom.centre)),
            float(np.exp(min(flat[1], high) + bottom.centre)),
        ),
        flat_open=(bool(flat[0] < low), bool(flat[1] > high)),
        log_std=float(np.sqrt(variance)) if variance > 0 else 1e-12,
        curve_params=grid,
        curve_loss=np.exp(
            np.polynomial.polynomial.polyval(np.log(grid) - bottom.centre, bottom.coefficients)
        ),
    )


def akima_valley(
    budget: float, points: pd.DataFrame, noise: float, level: float, rng: np.random.Generator
) -> Valley:
    """The lowest point of Akima's spline in log–log, its spread from noisy copies of the losses (Porian et al. 2024).

    As there, the spline's own minimum must be interior, and so must that of half the copies; the standard deviation is
    at least a third of the mean spacing of sizes, since a spline cannot know what lies between them. The loss at the
    bottom is corrected for what a minimum over noise gains.
    """
    refuse_few(points)
    knots = refuse_together(points)
    log_params, log_loss = np.log(knots["params"].to_numpy()), np.log(knots["loss"].to_numpy())
    runs = knots["runs"].to_numpy()
    grid = np.linspace(log_params[0], log_params[-1], GRID_PER_GAP * (len(knots) - 1))
    curve = Akima1DInterpolator(log_params, log_loss)(grid)
    if np.argmin(curve) in (0, len(grid) - 1):
        refuse_edge(knots)
        raise NoMinimum("no interior minimum: the spline is lowest at the edge of the sizes tried")
    refuse_unseen(points, float(grid[np.argmin(curve)]), float(curve.min()), noise)
    copies = log_loss[:, None] + (noise / np.sqrt(runs))[:, None] * rng.standard_normal((len(knots), DRAWS))
    splines = Akima1DInterpolator(log_params, copies)(grid)
    lowest = np.argmin(splines, axis=0)
    interior = (lowest > 0) & (lowest < len(grid) - 1)
    if interior.mean() < 0.5:
        raise NoMinimum(
            f"flat within its noise: {1 - interior.mean():.0%} of noisy copies are lowest at the edge of the sizes"
        )
    optima, bottoms = grid[lowest[interior]], splines[lowest, np.arange(DRAWS)][interior]
    spacing = float((log_params[-1] - log_params[0]) / (len(knots) - 1))
    std = max(float(np.std(optima)), SPACING_FLOOR * spacing) / float(interior.mean())
    quantile = normal(0.5 + level / 2)
    log_opt = float(grid[np.argmin(curve)])
    params_interval = float(np.exp(log_opt - quantile * std)), float(np.exp(log_opt + quantile * std))
    flat = np.flatnonzero(curve <= curve.min() + np.log1p(FLAT))
    tokens = tokens_along(points)
    # The lowest point of a noisy curve lies low, and that of its copies as much lower again: turned about it, the
    # copies' spread covers the truth (the basic bootstrap), and their mean says where to look for it.
    lowest_loss = float(curve.min())
    loss_high, loss_low = 2 * lowest_loss - np.quantile(bottoms, [0.5 - level / 2, 0.5 + level / 2])
    log_bottom = 2 * lowest_loss - float(bottoms.mean())
    return Valley(
        budget_flops=budget,
        points=points,
        params_opt=float(np.exp(log_opt)),
        params_interval=params_interval,
        tokens_opt=tokens(float(np.exp(log_opt))),
        tokens_interval=(tokens(params_interval[1]), tokens(params_interval[0])),
        loss_opt=float(np.exp(log_bottom)),
        loss_interval=(float(np.exp(loss_low)), float(np.exp(loss_high))),
        flat_params=(float(np.exp(grid[flat[0]])), float(np.exp(grid[flat[-1]]))),
        flat_open=(bool(flat[0] == 0), bool(flat[-1] == len(grid) - 1)),
        log_std=std,
        curve_params=np.exp(grid),
        curve_loss=np.exp(curve),
    )


def merge_near_sizes(points: pd.DataFrame) -> pd.DataFrame:
    """Sizes so near each other that a curve through both would follow their noise, as one: their geometric mean.

    Args:
        points: one row for each size, sorted, with `params`, `loss` and `runs`.
    """
    log_params = np.log(points["params"].to_numpy())
    near = np.diff(log_params) < NEAR_SIZES * (log_params[-1] - log_params[0]) / (len(points) - 1)
    member = np.concatenate([[0], np.cumsum(~near)])
    runs = np.bincount(member, points["runs"])

    def mean(name: str) -> NDArray[np.floating]:
        return np.exp(np.bincount(member, points["runs"] * np.log(points[name])) / runs)

    return pd.DataFrame({"params": mean("params"), "loss": mean("loss"), "runs": runs})


def tokens_along(points: pd.DataFrame) -> Callable[[float], float]:
    """Tokens as a function of size along a budget: exact where FLOPs are 6ND, else following the table."""
    log_params = np.log(points["params"].to_numpy())
    log_flops = np.log(points["flops"].to_numpy())
    log_tokens = np.log(points["tokens"].to_numpy()) - (log_flops - log_flops.mean())
    curve = PchipInterpolator(log_params, log_tokens)

    def tokens(params: float) -> float:
        # Beyond the sizes tried, as 6ND has it: a larger model sees proportionally fewer tokens.
        inside = float(np.clip(np.log(params), log_params[0], log_params[-1]))
        return float(np.exp(curve(inside) - (np.log(params) - inside)))

    return tokens


def sizes_that_mend(points: pd.DataFrame, expected: float | None) -> tuple[float, ...]:
    """Sizes that continue the grid past the edge where the lowest loss lies; none where it is interior.

    Two of them, or as many more as it takes to pass the size where the minimum is expected (at most 4).
    """
    best = int(np.argmin(points["loss"].to_numpy()))
    if len(points) < 2 or 0 < best < len(points) - 1:
        return ()
    sizes = points["params"].to_numpy()
    ratio = float(np.exp(np.median(np.diff(np.log(sizes))))) ** (1 if best else -1)
    edge, steps = float(sizes[best]), 2
    if expected is not None:
        steps = int(np.clip(np.ceil(np.log(expected / edge) / np.log(ratio)) + 1, 2, MAX_SIZES_TO_ADD))
    return tuple(edge * ratio**step for step in range(1, steps + 1))


def vertex(bottom: Parabola | None) -> float | None:
    """The size at a parabola's minimum, wherever it lies; None where it has none."""
    if bottom is None or bottom.coefficients[2] <= 0:
        return None
    log_params = bottom.centre - bottom.coefficients[1] / (2 * bottom.coefficients[2])
    return float(np.exp(np.clip(log_params, 0, 100)))
