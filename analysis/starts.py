"""Where descents start: points spread over a law's box, each with the best amplitudes for its exponents.

Variable projection (Golub & Pereyra 1973) solves for the parameters in which the loss is linear, so that starts need to
be spread over the others alone. Shapes: S starts, n runs, p parameters, K terms.
"""

from itertools import combinations

import numpy as np

from analysis.laws.law import Law
from analysis.problem import Problem
from analysis.solver import FROM_NEAR, Solution, minimise

SEARCH_RUNS = 512
"""Starts are searched, and descend at first, on no more runs than this; what they find is then carried to all."""

BESIDE = 2
"""Descents from afar beside the one from the fit to nearly the same runs."""


def descend(problem: Problem, weights: np.ndarray, count: int) -> Solution:
    """Where descents from `count` spread starts end on all runs, shape (count, p).

    With many runs the starts descend on a sample of them first, and only the different optima found there go on.
    """
    if len(problem.log_loss) <= SEARCH_RUNS:
        return minimise(problem, spread_starts(problem, weights, count), weights[None])
    fewer, share = some_runs(problem, weights)
    near = minimise(fewer, spread_starts(fewer, share, count), share[None])
    _, first, member = np.unique(
        np.round(np.nan_to_num(near.value / np.nanmin(near.value), nan=np.inf), 6),
        return_index=True,
        return_inverse=True,
    )
    found = minimise(problem, near.theta[first], weights[None], stages=FROM_NEAR)
    return Solution(*(getattr(found, name)[member] for name in Solution.__dataclass_fields__))


def descend_near(problem: Problem, weights: np.ndarray, near: np.ndarray) -> Solution:
    """Where descents end that start at `near`, θ (p,) of nearly the same runs, and with few runs at BESIDE places more.

    Many runs leave the optimum little room to move: the others are then spared.
    """
    if len(problem.log_loss) > SEARCH_RUNS:
        return minimise(problem, near[None], weights[None], stages=FROM_NEAR)
    starts = np.concatenate([near[None], spread_starts(problem, weights, BESIDE)])
    return minimise(problem, starts, weights[None])


