"""What a model will score on a task, in two steps: from size and tokens to the task's loss, from that to accuracy.

Accuracy itself follows no power law: it stays at chance, rises and levels off. The loss on the task's right answers
(in bits/byte) does follow one, and accuracy follows that loss by a sigmoid between chance and a ceiling (Bhagia et al.
2024, arXiv:2412.04403):

    accuracy = chance + (ceiling − chance) / (1 + exp(slope · (task loss − middle))).

A task whose accuracies scatter more than they rise says nothing of a larger model: it is refused with its ratio of
signal to noise (Heineman et al. 2025, arXiv:2508.13144).
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import least_squares

from analysis.fit import SPARE_CLUSTERS, fit
from analysis.points import column_or_ones
from analysis.refusals import BadValue, NotIdentified, TooFewPoints
from analysis.result import FitResult
from analysis.table import Table
from analysis.uncertainty import percentiles, refit, resample_weights

LEAST_SIGNAL = 5.0
"""Least rise of accuracy over the runs, in standard deviations of a run about the curve. Tables of noise alone stay
below it (tests)."""
LEAST_RUNS = 6
"""Runs from which three coefficients and a scatter can be told."""


@dataclass(frozen=True)
class Downstream:
    """A task's two laws.

    Attributes:
        task_loss: the law of the task's loss, with draws.
        chance: accuracy of guessing.
        theta: (logit of the ceiling between chance and 1, log slope, middle), shape (3,).
        draws: the same under each resample of `task_loss`, shape (B, 3); no rows where intervals are not estimated.
        signal_to_noise: rise of the fitted accuracy over the runs, over `scatter`.
        scatter: standard deviation of a run's accuracy about the curve.
        level: probability of every interval.
    """

    task_loss: FitResult
    chance: float
    theta: np.ndarray
    draws: np.ndarray
    signal_to_noise: float
    scatter: float
    level: float

    @property
    def parameters(self) -> dict[str, float]:
        """Floor, ceiling, slope and middle of the sigmoid."""
        logit, log_slope, middle = self.theta
        ceiling = self.chance + (1 - self.chance) / (1 + np.exp(-logit))
        return {
            "chance": self.chance,
            "ceiling": float(ceiling),
            "slope": float(np.exp(log_slope)),
            "middle": float(middle),
        }

    def predict(self, params: ArrayLike, tokens: ArrayLike) -> pd.DataFrame:
        """Task loss and accuracy at sizes N and tokens D, with intervals of the curve (not of one run's scatter)."""
        frame = self.task_loss.predict(params, tokens)
        frame["accuracy"] = sigmoid(self.theta, frame["loss"].to_numpy(), self.chance)
        frame["accuracy_low"] = frame["accuracy_high"] = np.nan
        if len(self.draws):
            x = {name: frame[name].to_numpy() for name in ("params", "tokens")}
            losses = np.exp(self.task_loss._law.predict(self.task_loss.draws, x)[0])
            of_draws = np.array(
                [sigmoid(row, loss, self.chance) for row, loss in zip(self.draws, losses, strict=True)]
            )
            ends = percentiles(of_draws, self.level, self.task_loss.widening)
            frame["accuracy_low"], frame["accuracy_high"] = np.clip(ends, self.chance, 1.0)
        return frame


def sigmoid(theta: np.ndarray, task_loss: np.ndarray, chance: float) -> np.ndarray:
    """Accuracy at task losses under (logit of the ceiling, log slope, middle)."""
    logit, log_slope, middle = theta
    height = (1 - chance) / (1 + np.exp(-logit))
    steep = np.clip(np.exp(log_slope) * (task_loss - middle), -500, 500)
    return np.asarray(chance + height / (1 + np.exp(steep)))


def fit_downstream(
    table: Table,
    accuracy: np.ndarray,
    chance: float,
    law: str = "chinchilla",
    *,
    level: float = 0.9,
    bootstrap: int = 300,
    seed: int = 0,
) -> Downstream:
    """Fit both steps, resampled together.

    Args:
        table: runs whose `loss` is the task's loss.
        accuracy: of each run, between 0 and 1, shape (n,).
        chance: accuracy of guessing, such as 0.25 where one of four answers is right.
        law: of the task's loss in size and tokens.
        level, bootstrap, seed: as `analysis.fit.fit` takes them.

    Raises:
        BadValue: an accuracy or the chance is no share.
        TooFewPoints: fewer than 6 runs.
        NotIdentified: the task's noise drowns its signal, or accuracy does not rise as its loss falls.
        Refusal: the law of the task's loss is refused.
    """
    accuracy = np.asarray(accuracy, dtype=float)
    if not 0 <= chance < 1:
        raise BadValue(f"chance={chance:g}: the accuracy of guessing lies from 0 to below 1, such as 0.25")
    wrong = ~((accuracy >= 0) & (accuracy <= 1))
    if wrong.any():
        raise BadValue(
            f"accuracy {accuracy[wrong][0]:g}: must lie between 0 and 1; per cent are to be divided by 100"
        )
    if len(accuracy) < LEAST_RUNS:
        raise TooFewPoints(f"{len(accuracy)} runs: accuracy from task loss needs {LEAST_RUNS} or more")
    losses = table.frame["loss"].to_numpy(dtype=float)
    theta = best_sigmoid(losses, accuracy, chance, np.ones(len(losses)), starts_of(losses, accuracy, chance))
    fitted = sigmoid(theta, losses, chance)
    scatter = float(np.sqrt(np.sum((accuracy - fitted) ** 2) / (len(losses) - len(theta))))
    signal = float(np.ptp(fitted))
    ratio = signal / scatter if scatter > 0 else float("inf")
    if not ratio >= LEAST_SIGNAL:
        raise NotIdentified(
            f"the task's noise drowns its signal: over these runs its accuracy rises by {signal:.3f} and a run "
            f"scatters by {scatter:.3f}, a ratio of {ratio:.2g} where {LEAST_SIGNAL:g} is needed; use larger runs, "
            "more questions, or the task's loss alone"
        )
    result = fit(table, law, bootstrap=0, level=level, seed=seed)
    draws = np.empty((0, len(theta)))
    if bootstrap and result.clusters - len(result.theta) >= SPARE_CLUSTERS:
        points = result.points
        cluster = points["cluster"].to_numpy() if "cluster" in points else np.arange(len(points))
        weights = resample_weights(cluster, bootstrap, seed)
        of_law = refit(result.problem, result.theta, column_or_ones(points, "weight") * weights).theta
        draws = np.array([best_sigmoid(losses, accuracy, chance, row, [theta]) for row in weights])
        sound = np.isfinite(of_law).all(axis=1) & np.isfinite(draws).all(axis=1)
        result, draws = replace(result, draws=of_law[sound]), draws[sound]
    return Downstream(result, chance, theta, draws, ratio, scatter, level)


def starts_of(losses: np.ndarray, accuracy: np.ndarray, chance: float) -> list[np.ndarray]:
    """Starting values: several middles, slopes and ceilings."""
    spread = float(np.ptp(losses)) or 1.0
    top = np.clip((accuracy.max() - chance) / (1 - chance), 0.05, 0.95)
    heights = {float(top), float(np.sqrt(top))}
    return [
        np.array([np.log(height / (1 - height)), np.log(steep / spread), middle])
        for height in sorted(heights)
        for steep in (2.0, 6.0)
        for middle in np.quantile(losses, [0.0, 0.3, 0.7])
    ]


def best_sigmoid(
    losses: np.ndarray, accuracy: np.ndarray, chance: float, weights: np.ndarray, starts: list[np.ndarray]
) -> np.ndarray:
    """Least squares from the best start; a ceiling from chance to 1, and a slope of at least nearly nothing."""
    root, spread = np.sqrt(weights), float(np.ptp(losses)) or 1.0
    low = np.array([-6.0, np.log(0.1 / spread), losses.min() - 3 * spread])
    high = np.array([8.0, np.log(100.0 / spread), losses.max() + 3 * spread])
    found = [
        least_squares(
            lambda theta: root * (sigmoid(theta, losses, chance) - accuracy),
            np.clip(start, low + 1e-6, high - 1e-6),
            bounds=(low, high),
            x_scale=np.array([1.0, 1.0, spread]),
        )
        for start in starts
    ]
    return np.asarray(min(found, key=lambda each: float(each.cost)).x)
