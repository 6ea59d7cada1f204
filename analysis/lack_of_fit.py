"""Does the law fit as well as repeated runs agree, and is one rung of the ladder off as a whole?

Runs that repeat a size and tokens with another seed differ by noise alone: their scatter is the pure error, the floor
below which no law can go. What a law leaves beyond it is lack of fit (Draper & Smith 1998, section 2.1): the law bends
where the runs do not. And a size or a budget whose runs are all off to one side was trained otherwise than its
neighbours: a learning rate, a batch, a schedule of its own.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.quantiles import fisher_p, student_p
from analysis.result import FitResult
from analysis.table import Table

MIN_REPEATS = 3
"""Degrees of freedom that the pure error needs: with fewer it is known to no better than a factor of 3."""
MIN_IN_RUNG = 2
"""Runs of a rung that can be off together."""
MIN_RUNGS = 4
"""Rungs from which one can differ from the others."""
SIGNIFICANT = 0.01
"""Chance of naming a rung, or a lack of fit, in a table that has none; for rungs over all of them (Bonferroni)."""


@dataclass(frozen=True)
class PureError:
    """The scatter of repeated runs and what the law leaves beyond it.

    Attributes:
        noise: relative standard deviation of the loss of one run.
        freedom: degrees of freedom behind it.
        ratio: mean square of lack of fit over that of pure error; 1 is expected of a right law.
        p_value: probability of at least this ratio under a right law.
    """

    noise: float
    freedom: int
    ratio: float
    p_value: float


@dataclass(frozen=True)
class Rung:
    """A size or a budget whose runs are off together.

    Attributes:
        role: "params" or "budget".
        value: its size, or its FLOPs.
        runs: how many it has.
        mean_residual: mean of log observed − log predicted.
        p_value: probability of one rung of the table so far off by chance.
    """

    role: str
    value: float
    runs: int
    mean_residual: float
    p_value: float


def pure_error(result: FitResult, parameters: int) -> PureError | None:
    """The noise floor and the test of lack of fit; None where too few runs are repeated.

    Args:
        result: a fit with `params` and `tokens`.
        parameters: of the law.
    """
    points = result.points
    if not {"params", "tokens"} <= set(points.columns):
        return None
    residual = pd.Series(result.residuals)
    groups = residual.groupby([points["params"].to_numpy(), points["tokens"].to_numpy()])
    levels = groups.ngroups
    freedom, spare = len(points) - levels, levels - parameters
    if freedom < MIN_REPEATS or spare < 1:
        return None
    pure = float(((residual - groups.transform("mean")) ** 2).sum())
    lack = max(float((residual**2).sum()) - pure, 0.0)
    noise = pure / freedom
    if noise <= 0:
        return None
    ratio = lack / spare / noise
    return PureError(float(np.sqrt(noise)), freedom, ratio, fisher_p(ratio, spare, freedom))


def rungs_off(table: Table, result: FitResult) -> tuple[Rung, ...]:
    """Sizes and budgets whose runs are jointly off the law, the most significant of each kind of rung.

    Each rung's mean residual is set against the scatter of the other rungs' means; the probability is multiplied by the
    number of rungs (Bonferroni). A rung at the end of the ladder, towards which the law leans, is found less often.
    """
    residual = result.residuals
    named = [
        rung
        for role in ("params", "budget")
        if role in table.frame and (rung := worst_rung(role, table.frame[role].to_numpy(float), residual))
    ]
    return tuple(sorted(named, key=lambda rung: rung.p_value))


def worst_rung(role: str, labels: np.ndarray, residual: np.ndarray) -> Rung | None:
    """The rung of these labels (n,) that is the furthest off, where that is significant."""
    rungs, member, runs = np.unique(labels[np.isfinite(labels)], return_inverse=True, return_counts=True)
    residual = residual[np.isfinite(labels)]
    if len(rungs) < MIN_RUNGS or (runs >= MIN_IN_RUNG).sum() < MIN_RUNGS:
        return None
    means = np.bincount(member, residual) / runs
    best: Rung | None = None
    for k in np.flatnonzero(runs >= MIN_IN_RUNG):
        others = (np.arange(len(rungs)) != k) & (runs >= MIN_IN_RUNG)
        # Robustly, since the fit leans towards a rung that is off and pushes its neighbours the other way.
        centre = float(np.median(means[others]))
        deviation = means[others] - centre
        spread = float(np.sqrt(np.sum(deviation**2) / (others.sum() - 1)) * np.sqrt(1 + 1 / others.sum()))
        if spread <= 0:
            continue
        chance = student_p((means[k] - centre) / spread, int(others.sum()) - 1) * len(rungs)
        if chance < SIGNIFICANT and (best is None or chance < best.p_value):
            best = Rung(role, float(rungs[k]), int(runs[k]), float(means[k]), float(chance))
    return best
