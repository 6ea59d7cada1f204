"""Many simulated studies of one design, fitted all at once as a user would fit each."""

from dataclasses import dataclass

import numpy as np

from analysis.laws import Law
from analysis.objectives import Objective
from analysis.problem import Problem
from analysis.solver import FROM_NEAR, minimise
from analysis.uncertainty import percentiles, widening
from scaling.simulate.target import Target

AT_ONCE = 40_000
"""Fits whose weights and losses are held in memory together."""


@dataclass(frozen=True)
class Fits:
    """Fits of many tables.

    Attributes:
        theta: estimates, shape (S, p); NaN where a table had too few losses or its fit did not settle.
        square_share: share of runs on the quadratic branch of the penalty, shape (S,).
    """

    theta: np.ndarray
    square_share: np.ndarray


def fit_each(
    law: Law, x: dict[str, np.ndarray], log_losses: np.ndarray, objective: Objective, starts: np.ndarray
) -> Fits:
    """Fit every table (S, n) from its own start (S, p); runs without a loss are left out.

    Each descent begins at the law that made its table, so that a second optimum, which several starts would find in a
    table of very few runs, is not among the answers.
    """
    lost = ~np.isfinite(log_losses)
    problem = Problem.build(law, x, np.where(lost, 0.0, log_losses), objective)
    weights = np.where(lost, 0.0, 1.0)
    found = minimise(problem, starts, weights, stages=(5.0, 1.0))
    theta = found.theta.copy()
    short = (~lost).sum(axis=1) < theta.shape[1]
    theta[~(found.settled() & ~short & np.isfinite(theta).all(axis=1))] = np.nan
    with np.errstate(invalid="ignore"):
        residual = np.abs(problem.residuals(np.nan_to_num(theta, nan=0.0)))
    inside = (residual <= problem.sharpest()[0, 0]) & ~lost
    return Fits(theta, inside.sum(axis=1) / np.maximum((~lost).sum(axis=1), 1))


def coverage(
    law: Law,
    x: dict[str, np.ndarray],
    log_losses: np.ndarray,
    objective: Objective,
    fits: Fits,
    clusters: np.ndarray,
    targets: list[Target],
    truths: list[np.ndarray],
    level: float,
    draws: int,
    rng: np.random.Generator,
) -> list[float]:
    """Share of studies whose bootstrap interval, as `analysis.fit` makes it, holds the truth, for each target.

    Args:
        law, x, log_losses, objective: as `fit_each` takes them.
        fits: what it gave.
        clusters: job of each run, shape (n,).
        targets: what is asked.
        truths: for each, the true values, shape (S,).
        level: nominal coverage.
        draws: bootstrap resamples of each study.
        rng: of the resamples.
    """
    labels, member = np.unique(clusters, return_inverse=True)
    lost = ~np.isfinite(log_losses)
    sound = np.flatnonzero(np.isfinite(fits.theta).all(axis=1))
    problem = Problem.build(law, x, np.where(lost, 0.0, log_losses), objective)
    held = [0] * len(targets)
    together = max(1, AT_ONCE // draws)
    for begin in range(0, len(sound), together):
        studies = sound[begin : begin + together]
        each = np.repeat(studies, draws)
        weights = rng.exponential(size=(len(each), len(labels)))[:, member] * ~lost[each]
        theta = minimise(problem.take(each), fits.theta[each], weights, stages=FROM_NEAR).theta
        runs = (~lost[studies]).sum(axis=1)
        stretch = [
            widening(level, int(n), min(len(labels), int(n)), theta.shape[1], share)
            for n, share in zip(runs, fits.square_share[studies], strict=True)
        ]
        for t, (target, truth) in enumerate(zip(targets, truths, strict=True)):
            values = target.values(law, theta).reshape(len(studies), draws)
            for row, study, wider in zip(values, studies, stretch, strict=True):
                low, high = percentiles(row[:, None], level, wider)[:, 0]
                held[t] += bool(low <= truth[study] <= high)
    return [count / len(log_losses) for count in held]
