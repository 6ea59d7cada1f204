"""Would the law have foretold the largest runs? They are held back from the fit, and predicted from the others."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np
import pandas as pd

from analysis import laws
from analysis.fit import LEVEL, FitOptions, fit, near
from analysis.isoflop import valleys
from analysis.refusals import Refusal, TooFewPoints
from analysis.result import FitResult
from analysis.table import Table

FREE_AND_TIED = ("chinchilla", "gadre")
"""Chinchilla's law with two free exponents and with tied ones: between them lies what is not known of the law."""
INNER_SHARE = 0.65
"""Share of the fitted runs, by compute, from which the largest of them are predicted as a trial."""
MIN_HELD = 3
"""Fewest runs over which an error is reported."""


@dataclass(frozen=True)
class HeldBack:
    """The largest compute, predicted from the rest.

    Attributes:
        cut_flops: runs above it were held back.
        fitted: how many runs were fitted.
        runs: the held-back runs: `params`, `tokens`, `flops`, `loss`, `predicted`, `low`, `high`, `error`
            (predicted / loss − 1).
        mean_error, bias: mean |error| and mean error.
        covered: share of held-back losses inside their intervals; NaN where intervals were not estimated.
        stretch: factor by which the intervals were widened beyond the bootstrap's own; see `needed_stretch`.
        level: probability of the intervals.
        optimum: for an IsoFLOP budget, one row for each `source` of its optimum: its own runs (or why they show none,
            `refused`), and what the smaller budgets foretell.
        law: name of the law.
    """

    cut_flops: float
    fitted: int
    runs: pd.DataFrame
    mean_error: float
    bias: float
    covered: float
    stretch: float
    level: float
    optimum: pd.DataFrame
    law: str


def predict_above(
    table: Table,
    cut_flops: float,
    law: str = "chinchilla",
    objective: str = "huber_log",
    **options: Unpack[FitOptions],
) -> HeldBack:
    """Fit the runs up to `cut_flops` and predict the rest.

    Raises:
        TooFewPoints: fewer than 3 runs above the cut; or what `fit` raises for the runs below it.
    """
    below = (table.frame["flops"] <= cut_flops).to_numpy()
    return predict_held(table, below, cut_flops, law, objective, **options)


def predict_held(
    table: Table,
    fitted: np.ndarray,
    cut_flops: float,
    law: str,
    objective: str,
    **options: Unpack[FitOptions],
) -> HeldBack:
    """Fit the rows that a mask selects, shape (n,), and predict the others.

    Raises:
        TooFewPoints: fewer than 3 runs are held back; or what `fit` raises for the others.
    """
    return _fit_and_predict(table, fitted, cut_flops, law, objective, options)[0]


def _fit_and_predict(
    table: Table, fitted: np.ndarray, cut_flops: float, law: str, objective: str, options: FitOptions
) -> tuple[HeldBack, FitResult]:
    """What `predict_held` gives, and the fit that predicted."""
    if (~fitted).sum() < MIN_HELD:
        raise TooFewPoints(
            f"{(~fitted).sum()} runs above {cut_flops:.3g} FLOPs: predicting fewer than {MIN_HELD} says little"
        )
    below = table.select(fitted)
    result = fit(below, law, objective, **options)
    stretch = needed_stretch(below, law, objective, **near(result, options))
    runs = predicted_runs(result, below, table.select(~fitted), stretch, options)
    inside = (runs["loss"] >= runs["low"]) & (runs["loss"] <= runs["high"])
    held = HeldBack(
        cut_flops=cut_flops,
        fitted=int(fitted.sum()),
        runs=runs,
        mean_error=float(runs["error"].abs().mean()),
        bias=float(runs["error"].mean()),
        covered=float(inside.mean()) if runs["low"].notna().all() else float("nan"),
        stretch=stretch,
        level=options.get("level", LEVEL),
        optimum=pd.DataFrame(),
        law=law,
    )
    return held, result


def predicted_runs(
    result: FitResult, below: Table, held: Table, stretch: float, options: FitOptions
) -> pd.DataFrame:
    """Held-back runs beside what the fit of the others predicts, with intervals `stretch` times the bootstrap's."""
    law, objective = result.law, result.objective_name
    needed = {name: held.frame[name].to_numpy() for name in laws.get(law).variables}
    predicted = result.predict(**needed, runs=True)
    runs = held.frame[["params", "tokens", "flops", "loss"]].reset_index(drop=True)
    loss = predicted["loss"]
    lowest, highest = other_laws(below, held, loss.to_numpy(), law, objective, options)
    return runs.assign(
        predicted=loss,
        low=loss * (predicted["loss_low"] / loss) ** stretch * lowest,
        high=loss * (predicted["loss_high"] / loss) ** stretch * highest,
        error=loss / runs["loss"] - 1,
    )


