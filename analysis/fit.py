"""Fit any law to a table of runs, robustly, with intervals and a certificate: `fit(table).summary()`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis import laws, objectives
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
from analysis.result import Certificate, FitResult, problem_of
from analysis.solver import Solution, minimise, polish, spread_starts
from analysis.uncertainty import column_or_ones, refit, resample_weights

SAME = 1e-6  # two optima are the same when their objectives agree to this, relatively
SPARE_CLUSTERS = (
    3  # intervals need this many more clusters than parameters: with fewer a resample interpolates
)
MIN_SPREAD = 1.25  # a variable must vary over the runs by at least this factor
MIN_RATIO_SPREAD = 1.1  # and tokens at a given size by at least this one


def fit(
    table: Any,
    law: str | laws.Law = "chinchilla",
    objective: str | objectives.Objective = "huber_log",
    *,
    weights: str | Sequence[float] | np.ndarray | None = None,
    cluster: str | None = "cluster",
    bootstrap: int = 1000,
    level: float = 0.9,
    seed: int = 0,
    convention: Mapping[str, str] | None = None,
    flops_per_param_token: float = 6.0,
    starts: int = 8,
) -> FitResult:
    """Fit a law to runs.

    Args:
        table: a DataFrame with the law's variables and target (`params`, `tokens`, `loss` for most), one row a run;
            or an object with such a `.frame` and a `.convention`.
        law: a name in `laws.LAWS`, or a Law.
        objective: a name in `objectives.OBJECTIVES`, or an Objective.
        weights: "loss_se" (or another column of standard errors of the loss in nats) measures each residual in units
            of its own error; an array multiplies each run's share of the objective; None treats runs alike.
        cluster: column that tells which runs are branches of one training job, resampled together; where the table
            lacks it every run stands alone.
        bootstrap: resamples; 0 leaves intervals not estimated.
        level: nominal coverage of the intervals.
        seed: of the bootstrap.
        convention: how parameters, FLOPs and loss are counted; the table's own where None.
        flops_per_param_token: k in C = k·N·D.
        starts: descents from different points of the law's box.

    Raises:
        Refusal: a ValueError that says what the table lacks (see analysis.refusals).
    """
    law, objective = laws.get(law), objectives.get(objective)
    if laws.LAWS.get(law.name) is not law:
        raise BadValue(
            f"law {law.name!r} is not registered: call laws.register(law), so that its results can be read back"
        )
    if not 0 < level < 1:
        raise BadValue(f"level must lie between 0 and 1, such as 0.9; got {level}")
    frame = table.frame if hasattr(table, "frame") and not isinstance(table, pd.DataFrame) else table
    if convention is None:
        convention = getattr(table, "convention", None) or frame.attrs.get("convention") or {}
    points = _points(frame, law, weights, cluster)
    problem = problem_of(points, law, objective)
    weight = column_or_ones(points, "weight")
    clusters = points["cluster"].to_numpy() if "cluster" in points else np.arange(len(points))
    units = len(np.unique(clusters))

    found = polish(problem, minimise(problem, spread_starts(problem, weight, starts), weight[None]), weight)
    best = int(np.nanargmin(found.value))
    theta = found.theta[best]
    warnings = _warnings(problem, theta, weight)
    draws = np.empty((0, len(theta)))
    spare = units - len(theta)
    if bootstrap > 0 and spare < SPARE_CLUSTERS:
        warnings.append(
            f"intervals not estimated: {units} clusters of runs for {len(theta)} parameters; "
            f"{len(theta) + SPARE_CLUSTERS} are needed"
        )
    elif bootstrap > 0:
        solution = refit(problem, theta, weight * resample_weights(clusters, bootstrap, seed))
        sound = np.isfinite(solution.theta).all(axis=1)
        draws = solution.theta[sound]
        if not sound.all():
            warnings.append(
                f"{(~sound).sum()} of {bootstrap} bootstrap refits failed and are left out of the intervals"
            )
    return FitResult(
        law=law.name,
        objective_name=objective.name,
        theta=theta,
        objective=float(found.value[best]),
        points=points,
        draws=draws,
        level=level,
        seed=seed,
        clusters=units,
        certificate=certify(problem, found, weight, warnings),
        convention=dict(convention),
        flops_per_param_token=flops_per_param_token,
    )


def _points(
    frame: pd.DataFrame,
    law: laws.Law,
    weights: str | Sequence[float] | np.ndarray | None,
    cluster: str | None,
) -> pd.DataFrame:
    """The columns that a fit uses, checked; a refusal names the first bad row (1-based, in the table's order)."""
    if not isinstance(frame, pd.DataFrame):
        raise BadColumn(f"a fit needs a pandas DataFrame of runs; got {type(frame).__name__}")
    needed = [*law.variables, law.target]
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise BadColumn(
            f"law {law.name!r} needs columns {', '.join(needed)}; missing {', '.join(missing)} "
            f"(the table has {', '.join(map(str, frame.columns))})"
        )
    curves = [name for name in needed if len(frame) and isinstance(frame[name].iloc[0], np.ndarray | list)]
    plain = [name for name in needed if name not in curves]
    points = pd.DataFrame(
        {
            name: list(frame[name])
            if name in curves
            else pd.to_numeric(frame[name], errors="coerce").to_numpy(float)
            for name in needed
        }
    )
    for name in plain:
        column = points[name].to_numpy()
        bad = np.flatnonzero(~(np.isfinite(column) & (column > 0)))
        if len(bad):
            kind = BadLoss if name == law.target else BadValue
            raise kind(
                f"{name} must be finite and positive; row {bad[0] + 1} has {frame[name].iloc[bad[0]]!r}"
                + (f" ({len(bad)} such rows)" if len(bad) > 1 else "")
                + ": leave such runs out of the table and say so"
            )
    if not curves:
        _refuse_conflicts(frame, points, law)
    n, p = len(points), len(law.parameters)
    if n <= p:
        raise TooFewPoints(f"law {law.name!r} has {p} parameters: it needs at least {p + 1} runs; got {n}")
    for name in (name for name in plain if name != law.target):
        ratio = float(points[name].max() / points[name].min())
        if name != "unique_tokens" and ratio < MIN_SPREAD:
            raise NoSpread(
                f"{name} varies over the runs by a factor of only {ratio:.3g}; "
                f"law {law.name!r} needs at least {MIN_SPREAD}: add runs at other {name}"
            )
    if {"params", "tokens"} <= set(law.variables):
        _refuse_collinear(points, law)
    if isinstance(weights, str):
        if weights not in frame.columns:
            raise BadColumn(
                f"weights={weights!r} is not a column of the table; it has {', '.join(map(str, frame.columns))}"
            )
        errors = pd.to_numeric(frame[weights], errors="coerce").to_numpy(float)
        _refuse_nonpositive(errors, weights)
        relative = errors / points[law.target].to_numpy()
        points["scale"] = np.median(relative) / relative
    elif weights is not None:
        values = np.asarray(weights, dtype=float)
        if values.shape != (n,):
            raise BadValue(
                f"weights must be one number a run, {n} in all; got an array of shape {values.shape}"
            )
        _refuse_nonpositive(values, "weights")
        points["weight"] = values
    if cluster is not None and cluster in frame.columns:
        labels, _ = pd.factorize(frame[cluster])
        alone = np.arange(n) + labels.max() + 1  # a run that names no cluster is one of its own
        points["cluster"] = np.where(labels < 0, alone, labels)
    elif cluster not in (None, "cluster"):
        raise BadColumn(
            f"cluster={cluster!r} is not a column of the table; it has {', '.join(map(str, frame.columns))}"
        )
    return points


def _refuse_nonpositive(values: np.ndarray, what: str) -> None:
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(bad):
        raise BadValue(f"{what} must be finite and positive; row {bad[0] + 1} has {values[bad[0]]:g}")


def _refuse_collinear(points: pd.DataFrame, law: laws.Law) -> None:
    """Where tokens are a power of the size in every run, the terms in N and in D are one and the same curve."""
    log_n, log_d = np.log(points["params"]), np.log(points["tokens"])
    slope, offset = np.polyfit(log_n, log_d, 1)
    ratio = float(np.exp(np.ptp(log_d - slope * log_n - offset)))
    if ratio < MIN_RATIO_SPREAD:
        raise NotIdentified(
            f"tokens follow params (D ∝ N^{slope:.2f}, within a factor of {ratio:.3g}), so the exponents of N and D in "
            f"law {law.name!r} cannot be told apart: add runs with other tokens at the same params"
        )


def _refuse_conflicts(frame: pd.DataFrame, points: pd.DataFrame, law: laws.Law) -> None:
    """Rows that agree in every variable, and in the seed and the unique tokens if given, must agree in the target."""
    key = points[list(law.variables)].copy()
    for name in ("seed", "replicate", "run_id", "unique_tokens"):
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


def certify(problem: Problem, found: Solution, weight: np.ndarray, warnings: Sequence[str]) -> Certificate:
    """What the ends of all descents say of the best one."""
    best = int(np.nanargmin(found.value))
    value = found.value[best]
    theta = found.theta[best : best + 1]
    _, gradient, hessian, metric = problem.evaluate(theta, weight[None], problem.sharpest())
    size = np.sqrt(np.maximum(np.einsum("pp->p", metric[0]), 1e-290))
    slack = max(SAME * abs(value), 1e-20)
    at_best = found.value <= value + slack
    settled = np.sort(found.value[np.isfinite(found.value) & ((found.decrement < SAME) | found.settled())])
    distinct = (
        1 + int((np.diff(settled) > np.maximum(SAME * np.abs(settled[:-1]), 1e-20)).sum())
        if len(settled)
        else 0
    )
    converged = bool(found.settled()[best])
    notes = list(warnings)
    if not converged:
        notes.append(
            "the solver stopped before a minimum: a further step would lower the objective by "
            f"{found.decrement[best]:.1e} of itself"
        )
    condition = scaled_condition(hessian[0])
    if not condition < 1e10:
        notes.append(
            "the Hessian is nearly singular: some combination of parameters is not determined by these runs"
        )
    return Certificate(
        converged=converged,
        relative_decrease=float(found.decrement[best]),
        gradient_norm=float(np.linalg.norm(gradient[0] / size)),
        hessian_condition=condition,
        starts=len(found.value),
        starts_at_best=int(at_best.sum()),
        distinct_optima=distinct,
        warnings=tuple(notes),
    )


def scaled_condition(hessian: np.ndarray) -> float:
    """Condition number of a Hessian scaled to a unit diagonal; inf where it is not positive definite."""
    diagonal = np.diag(hessian)
    if not (np.isfinite(hessian).all() and (diagonal > 0).all()):
        return float("inf")
    values = np.linalg.eigvalsh(hessian / np.sqrt(np.outer(diagonal, diagonal)))
    return float(values[-1] / values[0]) if values[0] > 0 else float("inf")


def _warnings(problem: Problem, theta: np.ndarray, weight: np.ndarray) -> list[str]:
    """Parameters at the edge of what they can be, or without effect, each with the reason."""
    law = problem.law
    warnings = []
    values = dict(zip(law.parameters, law.values(theta), strict=True))
    gradient = law.predict(theta[None], problem.x)[1][0]
    for k, name in enumerate(law.parameters):
        if name in law.amplitudes:
            share = float(np.max(gradient[:, k]))
            if share < 1e-4:
                warnings.append(
                    f"{name} = {values[name]:.3g} is at its bound of zero: "
                    f"its term is at most {share:.1e} of any predicted {law.target}"
                )
        elif float(np.abs(gradient[:, k]).max()) < 1e-8:
            warnings.append(f"{name} is not identified: no run in the table depends on it")
        elif law.target == "loss" and name not in law.logged and values[name] <= 0:
            warnings.append(
                f"{name} = {values[name]:.3g} is not positive: the loss does not fall with the variable it governs"
            )
    return warnings
