"""Which law to believe beyond the runs, and what it says of runs that were not trained."""

import numpy as np
import pandas as pd

from analysis import laws
from analysis.forecast import Forecaster
from analysis.formats import compute, count, percent, span
from analysis.predictions import Predictions
from analysis.sections.section import Section, refused_section
from analysis.study import Refused, Study

MOST_ROWS = 50
"""Predictions shown in a report; study.json and --json have all."""


def choice_section(study: Study) -> Section:
    """The laws that read the same columns: what they leave unexplained, how they foretold, how much each counts."""
    title = "Which law"
    known = study.laws
    if isinstance(known, Refused):
        return refused_section(title, known)
    choice = known.choice
    rows = tuple(
        (
            str(r["law"]),
            str(r["parameters"]),
            f"{r['delta_aicc']:.1f}",
            percent(r["rollout_error"]) if np.isfinite(r["rollout_error"]) else "not tried",
            f"{r['weight']:.2f}",
        )
        for r in choice_frame(known).to_dict("records")
        if r["law"] in known.fits
    )
    words = [
        "ΔAICc counts against a law on all runs (0 is best; above 10 there is hardly support). The rollout error is "
        f"the root mean square error on runs of more compute than was fitted, over {choice.trials} cuts: it is what "
        "counts for extrapolation, and the weights are those of the combination of laws that would have missed least."
        if choice.trials
        else f"Too few runs to weigh laws by how they foretell: {choice.best} stands alone."
    ]
    words += [f"{law} is not weighed: {reason}." for law, reason in choice.refused.items()]
    words += planned_loss(study, known)
    return Section(title, ("law", "parameters", "ΔAICc", "rollout error", "weight"), rows, tuple(words))


def planned_loss(study: Study, known: Forecaster) -> list[str]:
    """What the weighted laws, and each alone, say of the planned run; nothing where there is no plan."""
    if isinstance(study.plan, Refused):
        return []
    planned = study.plan.iloc[[-1]][["params", "tokens", "flops"]]
    told = known.predict(planned, study.level)
    each = ", ".join(f"{law} {loss[0]:.4f}" for law, loss in told.by_law.items())
    low, high = float(told.low[0]), float(told.high[0])
    size, tokens = count(planned["params"].iloc[0]), count(planned["tokens"].iloc[0])
    return [
        f"The planned run of {size} parameters on {tokens} tokens ({compute(study.target_flops)} FLOPs) would lose "
        f"{told.loss[0]:.4f} ({study.level:.0%} interval {span(low, high, lambda value: f'{value:.4f}')}); alone say "
        f"{each}."
    ]


def choice_frame(known: Forecaster) -> pd.DataFrame:
    """One row for each law: parameters, AICc, rollout error, weight, and why it was not weighed."""
    choice = known.choice
    aicc = {name: result.aicc for name, result in known.fits.items()}
    least = min(aicc.values())
    rows = [
        {
            "law": name,
            "parameters": len(laws.get(name).parameters),
            "aicc": aicc.get(name, np.nan),
            "delta_aicc": aicc.get(name, np.nan) - least,
            "rollout_error": choice.errors.get(name, np.nan),
            "weight": choice.weights.get(name, 0.0),
            "refused": choice.refused.get(name, ""),
        }
        for name in dict.fromkeys([*choice.weights, *known.fits, *choice.refused])
    ]
    return pd.DataFrame(rows)


def predictions_section(predicted: Predictions | Refused) -> Section:
    """The runs of another table, each with its prediction, interval and what every law says alone."""
    title = "Predictions"
    if isinstance(predicted, Refused):
        return refused_section(title, predicted)
    told, rows = predicted.forecast, []
    for i, run in enumerate(predicted.rows.head(MOST_ROWS).to_dict("records")):
        cells = (
            [count(run["params"]), count(run["tokens"])]
            if {"params", "tokens"} <= run.keys()
            else [str(i + 1)]
        )
        cells += [f"{told.loss[i]:.4f}", span(told.low[i], told.high[i], lambda value: f"{value:.4f}")]
        cells += [f"{np.exp(told.distance[i]):.3g}×"]
        cells += [f"{loss[i]:.4f}" for loss in told.by_law.values()]
        if predicted.known.any():
            shown = predicted.known[i]
            cells += (
                [f"{predicted.observed[i]:.4f}", f"{100 * predicted.errors[i]:+.2f} %"] if shown else ["", ""]
            )
        rows.append(tuple(cells))
    named = ("params", "tokens") if {"params", "tokens"} <= set(predicted.rows.columns) else ("row",)
    header = (*named, "loss", f"{told.level:.0%} interval", "compute", *told.by_law)
    words = [
        "Compute is over the largest fitted run's (1× is inside). Intervals hold the scatter of the runs, the laws' "
        "disagreement, and how far the laws missed when compute was held back, growing with the distance."
    ]
    if predicted.known.any():
        header += ("observed", "error")
        words.append(
            f"{int(predicted.known.sum())} rows have a loss: mean error {percent(predicted.mean_error)}, "
            f"{percent(predicted.covered, 0)} of them inside their {told.level:.0%} intervals."
        )
    more = len(predicted.rows) - MOST_ROWS
    if more > 0:
        words.append(f"{more} more rows are in study.json.")
    return Section(title, header, tuple(rows), tuple(words))