def other_laws(
    below: Table, held: Table, loss: np.ndarray, law: str, objective: str, options: FitOptions
) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest prediction of any law in FREE_AND_TIED, over that of the fitted law, each shape (m,).

    Args:
        below, held: the fitted and the held-back runs.
        loss: what the fitted law predicts for the held-back runs, shape (m,).
        law, objective, options: as they were fitted.
    """
    predictions = [np.ones(len(loss))]
    if law in FREE_AND_TIED and options.get("bootstrap") != 0:
        for rival in (name for name in FREE_AND_TIED if name != law):
            try:
                other = fit(below, rival, objective, bootstrap=0)
            except Refusal:
                continue
            x = {name: held.frame[name].to_numpy() for name in laws.get(rival).variables}
            predictions.append(other.predict(**x, runs=False)["loss"].to_numpy() / loss)
    return np.min(predictions, axis=0), np.max(predictions, axis=0)


def needed_stretch(
    table: Table, law: str = "chinchilla", objective: str = "huber_log", **options: Unpack[FitOptions]
) -> float:
    """Factor, at least 1, by which bootstrap intervals must be widened to hold runs beyond the fitted compute.

    The bootstrap knows the noise of the runs but not that a law bends. So the table's own largest runs are predicted
    from the smaller ones, and the intervals there are stretched about the prediction until they hold `level` of the
    losses (split-conformal prediction, with compute for order). 1 where the runs are too few to tell.
    """
    flops = table.frame["flops"]
    seen = (flops <= cut_at(flops, INNER_SHARE)).to_numpy()
    if (~seen).sum() < MIN_HELD or options.get("bootstrap") == 0:
        return 1.0
    try:
        inner = table.select(seen)
        result = fit(inner, law, objective, **options)
        runs = predicted_runs(result, inner, table.select(~seen), 1.0, options)
    except Refusal:
        return 1.0
    if runs["low"].isna().any():
        return 1.0
    miss = np.log(runs["loss"] / runs["predicted"])
    edge = np.where(
        miss > 0, np.log(runs["high"] / runs["predicted"]), np.log(runs["low"] / runs["predicted"])
    )
    level = options.get("level", LEVEL)
    return max(1.0, float(np.quantile(miss / edge, level)))


def hold_back_largest(
    table: Table, law: str = "chinchilla", objective: str = "huber_log", **options: Unpack[FitOptions]
) -> HeldBack:
    """Predict the largest IsoFLOP budget, its losses and its optimum, from the smaller ones.

    Without budgets the tenth of the runs with the most compute takes its place.

    Raises:
        Refusal: too few runs on either side.
    """
    budget = table.frame["budget"]
    if budget.notna().any():
        largest = float(budget.max())
        top = (budget == largest).to_numpy()
        fitted = ~top & (table.frame["flops"] < table.frame.loc[top, "flops"].min()).to_numpy()
        # Runs of no budget that spent as much are neither fitted nor predicted.
        inside = table.select(fitted | top)
        mask = (inside.frame["budget"] != largest).to_numpy()
        cut = float(inside.frame.loc[mask, "flops"].max())
        held, result = _fit_and_predict(inside, mask, cut, law, objective, options)
        return replace(held, optimum=foretold_optimum(inside, mask, largest, result))
    cut = float(table.frame["flops"].quantile(0.9))
    return predict_above(table, cut, law, objective, **options)


def foretold_optimum(table: Table, fitted: np.ndarray, largest: float, result: FitResult) -> pd.DataFrame:
    """The largest budget's own optimum beside the line through the smaller valleys and the law fitted on their runs."""
    rows: list[dict[str, float | str]] = []
    with suppress(Refusal):  # without valleys to compare, the law's optimum below still stands
        whole = valleys(table)  # its runs are brought to their exact budget by what all budgets show
        rows += [
            {
                "source": "its own runs",
                "params": valley.params_opt,
                "params_low": valley.params_interval[0],
                "params_high": valley.params_interval[1],
                "loss": valley.loss_opt,
            }
            for valley in whole.valleys
            if valley.budget_flops == largest
        ]
        rows += [
            {"source": "its own runs", "refused": valley.reason}
            for valley in whole.refused
            if valley.budget_flops == largest
        ]
        line = valleys(table.select(fitted)).params_law
        if line is not None:
            low, high = line.interval(largest)
            rows.append(
                {
                    "source": "smaller valleys",
                    "params": float(line.predict(largest)),
                    "params_low": float(low),
                    "params_high": float(high),
                }
            )
    if result.exponents:
        best = result.optimal(largest).iloc[0]
        rows.append(
            {
                "source": "law on smaller budgets",
                "params": float(best["params"]),
                "params_low": float(best["params_low"]),
                "params_high": float(best["params_high"]),
                "loss": float(best["loss"]),
            }
        )
    return pd.DataFrame(rows)


def cut_at(flops: pd.Series, share: float) -> float:
    """A cut that leaves about this share of the runs below it, and no runs of nearly equal compute on either side."""
    return float(flops.quantile(share, interpolation="lower")) * 1.02
