"""What runs that were not trained would lose: laws weighed by their rollouts, and intervals that know how they missed.

An interval from the noise of the fitted runs knows nothing of a law that bends. So three things make it wide: the
scatter of the runs about the law, how far the laws disagree about this very run, and how far the weighed laws missed
when compute was held back from them, which grows with the distance extrapolated. How much each counts was learnt over
published tables, each foretold with constants learnt on the others (benchmarks/choice.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import pandas as pd
from scipy.stats import t as student

from analysis import laws
from analysis.choice import Choice, choose
from analysis.fit import LEVEL, fit
from analysis.refusals import Refusal
from analysis.result import FitResult
from analysis.rollout import Rollout, beyond, log_compute, misses, predicted, roll

SCATTER, DISAGREEMENT, MISSED = 1.62, 0.08, 0.19
"""What the squares of scatter, of the laws' disagreement and of past misses add to the squared scale of an error.

Learnt as benchmarks/choice.py does, on thirteen tables with four laws (Chinchilla's, Gadre's, Kaplan's, κ).
With Farseer's law too the benchmark learns 1.16, 0.03, 0.37 on twelve of the tables."""
FREEDOM = 6
"""Degrees of freedom of the Student distribution of an error over its scale: its tails are heavier than a normal's."""
LAST = 2
"""How many of the last rollouts say how fast misses grow: they fitted nearly as many runs as the final fit."""
NEAR = log(1.5)
"""Distances below this are no extrapolation to learn a growth from."""


@dataclass(frozen=True)
class Forecast:
    """Predictions for m runs.

    Attributes:
        loss, low, high: the weighted prediction and its interval at `level`, each of shape (m,).
        by_law: law → its own prediction, shape (m,).
        choice: the weights, with the rollouts' errors they come from.
        distance: log of each run's compute over the largest fitted, shape (m,); 0 inside.
        level: probability of the intervals.
        target: the quantity predicted.
    """

    loss: np.ndarray
    low: np.ndarray
    high: np.ndarray
    by_law: Mapping[str, np.ndarray]
    choice: Choice
    distance: np.ndarray
    level: float
    target: str = "loss"

    def frame(self) -> pd.DataFrame:
        """One row for each run: `loss`, `low`, `high`, and each law's own prediction under its name."""
        return pd.DataFrame({"loss": self.loss, "low": self.low, "high": self.high} | dict(self.by_law))


@dataclass(frozen=True)
class Forecaster:
    """Laws fitted to all runs of a table, their weights, and what the intervals of predictions are made of.

    Attributes:
        fits: law → its fit to all runs.
        choice: the weights.
        scatter: of the runs about the weighted laws, in log target.
        growth: root mean square miss of the last rollouts for each e-fold of compute beyond what they had seen.
        edge: log compute of the largest fitted run; None where nothing orders the runs.
    """

    fits: Mapping[str, FitResult]
    choice: Choice
    scatter: float
    growth: float
    edge: float | None

    def predict(self, frame: pd.DataFrame, level: float = LEVEL) -> Forecast:
        """Predict every row of a frame that holds the laws' variables."""
        logs = {name: predicted(laws.get(name), result.theta, frame) for name, result in self.fits.items()}
        order = log_compute(frame)
        distance = np.ones(len(frame)) if self.edge is None or order is None else beyond(order, self.edge)
        centre = weighted(logs, self.choice.weights)
        scale = np.sqrt(squared_scale(self.scatter, disagreement(logs), self.growth * distance))
        half = scale * student.ppf(0.5 * (1 + level), FREEDOM)
        law = laws.get(next(iter(self.fits)))
        return Forecast(
            loss=law.target_of(centre),
            low=law.target_of(centre - half),
            high=law.target_of(centre + half),
            by_law={name: law.target_of(response) for name, response in logs.items()},
            choice=self.choice,
            distance=distance,
            level=level,
            target=law.target,
        )


def rivals_of(law: str) -> list[str]:
    """The law, and every other that predicts the same target from the same columns."""
    asked = laws.get(law)
    families = (
        [f"{name}[{len(asked.variables)}]" for name in laws.FAMILIES] if len(asked.variables) > 1 else []
    )
    others = [name for name in (*laws.LAWS, *families) if name != law]
    return [law, *(name for name in others if reads_as(laws.get(name)) == reads_as(asked))]


def reads_as(law: laws.Law) -> tuple[object, ...]:
    """The columns that a law reads, and what it predicts on which scale."""
    return frozenset(law.variables), law.target, law.log_target


def forecaster(
    frame: pd.DataFrame,
    law: str = "chinchilla",
    objective: str = "huber_log",
    names: Sequence[str] | None = None,
) -> Forecaster:
    """Fit a law and its rivals to a table, and weigh them by rollouts.

    Args:
        frame: one row for each run: the law's variables and target; `flops` orders the runs, or size times data.
        law: believed where the runs are too few to weigh laws by.
        objective: as `fit` takes it.
        names: the laws to weigh; by default `rivals_of` the law.

    Raises:
        Refusal: the runs do not support the law itself.
    """
    wanted = rivals_of(law) if names is None else list(names)
    fits, refused = {law: fit(frame, law, objective, bootstrap=0)}, {}
    for name in wanted:
        if name != law:
            try:
                fits[name] = fit(frame, name, objective, bootstrap=0)
            except Refusal as reason:
                refused[name] = str(reason)
    rollouts = roll(frame, {name: result.theta for name, result in fits.items()}, objective)
    choice = choose(rollouts, list(fits), refused)
    residuals = {name: misses(laws.get(name), result.theta, frame) for name, result in fits.items()}
    order = log_compute(frame)
    return Forecaster(
        fits=fits,
        choice=choice,
        scatter=scatter_of(residuals, choice.weights),
        growth=growth_of(rollouts, choice.weights),
        edge=None if order is None else float(order.max()),
    )


def weighted(logs: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """The weighted mean of logs, shape (m,): a weighted geometric mean of the laws' predictions."""
    return np.asarray(sum(weight * logs[name] for name, weight in weights.items()))


def disagreement(logs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Standard deviation of the laws' log predictions of each run, shape (m,), every law counted alike.

    Unweighted on purpose: where the evidence picks one law, the others still show how much depends on the form.
    """
    return np.asarray(np.std(np.stack(list(logs.values())), axis=0))


def scatter_of(errors: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> float:
    """Robust standard deviation of fitted runs about the weighted laws, for the parameters that these laws spent."""
    residuals = weighted(errors, weights)
    runs = len(residuals)
    spent = sum(weight * len(laws.get(name).parameters) for name, weight in weights.items())
    # 1.4826 turns a median of absolute values into a standard deviation, for normal scatter.
    return float(1.4826 * np.median(np.abs(residuals)) * np.sqrt(runs / max(runs - spent, 1.0)))


def growth_of(rollouts: Sequence[Rollout], weights: Mapping[str, float]) -> float:
    """Root mean square miss of the last rollouts over their root mean square distance; 0 where there were none."""
    tried = [rollout for rollout in rollouts if all(name in rollout.errors for name in weights)][-LAST:]
    if not tried:
        return 0.0
    misses = [np.mean(weighted(rollout.errors, weights)[~rollout.seen] ** 2) for rollout in tried]
    distances = [max(np.mean(rollout.distance[~rollout.seen] ** 2), NEAR**2) for rollout in tried]
    return float(np.sqrt(np.sum(misses) / np.sum(distances)))


def squared_scale(scatter: float, disagreeing: np.ndarray, missed: np.ndarray) -> np.ndarray:
    """Squared scale of the log error of each prediction, shape (m,)."""
    return np.asarray(SCATTER * scatter**2 + DISAGREEMENT * disagreeing**2 + MISSED * missed**2)
