"""How far an estimate can be trusted: the bootstrap over runs or clusters of runs, and intervals from its draws."""

import numpy as np
from scipy.stats import norm, t

from analysis.solver import FROM_NEAR, Problem, Solution, minimise


def resample_weights(clusters: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Weights of each run in each of `count` resamples, shape (count, n): the Bayesian bootstrap (Rubin 1981).

    Every cluster gets an exponential weight of mean one, so no resample loses a run and none is degenerate. Drawing whole
    runs with replacement gives weights of the same mean and variance, but where few runs carry a robust fit it
    overstates the spread by a fifth to a third (benchmarks/coverage.py measures both).

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


def interval(
    draws: np.ndarray, level: float, freedom: float | None = None, clusters: int | None = None
) -> np.ndarray:
    """Percentile interval of each column of `draws` (B, …), shape (2, …): lower ends, upper ends.

    With `freedom` degrees of freedom left among `clusters` units the percentiles are widened so that a normal mean
    would get its Student interval (the expanded percentile interval of Hesterberg 2015,
    doi:10.1080/00031305.2015.1089789, section 5.2): resampling n units understates the
    spread by √((n-p)/n), and a normal quantile is short of Student's.
    """
    tail = 0.5 * (1 - level)
    if freedom is not None and clusters is not None:
        tail = float(norm.cdf(t.ppf(tail, freedom) * np.sqrt(clusters / freedom)))
    return np.quantile(draws, [tail, 1 - tail], axis=0)
