"""Profile of a parameter: how much worse the best fit becomes as the parameter is held away from its estimate."""

from dataclasses import dataclass

import numpy as np

from analysis import laws
from analysis.points import column_or_ones
from analysis.refusals import BadValue, TooFewPoints
from analysis.result import FitResult
from analysis.solver import FROM_NEAR, minimise
from analysis.uncertainty import resample_weights, widening


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


def profile(fit: FitResult, name: str, *, points: int = 41, draws: int = 400, reach: float = 5.0) -> Profile:
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
    share = problem.square_share(fit.theta)
    stretch = widening(fit.level, len(fit.points), fit.clusters, len(fit.theta), share)
    threshold = float(np.quantile(held - free, fit.level)) * stretch * student

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
