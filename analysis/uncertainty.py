"""How far an estimate can be trusted: the bootstrap over runs or clusters of runs, its intervals, and profiles."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import norm, t

from analysis import laws
from analysis.problem import Problem
from analysis.refusals import BadValue, TooFewPoints
from analysis.solver import FROM_NEAR, Solution, minimise

if TYPE_CHECKING:
    from analysis.result import FitResult


def resample_weights(clusters: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Weights of each run in each of `count` resamples, shape (count, n): the Bayesian bootstrap (Rubin 1981).

    Every cluster gets an exponential weight of mean one, so no resample loses a run and none is degenerate. Drawing
    runs with replacement gives weights of the same mean and variance, but with 24 or 48 runs it was seen to overstate
    the spread of Huber's fit by a fifth to a third, against a tenth here.

    Args:
        clusters: a label a run; runs of one cluster (branches of one training job) share their weight.
        count: resamples.
        seed: of the generator; the same seed gives the same resamples.
    """
    labels, member = np.unique(clusters, return_inverse=True)
    return np.random.default_rng(seed).exponential(size=(count, len(labels)))[:, member]


def refit(problem: Problem, theta: np.ndarray, weights: np.ndarray) -> Solution:
    """The fit again under each row of weights (B, n), all at once, from the optimum θ (p,) of the whole table."""
    return minimise(problem, np.repeat(theta[None], len(weights), axis=0), weights, stages=FROM_NEAR)


ROBUST_EXCESS = 3.2  # simulation, not theory: see `widening` and benchmarks/intervals.py


def widening(level: float, runs: int, clusters: int, parameters: int, square_share: float) -> float:
    """Factor by which a percentile interval is stretched, in normal quantiles, to reach its nominal coverage.

    Two errors of a bootstrap in few runs, both of order p/m, pull in opposite directions. With p parameters fitted to m
    clusters the residuals are too small, as if the interval were narrower by (m - p)/m (the jackknife's correction,
    HC3), and a normal quantile is short of Student's with m - p degrees of freedom: stretch. And where most residuals
    lie on the linear branch of the penalty the fit hangs on single runs, as a median does, and resampling overstates
    its spread by about ROBUST_EXCESS·p/√(runs·clusters): shrink.
    """
    freedom = clusters - parameters
    student = t.ppf(0.5 * (1 + level), freedom) / norm.ppf(0.5 * (1 + level)) * clusters / freedom
    excess = ROBUST_EXCESS * (1 - square_share) * parameters / np.sqrt(runs * clusters)
    return float(student / (1 + excess))


def percentiles(draws: np.ndarray, level: float, stretch: float = 1.0) -> np.ndarray:
    """Percentile interval of each column of `draws` (B, …), shape (2, …): lower ends, upper ends.

    `stretch` moves the percentiles outward so that normal draws would give an interval that much wider. A draw that is
    not a number (no optimum exists under it) counts as beyond both ends, so many of them make the interval infinite.
    """
    tail = float(norm.cdf(norm.ppf(0.5 * (1 - level)) * stretch))
    lost = np.isnan(draws)
    if not lost.any():
        return np.quantile(draws, [tail, 1 - tail], axis=0)
    low = np.quantile(np.where(lost, -np.inf, draws), tail, axis=0, method="lower")
    return np.stack([low, np.quantile(np.where(lost, np.inf, draws), 1 - tail, axis=0, method="higher")])


def interval(
    draws: np.ndarray, level: float, freedom: float | None = None, clusters: int | None = None
) -> np.ndarray:
    """Percentile interval of draws (B, …), widened for few clusters where their number is known; see `widening`."""
    stretch = 1.0
    if freedom is not None and clusters is not None:
        stretch = widening(level, clusters, clusters, round(clusters - freedom), square_share=1.0)
    return percentiles(draws, level, stretch)


