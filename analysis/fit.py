"""Fit any law to a table of runs, robustly, with intervals and a certificate: `fit(table).summary()`."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TypedDict

import numpy as np
import pandas as pd

from analysis import laws, objectives
from analysis.allocate import TRAIN_FLOPS_PER_PARAM_TOKEN
from analysis.certificate import certify, doubts
from analysis.clustered import LEAST_FREEDOM, SLACK, has_curves, run_errors, simulated_draws
from analysis.points import checked_points, column_or_ones, problem_of
from analysis.refusals import BadValue
from analysis.result import FitResult
from analysis.solver import polish
from analysis.starts import descend, descend_near
from analysis.table import Table, load
from analysis.uncertainty import bootstrap_draws

SPARE_CLUSTERS = 3
"""Intervals need this many more clusters than parameters: with fewer, a resample interpolates its runs."""


class FitOptions(TypedDict, total=False):
    """What `fit` takes by name, for functions that pass it on."""

    weights: str | Sequence[float] | np.ndarray | None
    cluster: str | None
    bootstrap: int
    level: float
    seed: int
    convention: Mapping[str, str] | None
    flops_per_param_token: float
    starts: int
    fixed: Mapping[str, float] | None
    near: np.ndarray | None


LEVEL = 0.9
"""Nominal coverage of intervals where the caller names none."""


def fit(
    table: pd.DataFrame | Table | str | PathLike[str],
    law: str | laws.Law = "chinchilla",
    objective: str | objectives.Objective = "huber_log",
    *,
    weights: str | Sequence[float] | np.ndarray | None = None,
    cluster: str | None = "cluster",
    bootstrap: int = 1000,
    level: float = LEVEL,
    seed: int = 0,
    convention: Mapping[str, str] | None = None,
    flops_per_param_token: float = TRAIN_FLOPS_PER_PARAM_TOKEN,
    starts: int = 8,
    fixed: Mapping[str, float] | None = None,
    near: np.ndarray | None = None,
) -> FitResult:
    """Fit a law to runs.

    Args:
        table: the law's variables and target (`params`, `tokens`, `loss` for most) in a DataFrame, one row for each
            run; or a Table, which also says how they are counted; or a file, which `analysis.load` reads.
        law: a name in `laws.LAWS`, or a Law.
        objective: a name in `objectives.OBJECTIVES`, or an Objective.
        weights: "loss_se" (or another column of standard errors of the loss in nats) measures each residual in units
            of its own error; an array multiplies each run's share of the objective; None treats runs alike.
        cluster: column that says which runs are branches of one training job, and so are resampled together; where the
            table lacks it, every run is resampled alone.
        bootstrap: number of resamples; 0 leaves intervals not estimated.
        level: nominal coverage of the intervals.
        seed: seed of the bootstrap.
        convention: how parameters, FLOPs and loss are counted; the table's own where None.
        flops_per_param_token: k in C = k·N·D.
        starts: number of descents, from different points of the law's box.
        fixed: parameter → value at which it is held, as {"E": 1.6}; it then gets no interval.
        near: θ (p,) of a fit to nearly the same runs: descents then start there and at a few places more, which is
            several times as fast as `starts` of them.

    Raises:
        Refusal: a ValueError that says what the table lacks (see analysis.refusals).
    """
    law, objective = laws.get(law), objectives.get(objective)
    if not laws.is_known(law):
        raise BadValue(
            f"law {law.name!r} is not registered: call laws.register(law), so that its results can be read back"
        )
    law = laws.fix(law, fixed or {})
    if not 0 < level < 1:
        raise BadValue(f"level must lie between 0 and 1, such as 0.9; got {level}")
    if isinstance(table, str | PathLike):
        table = load(table)
    frame = table.frame if isinstance(table, Table) else table
    if convention is None:
        convention = (
            table.convention
            if isinstance(table, Table)
            else getattr(frame, "attrs", {}).get("convention", {})
        )
    points = checked_points(frame, law, weights, cluster)
    problem = problem_of(points, law, objective)
    weight = column_or_ones(points, "weight")
    clusters = points["cluster"].to_numpy() if "cluster" in points else np.arange(len(points))
    units = len(np.unique(clusters))

    ends = descend(problem, weight, starts) if near is None else descend_near(problem, weight, near)
    found = polish(problem, ends, weight)
    best = int(np.nanargmin(found.value))
    theta = found.theta[best]
    warnings = doubts(problem, theta)
    draws = np.empty((0, len(theta)))
    spare = units - len(theta)
    if bootstrap > 0 and has_curves(clusters):
        errors = run_errors(problem, theta, weight, clusters)
        if errors.freedom < LEAST_FREEDOM - SLACK:
            warnings.append(
                f"intervals not estimated: {units} training runs leave {errors.freedom:.1f} degrees of freedom beyond "
                f"the parameters that differences between runs determine; {LEAST_FREEDOM:.0f} are needed"
            )
        else:
            draws = simulated_draws(problem, theta, weight, errors, bootstrap, seed)
    elif bootstrap > 0 and spare < SPARE_CLUSTERS:
        warnings.append(
            f"intervals not estimated: {units} clusters of runs for {len(theta)} parameters; "
            f"{len(theta) + SPARE_CLUSTERS} are needed"
        )
    elif bootstrap > 0:
        draws, remarks = bootstrap_draws(problem, theta, weight, clusters, bootstrap, seed)
        warnings += remarks
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


def near(result: FitResult, options: FitOptions) -> FitOptions:
    """The options, and that descents start near the optimum of a fit to nearly the same runs."""
    found: FitOptions = {**options, "near": result.theta}
    return found
