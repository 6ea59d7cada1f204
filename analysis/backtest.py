"""Backtests of laws: the error of predicting above several compute cuts, and which law predicts best."""

from collections.abc import Iterable, Sequence
from typing import Unpack

import pandas as pd

from analysis import laws
from analysis.combine import INNER_SHARE, combined_error
from analysis.fit import FitOptions, fit
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
        `bias`, `worst_error`, `covered`, `stretch`, `combined_error` (mean error of the laws of `analysis.combine`),
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
        One row for each law, best held-out error first: `law`, `parameters`, `aicc`, `delta_aicc`, `held_out_error`,
        `refused`.
    """
    if cut_flops is None:
        cut_flops = cut_at(table.frame["flops"], INNER_SHARE)
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
