"""The runs of a fit: its columns taken from a table and checked, so that what cannot be fitted is refused up front."""

from collections.abc import Sequence
from math import inf

import numpy as np
import pandas as pd

from analysis.laws.law import Law
from analysis.laws.variables import variable
from analysis.objectives import Objective
from analysis.problem import Problem
from analysis.refusals import (
    BadColumn,
    BadLoss,
    BadValue,
    DuplicateRows,
    NoSpread,
    NotIdentified,
    TooFewPoints,
)

MIN_SPREAD = 1.25  # a variable must vary over the runs by at least this factor
MIN_RATIO_SPREAD = 1.1  # and tokens at a given size by at least this one


def checked_points(
    frame: pd.DataFrame, law: Law, weights: str | Sequence[float] | np.ndarray | None, cluster: str | None
) -> pd.DataFrame:
    """The columns that a fit uses: the law's variables, its target, and where asked for `weight`, `scale`, `cluster`.

    Args:
        frame: one row for each run.
        law: the law that is to be fitted.
        weights, cluster: as `analysis.fit.fit` takes them.

    Raises:
        Refusal: a column is missing or holds a number that cannot be, or the runs do not determine the law. The message
            names the first bad row, counted from 1 in the table's order.
    """
    if not isinstance(frame, pd.DataFrame):
        raise BadColumn(f"a fit needs a pandas DataFrame of runs; got {type(frame).__name__}")
    needed = [*law.variables, law.target]
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise BadColumn(
            f"law {law.name!r} needs columns {', '.join(needed)}; missing {', '.join(missing)} "
            f"(the table has {', '.join(map(str, frame.columns))})"
        )
    # A law of whole loss curves has columns whose every row holds an array.
    arrays = [name for name in needed if len(frame) and isinstance(frame[name].iloc[0], np.ndarray | list)]
    numbers = [name for name in needed if name not in arrays]
    points = pd.DataFrame(
        {
            name: list(frame[name])
            if name in arrays
            else pd.to_numeric(frame[name], errors="coerce").to_numpy(float)
            for name in needed
        }
    )
    for name in numbers:
        _refuse_bad_number(frame, points, name, law)
    # Hyperparameters that were best at one scale in different studies scatter; a run's loss is one.
    if not arrays and law.target in ("loss", "normalized_loss"):
        _refuse_conflicts(frame, points, law)
    n, p = len(points), len(law.parameters)
    if n <= p:
        raise TooFewPoints(f"law {law.name!r} has {p} parameters: it needs at least {p + 1} runs; got {n}")
    for name in numbers:
        if name not in (law.target, "unique_tokens"):
            _refuse_no_spread(points, name, law)
    if {"params", "tokens"} <= set(law.variables):
        _refuse_collinear(points, law)
    for name, column in {
        **_weight_columns(frame, points, law, weights),
        **_cluster_column(frame, cluster),
    }.items():
        points[name] = column
    return points


def _weight_columns(
    frame: pd.DataFrame, points: pd.DataFrame, law: Law, weights: str | Sequence[float] | np.ndarray | None
) -> dict[str, np.ndarray]:
    """`scale`, the relative precision of each loss, where weights name a column of errors; else `weight`."""
    if weights is None:
        return {}
    if isinstance(weights, str):
        if weights not in frame.columns:
            raise BadColumn(
                f"weights={weights!r} is not a column of the table; it has {', '.join(map(str, frame.columns))}"
            )
        errors = pd.to_numeric(frame[weights], errors="coerce").to_numpy(float)
        _refuse_nonpositive(errors, weights)
        relative = errors / points[law.target].to_numpy() if law.log_target else errors
        return {"scale": np.median(relative) / relative}
    values = np.asarray(weights, dtype=float)
    if values.shape != (len(points),):
        raise BadValue(
            f"weights must be one number a run, {len(points)} in all; got an array of shape {values.shape}"
        )
    _refuse_nonpositive(values, "weights")
    return {"weight": values}


def _cluster_column(frame: pd.DataFrame, cluster: str | None) -> dict[str, np.ndarray]:
    """`cluster`, a whole number for each run that runs of one training job share; empty where no column says so."""
    if cluster is not None and cluster in frame.columns:
        labels, _ = pd.factorize(frame[cluster])
        alone = np.arange(len(frame)) + labels.max() + 1  # a run that names no cluster is one of its own
        return {"cluster": np.where(labels < 0, alone, labels)}
    if cluster not in (None, "cluster"):
        raise BadColumn(
            f"cluster={cluster!r} is not a column of the table; it has {', '.join(map(str, frame.columns))}"
        )
    return {}


