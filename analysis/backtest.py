"""Would the law have foretold the large runs? Fit below a compute cut, predict above it, and say the error."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import laws
from analysis.combine import combined_error
from analysis.fit import fit
from analysis.isoflop import valleys
from analysis.refusals import Refusal, TooFewPoints
from analysis.table import Table

RIVALS = ("chinchilla", "gadre")  # free and tied exponents: what is not known of the law itself
INNER_SHARE = 0.65  # of the fitted runs, by compute, that the inner fit of `needed_stretch` sees
MIN_HELD = 3  # an error over fewer runs says little
DEFAULT_SHARES = (0.5, 0.65, 0.8)  # default cuts leave these shares of the runs for fitting


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
        stretch: how many times wider than the noise of the runs asks these intervals are; see `needed_stretch`.
        level: probability of the intervals.
        optimum: for an IsoFLOP budget its own optimum beside those that the smaller budgets foretell, one row a source.
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
    table: Table, cut_flops: float, law: str = "chinchilla", objective: str = "huber_log", **options: object
) -> HeldBack:
    """Fit the runs up to `cut_flops` and predict the rest.

    Raises:
        TooFewPoints: fewer than 3 runs above the cut; or what `fit` raises for the runs below it.
    """
    below = (table.frame["flops"] <= cut_flops).to_numpy()
    return predict_held(table, below, cut_flops, law, objective, **options)


def predict_held(
    table: Table, fitted: np.ndarray, cut_flops: float, law: str, objective: str, **options: object
) -> HeldBack:
    """Fit the rows of a mask and predict the others."""
    if (~fitted).sum() < MIN_HELD:
        raise TooFewPoints(
            f"{(~fitted).sum()} runs above {cut_flops:.3g} FLOPs: predicting fewer than {MIN_HELD} says little"
        )
    below = table.select(fitted)
    stretch = needed_stretch(below, law, objective, **options)
    runs = predicted_runs(below, table.select(~fitted), law, objective, stretch, **options)
    inside = (runs["loss"] >= runs["low"]) & (runs["loss"] <= runs["high"])
    return HeldBack(
        cut_flops=cut_flops,
        fitted=int(fitted.sum()),
        runs=runs,
        mean_error=float(runs["error"].abs().mean()),
        bias=float(runs["error"].mean()),
        covered=float(inside.mean()) if runs["low"].notna().all() else float("nan"),
        stretch=stretch,
        level=float(options.get("level", 0.9)),  # type: ignore[arg-type]
        optimum=pd.DataFrame(),
        law=law,
    )


def predicted_runs(
    below: Table, held: Table, law: str, objective: str, stretch: float, **options: object
) -> pd.DataFrame:
    """Held-back runs beside what a fit of the others predicts, with intervals `stretch` times the bootstrap's."""
    result = fit(below, law, objective, **options)  # type: ignore[arg-type]
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
    below: Table, held: Table, loss: np.ndarray, law: str, objective: str, options: Mapping[str, object]
) -> tuple[np.ndarray, np.ndarray]:
    """How far below and above a prediction, as factors, those lie of the other laws in RIVALS."""
    predictions = [np.ones(len(loss))]
    if law in RIVALS and options.get("bootstrap") != 0:
        for rival in (name for name in RIVALS if name != law):
            try:
                other = fit(below, rival, objective, bootstrap=0)
            except Refusal:
                continue
            x = {name: held.frame[name].to_numpy() for name in laws.get(rival).variables}
            predictions.append(other.predict(**x, runs=False)["loss"].to_numpy() / loss)
    return np.min(predictions, axis=0), np.max(predictions, axis=0)


def needed_stretch(
    table: Table, law: str = "chinchilla", objective: str = "huber_log", **options: object
) -> float:
    """How much wider than the bootstrap's, at least 1, intervals must be to hold what lies beyond the fitted compute.

    The bootstrap knows the noise of the runs but not that a law bends. So the table's own largest runs are predicted
    from the smaller ones, and the intervals there are stretched about the prediction until they hold `level` of the
    losses (split-conformal prediction, with compute for order). 1 where the runs are too few to tell.
    """
    flops = table.frame["flops"]
    seen = (flops <= cut_at(flops, INNER_SHARE)).to_numpy()
    if (~seen).sum() < MIN_HELD or options.get("bootstrap") == 0:
        return 1.0
    try:
        runs = predicted_runs(table.select(seen), table.select(~seen), law, objective, 1.0, **options)
    except Refusal:
        return 1.0
    if runs["low"].isna().any():
        return 1.0
    miss = np.log(runs["loss"] / runs["predicted"])
    edge = np.where(
        miss > 0, np.log(runs["high"] / runs["predicted"]), np.log(runs["low"] / runs["predicted"])
    )
    level = float(options.get("level", 0.9))  # type: ignore[arg-type]
    return max(1.0, float(np.quantile(miss / edge, level)))


