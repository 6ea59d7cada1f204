"""Backtests of a law: the error of predicting above several compute cuts."""

from collections.abc import Sequence
from typing import Unpack

import pandas as pd

from analysis.fit import FitOptions
from analysis.held_back import cut_at, predict_above
from analysis.refusals import Refusal
from analysis.table import Table

DEFAULT_SHARES = (0.5, 0.65, 0.8)
"""Shares of the runs that default cuts leave for fitting."""


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
    **options: Unpack[FitOptions],
) -> pd.DataFrame:
    """Error of predicting above each compute cut from below it.

    Args:
        table: runs.
        cuts: FLOPs; by default see `default_cuts`.
        law, objective: as `fit` takes them.
        options: passed to `fit`.

    Returns:
        One row for each cut: `cut_flops`, `fitted`, `held`, `reach` (largest compute over the cut), `mean_error`,
        `bias`, `worst_error`, `covered`, `stretch`,
        and `refused` with the reason where a cut could not be tried.
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
                "refused": "",
            }
        )
    return pd.DataFrame(rows)