def _refuse_bad_number(frame: pd.DataFrame, points: pd.DataFrame, name: str, law: Law) -> None:
    known = variable(name)
    bad = np.flatnonzero(~known.allows(points[name].to_numpy()))
    if len(bad):
        kind = BadLoss if name == law.target else BadValue
        raise kind(
            f"{name} must be {known.bounds}; row {bad[0] + 1} has {frame[name].iloc[bad[0]]!r}"
            + (f" ({len(bad)} such rows)" if len(bad) > 1 else "")
            + ": leave such runs out of the table and say so"
        )


def _refuse_no_spread(points: pd.DataFrame, name: str, law: Law) -> None:
    least, most = float(points[name].min()), float(points[name].max())
    ratio = most / least if least > 0 else inf if most > least else 1.0
    if ratio < MIN_SPREAD:
        raise NoSpread(
            f"{name} varies over the runs by a factor of only {ratio:.3g}; "
            f"law {law.name!r} needs at least {MIN_SPREAD}: add runs at other {name}"
        )


def _refuse_nonpositive(values: np.ndarray, what: str) -> None:
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(bad):
        raise BadValue(f"{what} must be finite and positive; row {bad[0] + 1} has {values[bad[0]]:g}")


def _refuse_collinear(points: pd.DataFrame, law: Law) -> None:
    """Where tokens are a power of the size in every run, the terms in N and in D are one and the same curve."""
    log_n, log_d = np.log(points["params"]), np.log(points["tokens"])
    slope, offset = np.polyfit(log_n, log_d, 1)
    ratio = float(np.exp(np.ptp(log_d - slope * log_n - offset)))
    if ratio < MIN_RATIO_SPREAD:
        raise NotIdentified(
            f"tokens follow params (D ∝ N^{slope:.2f}, within a factor of {ratio:.3g}), so the exponents of N and D in "
            f"law {law.name!r} cannot be told apart: add runs with other tokens at the same params"
        )


def _refuse_conflicts(frame: pd.DataFrame, points: pd.DataFrame, law: Law) -> None:
    """Rows that agree in every variable and in what tells runs apart (seed, cluster, …) must agree in the target."""
    key = points[list(law.variables)].copy()
    for name in ("seed", "replicate", "run_id", "cluster", "unique_tokens"):
        if name in frame.columns:
            key[name] = frame[name].to_numpy()
    spread = (
        points[law.target].groupby([key[name] for name in key.columns], dropna=False).transform("nunique")
    )
    clash = np.flatnonzero(spread.to_numpy() > 1)
    if len(clash):
        same = np.flatnonzero((key == key.iloc[clash[0]]).all(axis=1).to_numpy())[:2]
        first, second = points[law.target].iloc[same]
        if len(law.variables) == 1:
            raise DuplicateRows(
                f"law {law.name!r} reads {law.variables[0]} alone, and rows {same[0] + 1} and {same[1] + 1} have the "
                f"same with different {law.target}, {first:g} and {second:g}: give it the best run at each "
                f"{law.variables[0]} (analysis.table.best_at_each)"
            )
        raise DuplicateRows(
            f"rows {same[0] + 1} and {same[1] + 1} are the same run ({', '.join(key.columns)} agree) with different "
            f"{law.target}: {first:g} and {second:g}; keep one, or add a `seed` column if they are repeats"
        )


def column_values(points: pd.DataFrame, name: str) -> np.ndarray:
    """A column as floats, shape (n,), or (n, K) where each row holds an array."""
    column = points[name]
    return (
        np.stack([np.asarray(row, dtype=float) for row in column])
        if column.dtype == object
        else column.to_numpy(float)
    )


def problem_of(points: pd.DataFrame, law: Law, objective: Objective) -> Problem:
    """The points of a fit as the solver takes them."""
    x = {name: column_values(points, name) for name in law.variables}
    scale = column_values(points, "scale") if "scale" in points else None
    return Problem.build(law, x, law.response(column_values(points, law.target)), objective, scale)


def column_or_ones(points: pd.DataFrame, name: str) -> np.ndarray:
    """A column of the points, or ones where they have none."""
    return points[name].to_numpy(dtype=float) if name in points else np.ones(len(points))