def hold_back_largest(
    table: Table, law: str = "chinchilla", objective: str = "huber_log", **options: object
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
        held = predict_held(
            inside, mask, float(inside.frame.loc[mask, "flops"].max()), law, objective, **options
        )
        return HeldBack(
            **{**held.__dict__, "optimum": foretold_optimum(inside, mask, largest, law, objective, **options)}
        )
    cut = float(table.frame["flops"].quantile(0.9))
    return predict_above(table, cut, law, objective, **options)


def foretold_optimum(
    table: Table, fitted: np.ndarray, largest: float, law: str, objective: str, **options: object
) -> pd.DataFrame:
    """The largest budget's own optimum beside the line through the smaller valleys and the law fitted on their runs."""
    rows: list[dict[str, float | str]] = []
    with suppress(Refusal):  # without valleys to compare, the law's optimum below still stands
        own = valleys(table.select(~fitted))
        rows += [
            {
                "source": "its own runs",
                "params": valley.params_opt,
                "params_low": valley.params_interval[0],
                "params_high": valley.params_interval[1],
                "loss": valley.loss_opt,
            }
            for valley in own.valleys
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
    result = fit(table.select(fitted), law, objective, **options)  # type: ignore[arg-type]
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


def default_cuts(table: Table) -> list[float]:
    """Between the largest budgets, where runs have some; else where 50, 65 and 80 % of the runs lie below."""
    frame = table.frame
    tops = frame.groupby("budget")["flops"].max().sort_values()
    if len(tops) > len(DEFAULT_SHARES) and frame["budget"].notna().all():
        return (tops.iloc[-1 - len(DEFAULT_SHARES) : -1] * 1.001).tolist()
    return [cut for share in DEFAULT_SHARES if (cut := cut_at(frame["flops"], share)) < frame["flops"].max()]


def backtest(
    table: Table,
    cuts: Sequence[float] | None = None,
    law: str = "chinchilla",
    objective: str = "huber_log",
    **options: object,
) -> pd.DataFrame:
    """Error of predicting above each compute cut from below it.

    Args:
        table: runs.
        cuts: FLOPs; by default see `default_cuts`.
        law, objective: as `fit` takes them.
        options: passed to `fit`.

    Returns:
        One row a cut: `cut_flops`, `fitted`, `held`, `reach` (largest compute over the cut), `mean_error`, `bias`,
        `worst_error`, `covered`, `stretch`, `combined_error` (mean error of the laws of `analysis.combine`), and
        `refused` with the reason where a cut could not be tried.
    """
    flops = table.frame["flops"]
    if cuts is None:
        cuts = sorted(set(default_cuts(table)))
    rows: list[dict[str, float | int | str]] = []
    for cut in cuts:
        try:
            held = predict_above(table, cut, law, objective, **options)
        except Refusal as reason:
            rows.append(
                {
                    "cut_flops": cut,
                    "fitted": int((flops <= cut).sum()),
                    "held": int((flops > cut).sum()),
                    "refused": str(reason),
                }
            )
            continue
        rows.append(
            {
                "cut_flops": cut,
                "fitted": held.fitted,
                "held": len(held.runs),
                "reach": float(flops.max() / cut),
                "mean_error": held.mean_error,
                "bias": held.bias,
                "worst_error": float(held.runs["error"].abs().max()),
                "covered": held.covered,
                "stretch": held.stretch,
                "combined_error": combined_error(table, cut, objective),
                "refused": "",
            }
        )
    return pd.DataFrame(rows)


def choose_law(
    table: Table, names: Iterable[str], objective: str = "huber_log", cut_flops: float | None = None
) -> pd.DataFrame:
    """Laws beside each other by AICc on all runs and by error on the runs above a compute cut.

    Args:
        table: runs.
        names: laws to try; one that the table cannot support is listed with the reason.
        objective: the same for all, since AICc compares only within one.
        cut_flops: by default the one that leaves 65 % of the runs for fitting.

    Returns:
        One row a law, best held-out error first: `law`, `parameters`, `aicc`, `delta_aicc`, `held_out_error`,
        `refused`.
    """
    if cut_flops is None:
        cut_flops = cut_at(table.frame["flops"], 0.65)
    rows: list[dict[str, float | int | str]] = []
    for name in names:
        row: dict[str, float | int | str] = {
            "law": name,
            "parameters": len(laws.get(name).parameters),
            "refused": "",
        }
        try:
            row["aicc"] = fit(table, name, objective, bootstrap=0).aicc
            row["held_out_error"] = predict_above(table, cut_flops, name, objective, bootstrap=0).mean_error
        except Refusal as reason:
            row["refused"] = str(reason)
        rows.append(row)
    frame = pd.DataFrame(
        rows, columns=["law", "parameters", "aicc", "delta_aicc", "held_out_error", "refused"]
    )
    frame["delta_aicc"] = frame["aicc"] - frame["aicc"].min()
    return frame.sort_values("held_out_error", ignore_index=True)
