"""Everything a table of runs can tell, in one call: each part is a result, or the reason why there is none."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from os import PathLike
from typing import TypeVar

import numpy as np
import pandas as pd

from analysis import laws
from analysis.approaches import Comparison, compare
from analysis.backtest import backtest
from analysis.fit import LEVEL, FitOptions, fit, near
from analysis.forecast import Forecaster, forecaster
from analysis.frontier import Envelope, envelope
from analysis.held_back import HeldBack, hold_back_largest
from analysis.isoflop import Valleys, valleys
from analysis.outliers import Outliers, outliers
from analysis.predictions import Predictions, predict_rows
from analysis.refusals import BadColumn, BadValue, Refusal
from analysis.regret import Regret, regret_of_fit, regret_of_valleys
from analysis.result import FitResult
from analysis.table import Table, best_at_each, load

PLAN_FACTOR = 10
"""A study plans for this many times its largest compute, where no target is named."""

TRIED_ROWS = 2_000
"""Runs on which the fit is tested by holding some back: each of a dozen tests fits again, and errors of a few per cent
show on fewer."""

T = TypeVar("T")


@dataclass(frozen=True)
class Refused:
    """A part of a study that its runs cannot support, and why."""

    kind: str
    reason: str


@dataclass(frozen=True)
class Study:
    """What a table of runs tells.

    Attributes:
        table: the runs.
        level: probability of every interval.
        largest_flops: the largest budget (where runs have none: the largest run).
        target_flops: the budget that the plan is for, 10 times the largest where none was asked for.
        fit: the parametric law.
        valleys, akima: the IsoFLOP valleys by parabola and by Akima's spline.
        envelope: the frontier of training curves.
        comparison: the approaches side by side at `target_flops`.
        plan: compute-optimal size, tokens and loss at the largest budget and at `target_flops`, by the fitted law.
        regrets: what it costs to be wrong about the best size at each budget of the plan.
        valley_regrets: the same at each valley.
        usd_per_flop: price of compute, in US dollars a FLOP; None where it is not known.
        held_back: the largest budget predicted from the smaller ones.
        backtest: the error of predicting above each of several compute cuts.
        outliers: runs far from the law, and the fit without them.
        laws: the laws that read the same columns, weighed by how they foretold compute held back from them.
        predictions: the rows of another table, where there is one to predict.
    """

    table: Table
    level: float
    largest_flops: float
    target_flops: float
    fit: FitResult | Refused
    valleys: Valleys | Refused
    akima: Valleys | Refused
    envelope: Envelope | Refused
    comparison: Comparison
    plan: pd.DataFrame | Refused
    regrets: tuple[Regret, ...] | Refused
    valley_regrets: tuple[Regret, ...] | Refused
    usd_per_flop: float | None
    held_back: HeldBack | Refused
    backtest: pd.DataFrame | Refused
    outliers: Outliers | Refused
    laws: Forecaster | Refused
    predictions: Predictions | Refused | None = None


def attempt(part: Callable[[], T]) -> T | Refused:
    """The part, or why the runs cannot support it."""
    try:
        return part()
    except Refusal as reason:
        return Refused(type(reason).__name__, str(reason))


def tried_runs(table: Table) -> Table:
    """The runs for the tests that fit again and again: all, or of very many some, evenly spread over compute."""
    if len(table) <= TRIED_ROWS:
        return table
    order = np.argsort(table.frame["flops"].to_numpy(), kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, TRIED_ROWS).astype(int)]
    return table.select(np.isin(np.arange(len(table)), chosen))


def runs_of_law(table: Table, law: str) -> Table:
    """The runs that a law describes: all of them, or for a law of one variable the best at each value of it."""
    variables = laws.get(law).variables
    if len(variables) != 1 or variables[0] not in ("params", "tokens", "flops"):
        return table
    best = best_at_each(table, variables[0])
    if len(best) == len(table):
        return table
    note = (
        f"law {law!r} reads {variables[0]} alone: it is fitted to the {len(best)} runs of lowest loss, one at each "
        f"{variables[0]}; approaches 1 and 2 use all {len(table)} runs"
    )
    return replace(best, notes=(*best.notes, note))


def analyse(
    table: Table | pd.DataFrame | str | PathLike[str],
    law: str = "chinchilla",
    objective: str = "huber_log",
    weights: str | None = None,
    level: float = LEVEL,
    bootstrap: int = 1000,
    seed: int = 0,
    target_flops: float | None = None,
    usd_per_flop: float | None = None,
    to_predict: pd.DataFrame | None = None,
    progress: Callable[[str], None] = lambda what: None,
) -> Study:
    """Fit a table by all three approaches, test the fit on its own largest runs, and plan for more compute.

    Args:
        table: runs, from `analysis.table.load`; or what that reads.
        law, objective, weights, bootstrap, seed: as `analysis.fit.fit` takes them.
        level: probability of every interval.
        target_flops: the budget to plan for; by default 10 times the largest in the table.
        usd_per_flop: price of compute, for what a wrong size costs in money.
        to_predict: rows to predict the loss of, from `analysis.predictions.read_rows_to_predict`.
        progress: called with a few words before each part.

    Raises:
        BadValue, BadColumn: an option that does not exist, or a law that needs a column which the table lacks. What the
            runs themselves cannot support is a `Refused` part instead.
    """
    if not isinstance(table, Table):
        table = load(table)
    largest = float(
        table.frame["budget"].max() if table.frame["budget"].notna().any() else table.frame["flops"].max()
    )
    target = PLAN_FACTOR * largest if target_flops is None else target_flops
    if not 0 < target < inf:
        raise BadValue(f"target_flops={target:g}: must be finite and above 0, such as 1e21")
    options: FitOptions = {"weights": weights, "level": level, "bootstrap": bootstrap, "seed": seed}
    whole, table = table, runs_of_law(table, law)

    progress("parametric law")
    fitted: FitResult | Refused
    try:
        fitted = fit(table, law, objective, **options)
    except (BadValue, BadColumn):
        raise  # the question is at fault, not the runs
    except Refusal as reason:
        fitted = Refused(type(reason).__name__, str(reason))
    progress("IsoFLOP valleys")
    parabolas = attempt(lambda: valleys(whole, "parabola", level))
    splines = attempt(lambda: valleys(whole, "akima", level, seed=seed))
    progress("training-curve envelope")
    frontier = attempt(lambda: envelope(whole, level))
    found = [
        part if not isinstance(part, Refused) else None for part in (frontier, parabolas, splines, fitted)
    ]
    comparison = compare(target, *found)

    def with_law(what: str, part: Callable[[FitResult], T]) -> T | Refused:
        if isinstance(fitted, Refused):
            return Refused("NeedsLaw", "it needs the fitted law, which these runs do not support (see there)")
        progress(what)
        result = fitted
        return attempt(lambda: part(result))

    tried = tried_runs(table)
    if len(tried) < len(table):
        note = (
            f"the law is fitted to all {len(table)} runs; the tests on held-back runs read {len(tried)} of them"
            " and look for each optimum near that fit's"
        )
        table = replace(table, notes=(*table.notes, note))
    fewer: FitOptions = {**options, "bootstrap": min(bootstrap, 300)}
    unsure: FitOptions = {**options, "bootstrap": 0}
    known = with_law("other laws", lambda _: forecaster(tried.frame, law, objective))
    foretold: Predictions | Refused | None = None
    if to_predict is not None:
        foretold = known if isinstance(known, Refused) else predict_rows(known, to_predict, level)
    return Study(
        table=table,
        level=level,
        largest_flops=largest,
        target_flops=target,
        fit=fitted,
        valleys=parabolas,
        akima=splines,
        envelope=frontier,
        comparison=comparison,
        plan=with_law("plan", lambda result: result.optimal([largest, target])),
        regrets=with_law(
            "regret", lambda result: tuple(regret_of_fit(result, flops) for flops in (largest, target))
        ),
        valley_regrets=parabolas
        if isinstance(parabolas, Refused)
        else attempt(lambda: regret_of_valleys(parabolas)),
        usd_per_flop=usd_per_flop,
        held_back=with_law(
            "held-back largest budget",
            lambda result: hold_back_largest(tried, law, objective, **near(result, options)),
        ),
        backtest=with_law(
            "backtest", lambda result: backtest(tried, None, law, objective, **near(result, fewer))
        ),
        outliers=with_law("outliers", lambda result: outliers(table, result, **near(result, unsure))),
        laws=known,
        predictions=foretold,
    )
