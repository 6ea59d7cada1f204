"""What the choice of optimizer does to a fitted law: one study trained with Muon and with AdamW, each by its own rule.

Sizes, budgets, seeds, schedule, batches and text are the same; only the optimizer, and with it the rule for its
learning rate, differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from budget_rows import Row
from study_isoflop import StudyDesign, run_study, study
from study_runs import markdown_table, records_of, say

from analysis.fit import fit
from analysis.isoflop import Valleys, valleys
from analysis.refusals import Refusal
from analysis.result import FitResult
from analysis.table import load
from analysis.uncertainty import interval

OPTIMIZERS = ("muon", "adamw")
NAMES = {"muon": "Muon", "adamw": "AdamW"}
LEVEL = 0.9
BOOTSTRAP = 1000


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """One optimizer's runs and what they say."""

    runs: pd.DataFrame
    law: FitResult
    valleys: Valleys


def optimizers(folder: Path, design: StudyDesign) -> tuple[list[Row], str]:
    """The row of the optimizers, and their laws side by side as Markdown."""
    for seed in range(design.seeds):
        for optimizer in OPTIMIZERS:
            say(f"{optimizer}, seed {seed}: {run_study(study(folder, design, optimizer, seed)):.0f} s")
    try:
        fitted = {optimizer: fitted_to(records_of(folder / optimizer)) for optimizer in OPTIMIZERS}
    except Refusal as reason:
        row = Row(quantity="exponent a by optimizer", against="Muon and AdamW, same study", reached=str(reason),
                  asked="both fitted", ok=False)  # fmt: skip
        return [row], f"### Muon or AdamW\n\nNot fitted: {reason}\n"
    described = {optimizer: quantities(fitted[optimizer], design.max_flops) for optimizer in OPTIMIZERS}
    differences = law_differences(fitted["muon"].law, fitted["adamw"].law)
    lines = [
        [name, *(described[optimizer][name] for optimizer in OPTIMIZERS), differences.get(name, "")]
        for name in described["muon"]
    ]
    lower = loss_advantage(fitted["muon"].runs, fitted["adamw"].runs)
    row = Row(
        quantity="exponent a of N_opt ∝ C^a",
        against="Muon and AdamW, same study",
        reached=" and ".join(described[optimizer]["a, by the law"] for optimizer in OPTIMIZERS),
        asked="both fitted",
        ok=True,
    )
    count, seeds = len(fitted["muon"].runs), design.seeds
    heading = (
        f"### Muon or AdamW\n\n{count} runs with each ({count // seeds} of {seeds} seeds), {design.min_flops:.2g} to "
        f"{design.max_flops:.2g} FLOPs; loss = E + A / N^alpha + B / D^beta, N_opt ∝ C^a. Intervals are of "
        f"{LEVEL:.0%}. Muon's loss is lower by {lower[0]:.3f} ± {lower[1]:.3f} nats at the smallest budget and by "
        f"{lower[2]:.3f} ± {lower[3]:.3f} at the largest (mean over its sizes, standard error over sizes "
        "and seeds).\n\n"
    )
    header = ["", *(NAMES[optimizer] for optimizer in OPTIMIZERS), "Muon − AdamW"]
    return [row], heading + markdown_table(header, lines)


def fitted_to(runs: pd.DataFrame) -> Fitted:
    """The law and the valleys of one optimizer's runs."""
    table = load(runs)
    return Fitted(
        runs=runs, law=fit(table, level=LEVEL, bootstrap=BOOTSTRAP), valleys=valleys(table, level=LEVEL)
    )


def quantities(fitted: Fitted, flops: float) -> dict[str, str]:
    """Each fitted quantity with its interval, as text."""
    law, minima = fitted.law, fitted.valleys
    names = ("E", "alpha", "beta", "a")
    found = {
        ("a, by the law" if name == "a" else name): _text(
            {**law.parameters, **law.exponents}[name], *law.intervals[name]
        )
        for name in names
    }
    line = minima.params_law
    found["a, by the valleys"] = (
        f"not estimated: {minima.law_refused}"
        if line is None
        else _text(line.exponent, *line.exponent_interval)
    )
    best = law.optimal([flops, 10 * flops])
    for i, budget in enumerate((flops, 10 * flops)):
        row = best.iloc[i]
        label = f"N_opt at {budget:.2g} FLOPs, by the law"
        found[label] = _text(row["params"], row["params_low"], row["params_high"], "{:,.0f}")
    valley = next((v for v in minima.valleys if np.isclose(v.budget_flops, flops)), None)
    found[f"N_opt at {flops:.2g} FLOPs, by the valley"] = (
        "no minimum" if valley is None else _text(valley.params_opt, *valley.params_interval, "{:,.0f}")
    )
    row = best.iloc[0]
    found[f"lowest loss at {flops:.2g} FLOPs, nats"] = _text(row["loss"], row["loss_low"], row["loss_high"])
    return found


def law_differences(first: FitResult, second: FitResult) -> dict[str, str]:
    """First minus second for each exponent, with the interval of the difference of independent bootstrap draws."""
    count = min(len(first.draws), len(second.draws))
    result = {}
    for name in ("E", "alpha", "beta", "a"):
        values = [{**law.parameters, **law.exponents}[name] for law in (first, second)]
        draws = [law.derived_draws[name].to_numpy()[:count] for law in (first, second)]
        freedom, clusters = first.clusters - len(first.theta), first.clusters
        low, high = interval((draws[0] - draws[1])[:, None], LEVEL, freedom, clusters)[:, 0]
        result["a, by the law" if name == "a" else name] = _text(values[0] - values[1], low, high, "{:+.3f}")
    return result


def loss_advantage(first: pd.DataFrame, second: pd.DataFrame) -> tuple[float, float, float, float]:
    """How much lower the first's losses are, with standard error, at the smallest and at the largest budget."""
    keys = ["budget_flops", "params_total", "seed"]
    both = first.merge(second, on=keys, suffixes=("_first", "_second"), validate="one_to_one")
    both["lower"] = both["loss_nats_second"].astype(float) - both["loss_nats_first"].astype(float)
    by_budget = both.groupby("budget_flops")["lower"].agg(["mean", "sem"])
    (small, small_error), (large, large_error) = by_budget.iloc[[0, -1]].to_numpy()
    return float(small), float(small_error), float(large), float(large_error)


def _text(value: float, low: float, high: float, form: str = "{:.3f}") -> str:
    if not np.isfinite([low, high]).all():
        return f"{form.format(value)} [not bounded by these runs]"
    return f"{form.format(value)} [{form.format(low)}, {form.format(high)}]"
