"""Several laws predict as one: a forecast that leans on each by how well it predicted compute held back from it.

Bates & Granger (1969, "The Combination of Forecasts") weigh forecasts by the inverse of their squared past errors. A
law with free exponents bends to the runs below a cut, one with tied exponents resists; neither is better at every
cut, and their average is steadier than either.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.fit import fit
from analysis.refusals import Refusal, TooFewPoints
from analysis.result import FitResult
from analysis.table import Table

FREE_AND_TIED = ("chinchilla", "gadre")
"""Chinchilla's law with two free exponents and with tied ones: between them lies what is not known of the law."""
INNER_SHARE = 0.65
"""Share of the fitted runs, by compute, from which the largest of them are predicted as a trial."""
FLOOR = 1e-6
"""Error below which a law counts as exact."""


@dataclass(frozen=True)
class Combination:
    """Laws fitted to the same runs and their weights, which sum to 1."""

    fits: tuple[FitResult, ...]
    weights: tuple[float, ...]

    def predict(self, params: ArrayLike, tokens: ArrayLike) -> NDArray[np.floating]:
        """Weighted geometric mean of the laws' losses."""
        logs = [np.log(result.predict(params, tokens)["loss"].to_numpy()) for result in self.fits]
        return np.exp(np.average(logs, axis=0, weights=self.weights))


def combine(table: Table, names: Sequence[str] = FREE_AND_TIED, objective: str = "huber_log") -> Combination:
    """Fit each law to all runs of the table and weigh it by its error on the table's own largest runs.

    Weights come from the runs given here alone: to backtest a combination, give it only the runs below the cut.

    Args:
        table: runs.
        names: laws of parameters and tokens.
        objective: as `fit` takes it.

    Raises:
        TooFewPoints: no run is larger than the inner cut; or what `fit` raises.
    """
    flops = table.frame["flops"]
    seen = (flops <= float(flops.quantile(INNER_SHARE)) * 1.01).to_numpy()
    if seen.all():
        raise TooFewPoints("all runs have about the same compute: nothing to weigh laws by")
    held = table.frame[~seen]
    fits, squares = [], []
    for name in names:
        inner = fit(table.select(seen), name, objective, bootstrap=0)
        predicted = inner.predict(held["params"].to_numpy(), held["tokens"].to_numpy())["loss"].to_numpy()
        squares.append(max(float(np.mean(np.abs(predicted / held["loss"].to_numpy() - 1))), FLOOR) ** 2)
        fits.append(fit(table, name, objective, bootstrap=0))
    inverse = 1 / np.array(squares)
    return Combination(tuple(fits), tuple((inverse / inverse.sum()).tolist()))


def combined_error(table: Table, cut_flops: float, objective: str = "huber_log") -> float:
    """Mean |predicted / loss − 1| above a cut, by the combination of laws fitted below it; NaN where it is refused."""
    below = (table.frame["flops"] <= cut_flops).to_numpy()
    held = table.frame[~below]
    try:
        both = combine(table.select(below), objective=objective)
    except Refusal:
        return float("nan")
    predicted = both.predict(held["params"].to_numpy(), held["tokens"].to_numpy())
    return float(np.mean(np.abs(predicted / held["loss"].to_numpy() - 1)))