def project(problem: Problem, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Variable projection: θ of shape (S, p) with each amplitude at its best for the other coordinates.

    Best is non-negative least squares of the relative error, solved exactly by trying every subset of terms (at most
    seven for three terms). An amplitude whose best is zero is given a hundredth of the loss, so descent can move it.
    """
    law = problem.law
    terms = [law.parameters.index(name) for name in law.amplitudes]
    if not terms:
        return theta
    weights = np.broadcast_to(weights, (len(theta), len(problem.log_loss)))
    held = np.zeros((len(theta), len(problem.log_loss)))  # what parameters held fixed contribute
    if law.fixed:
        none = theta.copy()
        none[:, terms] = -600.0
        held = np.exp(problem.log_ratio(none))
    alone = []
    for k in terms:
        single = theta.copy()
        single[:, terms] = -600.0
        single[:, k] = 0.0
        alone.append(problem.log_ratio(single))
    # (S, K, n): what an amplitude of 1 contributes, over the observed loss
    log_ratio = np.stack(alone, axis=1)
    if law.fixed:
        with np.errstate(divide="ignore"):
            log_ratio = np.log(np.maximum(np.exp(log_ratio) - held[:, None], 1e-300))
    unit = log_ratio.mean(axis=2, keepdims=True)
    ratio = np.exp(np.clip(log_ratio - unit, -600.0, 300.0))
    normal = np.einsum("skn,sn,smn->skm", ratio, weights, ratio, optimize=True)
    right = np.einsum("skn,sn,sn->sk", ratio, weights, 1 - held)
    best = np.full(right.shape, 1e-2)
    lowest = np.full(len(theta), np.inf)
    for size in range(1, len(terms) + 1):
        for subset in combinations(range(len(terms)), size):
            chosen = list(subset)
            matrix = normal[:, chosen][:, :, chosen]
            ridge = 1e-12 * np.einsum("skk->s", matrix)[:, None, None] * np.eye(size)
            part = np.linalg.solve(matrix + ridge, right[:, chosen, None])[..., 0]
            cost = -(part * right[:, chosen]).sum(axis=1)
            better = (part > 0).all(axis=1) & (cost < lowest)
            full = np.full_like(best, 1e-2)
            full[:, chosen] = part
            best = np.where(better[:, None], full, best)
            lowest = np.where(better, cost, lowest)
    projected = theta.copy()
    with np.errstate(invalid="ignore"):  # a law that is no number at these exponents stays none
        projected[:, terms] = np.log(best) - unit[..., 0]
    return projected


def spread_starts(problem: Problem, weights: np.ndarray, count: int = 8) -> np.ndarray:
    """Starting values for `count` descents, the nearest to the runs first.

    They are the best of a low-discrepancy set in the law's box, amplitudes projected; where the law extends a simpler
    one, the first half comes from that law's fit instead. A large table is searched on some of its runs.
    """
    few, weights = some_runs(problem, weights)
    law = problem.law
    chosen = np.empty((0, len(law.parameters)))
    if law.simpler is not None:
        parent, lift = law.simpler
        inner = few.under(parent)
        fitted = minimise(inner, spread_starts(inner, weights, 4), weights[None]).theta
        lifted = project(few, lift(fitted, few.x), weights)
        chosen = _nearest(few, lifted, weights)[: max(1, count // 2) if law.box else count]
    if not law.box:
        return chosen
    sampled = project(few, _sample(law), weights)
    return np.concatenate([chosen, _nearest(few, sampled, weights)[: count - len(chosen)]])


def some_runs(problem: Problem, weights: np.ndarray) -> tuple[Problem, np.ndarray]:
    """At most SEARCH_RUNS of the runs, evenly by their loss, and their weights."""
    n = len(problem.log_loss)
    if n <= SEARCH_RUNS:
        return problem, weights
    by_loss = np.argsort(problem.log_loss, kind="stable")
    some = np.sort(by_loss[np.linspace(0, n - 1, SEARCH_RUNS).astype(int)])
    return problem.at(some), weights[some]


def _sample(law: Law) -> np.ndarray:
    """θ of a low-discrepancy set in the law's box, amplitudes at 1, shape (S, p)."""
    free = [law.parameters.index(name) for name in law.box]
    lows, highs = np.array(list(law.box.values())).T
    tries = 2 ** min(4 + len(free) if law.amplitudes else 11, 11)
    theta = np.zeros((tries, len(law.parameters)))
    theta[:, free] = lows + low_discrepancy(tries, len(free)) * (highs - lows)
    return theta


def _nearest(problem: Problem, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Those of θ (S, p) at which the law is a number, the nearest to the runs first."""
    # In parts: a law of whole curves holds an array of (starts, runs, drops) at once.
    parts = np.array_split(theta, max(1, len(theta) // 64))
    with np.errstate(all="ignore"):
        fit = np.concatenate([np.abs(problem.residuals(part)) @ weights for part in parts])
    order = np.argsort(np.where(np.isfinite(fit), fit, np.inf), kind="stable")
    return theta[order[: np.isfinite(fit).sum()]]


def low_discrepancy(count: int, dimensions: int) -> np.ndarray:
    """Points that fill the unit cube evenly, shape (count, dimensions).

    Roberts' sequence (2018, "The Unreasonable Effectiveness of Quasirandom Sequences"): whole multiples, modulo 1,
    of the powers of 1/φ, where φ > 1 solves φ^(d+1) = φ + 1, the golden ratio for d = 1.
    """
    phi = 2.0
    for _ in range(60):  # a contraction: each round gains more than a bit
        phi = (1 + phi) ** (1 / (dimensions + 1))
    steps = phi ** -np.arange(1.0, dimensions + 1)
    return np.asarray((0.5 + np.arange(count)[:, None] * steps) % 1.0)