@dataclass(frozen=True)
class Profile:
    """How the best objective depends on one parameter.

    Attributes:
        name: the parameter.
        values: public values at which it was held, rising, shape (k,).
        objective: the least objective with the parameter held there, shape (k,).
        threshold: objective above the minimum at the ends of the interval.
        low, high: the interval at the fit's level; infinite (or 0 for a positive parameter) where the profile never
            rises that far, which means that the runs do not bound the parameter.
    """

    name: str
    values: np.ndarray
    objective: np.ndarray
    threshold: float
    low: float
    high: float


def profile(
    fit: "FitResult", name: str, *, points: int = 41, draws: int = 400, reach: float = 5.0
) -> Profile:
    """Profile interval of a parameter: values whose best fit is not much worse than the best of all.

    How much worse is asked of the bootstrap, since a robust objective is no likelihood: the threshold is the quantile,
    over resamples, of the rise in the resample's objective when the parameter is held at the estimate.

    Args:
        fit: the fit, with intervals estimated.
        name: one of its parameters.
        points: values at which the parameter is held.
        draws: resamples that set the threshold.
        reach: how many bootstrap standard deviations the values reach on each side.
    """
    names = list(fit.parameters)
    if name not in names:
        raise BadValue(f"no parameter {name!r} in law {fit.law!r}: choose one of {', '.join(names)}")
    if not len(fit.draws):
        raise TooFewPoints("a profile needs the bootstrap for its threshold, and this fit has no draws")
    law, problem, j = laws.get(fit.law), fit.problem, names.index(name)
    weight = column_or_ones(fit.points, "weight")
    clusters = fit.points["cluster"].to_numpy() if "cluster" in fit.points else np.arange(len(fit.points))
    resampled = weight * resample_weights(clusters, draws, fit.seed)
    starts = np.repeat(fit.theta[None], draws, axis=0)
    held = minimise(problem, starts, resampled, stages=FROM_NEAR, frozen=(j,)).value
    free = minimise(problem, starts, resampled, stages=FROM_NEAR).value
    # A rise is quadratic in the interval's width, and suffers less from the excess of a robust bootstrap.
    student = widening(fit.level, len(fit.points), fit.clusters, len(fit.theta), square_share=1.0)
    threshold = float(np.quantile(held - free, fit.level)) * fit.widening * student

    low, high = np.quantile(fit.draws[:, j], [0.1587, 0.8413])
    offsets = np.linspace(-reach, reach, points | 1)
    along = fit.theta[j] + np.where(offsets < 0, fit.theta[j] - low, high - fit.theta[j]) * offsets
    grid = np.repeat(fit.theta[None], len(along), axis=0)
    grid[:, j] = along
    best = minimise(problem, grid, weight[None], frozen=(j,)).value
    rise = best - fit.objective - threshold
    middle = len(along) // 2
    ends = [
        _crossing(along[middle::-1], rise[middle::-1], -np.inf),
        _crossing(along[middle:], rise[middle:], np.inf),
    ]
    logged = name in law.logged
    lower, upper = (float(np.exp(end)) if logged else end for end in ends)
    return Profile(name, np.exp(along) if logged else along, best, threshold, lower, upper)


def column_or_ones(points: pd.DataFrame, name: str) -> np.ndarray:
    """A column of the points, or ones where they have none."""
    return points[name].to_numpy(dtype=float) if name in points else np.ones(len(points))


def _crossing(along: np.ndarray, rise: np.ndarray, otherwise: float) -> float:
    """Where `rise` first passes zero going outward, between grid points by the straight line of its root."""
    above = np.flatnonzero(rise > 0)
    if not len(above) or above[0] == 0:
        return otherwise
    k = above[0]
    # Near its minimum a profile is a parabola, so its root is nearly straight.
    inner, outer = np.sqrt(np.maximum(rise[k - 1 : k + 1] - rise[0], 0.0))
    wanted = np.sqrt(max(-rise[0], 0.0))
    return float(along[k - 1] + (along[k] - along[k - 1]) * (wanted - inner) / (outer - inner))
