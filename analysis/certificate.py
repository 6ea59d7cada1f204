"""What the solver can prove about the optimum that a fit reports, and what a reader should know before trusting it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.problem import Problem
from analysis.solver import Solution

SAME = 1e-6  # two optima are the same when their objectives agree to this, relatively
AT_BOUND = 1e-4  # a term smaller than this share of every prediction is nothing beside the scatter of losses


@dataclass(frozen=True)
class Certificate:
    """What the solver can prove about the optimum that it reports.

    Attributes:
        converged: the best descent ended at a minimum (see `relative_decrease`).
        relative_decrease: further decrease of the objective that a Newton step would bring, over the objective.
        gradient_norm: norm of the gradient in the solver's coordinates, each scaled by the root of its metric diagonal.
        hessian_condition: condition number of the Hessian scaled to a unit diagonal; inf where not positive definite.
        starts: number of starting points.
        starts_at_best: how many of their descents ended within 1e-6 (relative) of the best objective.
        distinct_optima: number of different objective values, to 1e-6, at which the converged descents ended.
        warnings: what a reader should know before trusting the numbers, each with its reason.
    """

    converged: bool
    relative_decrease: float
    gradient_norm: float
    hessian_condition: float
    starts: int
    starts_at_best: int
    distinct_optima: int
    warnings: tuple[str, ...] = ()


def certify(problem: Problem, found: Solution, weight: np.ndarray, warnings: Sequence[str]) -> Certificate:
    """The certificate of the best of all descents, with `warnings` known of it already."""
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


def amplitudes_at_bound(problem: Problem, theta: np.ndarray) -> tuple[str, ...]:
    """Which amplitudes of an estimate θ (p,) are at their bound of zero: the runs do not determine them."""
    law = problem.law
    shares = np.max(law.predict(theta[None], problem.x)[1][0], axis=0)
    return tuple(
        name
        for name, share in zip(law.parameters, shares, strict=True)
        if name in law.amplitudes and share < AT_BOUND
    )


def doubts(problem: Problem, theta: np.ndarray) -> list[str]:
    """Warnings of an estimate θ (p,): a parameter at its bound, without effect on any run, or of the wrong sign."""
    law = problem.law
    warnings = []
    values = dict(zip(law.parameters, law.values(theta), strict=True))
    gradient = law.predict(theta[None], problem.x)[1][0]
    for k, name in enumerate(law.parameters):
        if name in law.amplitudes:
            share = float(np.max(gradient[:, k]))
            if share < AT_BOUND:
                warnings.append(
                    f"the runs do not determine {name}: its estimate is at its bound of zero, where its term is at "
                    f"most {share:.1e} of any predicted {law.target}"
                )
        elif float(np.abs(gradient[:, k]).max()) < 1e-8:
            warnings.append(f"{name} is not identified: no run in the table depends on it")
        elif law.target == "loss" and name not in (*law.logged, *law.signed) and values[name] <= 0:
            warnings.append(
                f"{name} = {values[name]:.3g} is not positive: the loss does not fall with the variable it governs"
            )
    return warnings
