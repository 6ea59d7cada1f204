"""How far an estimate can be trusted: the bootstrap over runs or clusters of runs, and its intervals."""

import numpy as np

from analysis.problem import Problem
from analysis.quantiles import normal, normal_probability, student
from analysis.solver import FROM_NEAR, Solution, minimise

MANY_VALUES = 2 * 10**6
"""Resamples times runs up to which the law itself is refitted under every one (2 s for Chinchilla's law)."""
GENERAL_COST = 20
"""How many times as long a law takes that is no sum of power laws: its curvature comes by complex steps."""
CHECKED = 8
"""Resamples that are refitted with the law itself, to see whether its linear form will do."""
AGREE = 0.25
"""Standard deviations of the draws by which the two may differ: an interval's end moves by less than it does between
seeds of 100 resamples."""
LEAST_DRAWS = 100
"""Resamples below which the ends of a 90 % interval would hang on less than five draws."""


def resample_weights(clusters: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Weights of each run in each of `count` resamples, shape (count, n): the Bayesian bootstrap (Rubin 1981).

    Every cluster gets an exponential weight of mean one, so no resample loses a run and none is degenerate. Drawing
    runs with replacement gives weights of the same mean and variance, but with 24 or 48 runs it was seen to overstate
    the spread of Huber's fit by a fifth to a third, against a tenth here.

    Args:
        clusters: the label of each run; runs of one cluster (branches of one training job) share their weight.
        count: resamples.
        seed: of the generator; the same seed gives the same resamples.
    """
    units, member = cluster_weights(clusters, count, seed)
    return units[:, member]


def cluster_weights(clusters: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of each cluster in each resample, shape (count, m), and the number of each run's cluster, shape (n,)."""
    labels, member = np.unique(clusters, return_inverse=True)
    return np.random.default_rng(seed).exponential(size=(count, len(labels))), member


def refit(problem: Problem, theta: np.ndarray, weights: np.ndarray) -> Solution:
    """The fit again under each row of weights (B, n), all at once, from the optimum θ (p,) of the whole table."""
    return minimise(problem, np.repeat(theta[None], len(weights), axis=0), weights, stages=FROM_NEAR)


def bootstrap_draws(
    problem: Problem, theta: np.ndarray, weight: np.ndarray, clusters: np.ndarray, count: int, seed: int
) -> tuple[np.ndarray, list[str]]:
    """Estimates of the law under `count` resamples, shape (B, p), and what a reader should know of how they were made.

    Where resamples times runs are many, the law is made linear about its optimum before it is refitted: a parameter
    that many runs determine moves too little for the law to bend. Some resamples are refitted with the law itself as
    well; where the two differ, all are, but fewer of them.
    """
    unit_weights, member = cluster_weights(clusters, count, seed)

    def refits(problem: Problem, rows: slice) -> np.ndarray:
        """Refits of some resamples, a few at a time, since their weights of every run would fill the memory."""
        units, step = unit_weights[rows], max(1, MANY_VALUES // len(weight))
        return np.concatenate(
            [
                refit(problem, theta, weight * units[i : i + step][:, member]).theta
                for i in range(0, len(units), step)
            ]
        )

    remarks = []
    affordable = MANY_VALUES // (len(weight) * (1 if problem.design is not None else GENERAL_COST))
    if count <= affordable:
        draws = refits(problem, slice(None))
    else:
        draws = refits(problem.linearised(theta), slice(None))
        checked = refits(problem, slice(CHECKED))
        with np.errstate(invalid="ignore", divide="ignore"):
            off = float(np.max(np.abs(draws[: len(checked)] - checked) / np.std(draws, axis=0)))
        if not off <= AGREE:
            fewer = max(LEAST_DRAWS, affordable)
            draws = refits(problem, slice(fewer))
            remarks.append(
                f"with {len(weight)} runs, intervals come from {len(draws)} resamples, not {count}"
            )
    sound = np.isfinite(draws).all(axis=1)
    if not sound.all():
        remarks.append(
            f"{(~sound).sum()} of {len(draws)} bootstrap refits failed and are left out of the intervals"
        )
    return draws[sound], remarks


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
    quantile = 0.5 * (1 + level)
    short = student(quantile, freedom) / normal(quantile) * clusters / freedom
    excess = ROBUST_EXCESS * (1 - square_share) * parameters / np.sqrt(runs * clusters)
    return float(short / (1 + excess))


def percentiles(draws: np.ndarray, level: float, stretch: float = 1.0) -> np.ndarray:
    """Percentile interval of each column of `draws` (B, …), shape (2, …): lower ends, upper ends.

    `stretch` moves the percentiles outward so that normal draws would give an interval that much wider. A draw that is
    not a number (no optimum exists under it) counts as beyond both ends, so many of them make the interval infinite.
    """
    tail = normal_probability(normal(0.5 * (1 - level)) * stretch)
    lost = np.isnan(draws)
    if not lost.any():
        return np.asarray(np.quantile(draws, [tail, 1 - tail], axis=0))
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
