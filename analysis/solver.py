"""Batched Newton descent for robust law fits: many starts or many bootstrap resamples at once, no loop over either.

Why not a library optimizer: with Huber's δ = 1e-3 most residuals lie on the linear branch, the objective is almost
piecewise linear in places, and L-BFGS stops early. Here each iteration

1. evaluates value, gradient and exact curvature for every problem in one sweep of matrix products,
2. measures length in the metric of iteratively reweighted least squares, which no change of units alters,
3. takes a damped Newton step on the absolute eigenvalues in that metric, so a saddle is left downhill, and
4. keeps a step only when the objective falls.

A graduated δ (wide first, then the real one) carries every start into the same basin; variable projection gives each
start the best amplitudes for its exponents. Shapes: S problems, n runs, p parameters, K terms.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import qmc

from analysis.laws.law import Law
from analysis.problem import SHARP, WIDE, Problem

BLOCK = 256  # problems solved together: their (S, n) arrays should stay in cache
MAX_STEP = 3.0  # longest change of any coordinate in one step; more is extrapolation
SEARCH_RUNS = 512  # starting values are searched on no more runs than this; the descent then sees all


@dataclass(frozen=True)
class Solution:
    """Where S descents ended.

    Attributes:
        theta: shape (S, p).
        value: the objective there, shape (S,).
        decrement: predicted further decrease over the value, shape (S,); about 0 at a minimum.
        iterations: Newton steps, shape (S,).
    """

    theta: np.ndarray
    value: np.ndarray
    decrement: np.ndarray
    iterations: np.ndarray

    def settled(self) -> np.ndarray:
        """Which descents ended at a minimum: nothing left to gain, or nothing left but rounding, shape (S,)."""
        return np.asarray((self.decrement < 1e-9) | (np.abs(self.value) <= 1e-20))


FROM_AFAR = (1000.0, 30.0, 5.0, 1.0)
"""Graduated δ, in units of the objective's own, for a start that may be anywhere."""
FROM_NEAR = (1.0,)
"""The same for a start at the optimum of almost the same problem."""


def minimise(
    problem: Problem,
    starts: np.ndarray,
    weights: np.ndarray,
    *,
    stages: tuple[float, ...] = FROM_AFAR,
    frozen: tuple[int, ...] = (),
) -> Solution:
    """Descend from every start (S, p) under its own weights (S, n), or one for all, through each stage of δ.

    Coordinates named in `frozen` stay where they start.
    """
    weights = np.broadcast_to(weights, (len(starts), len(problem.log_loss)))
    blocks = [
        _minimise_block(problem, starts[i : i + BLOCK], weights[i : i + BLOCK], stages, frozen)
        for i in range(0, len(starts), BLOCK)
    ]
    return Solution(*(np.concatenate([getattr(b, k) for b in blocks]) for k in Solution.__dataclass_fields__))


def polish(problem: Problem, found: Solution, weights: np.ndarray, rounds: int = 10) -> Solution:
    """The solution with its best descent carried on until it settles: a long curved valley can outlast the limit."""
    best = int(np.nanargmin(found.value))
    for _ in range(rounds):
        if found.settled()[best]:
            break
        further = minimise(problem, found.theta[best : best + 1], weights[None], stages=FROM_NEAR)
        if not further.value[0] <= found.value[best]:
            break
        parts = {name: getattr(found, name).copy() for name in Solution.__dataclass_fields__}
        for name, part in parts.items():
            part[best] = getattr(further, name)[0]
        found = Solution(**parts)
    return found


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


def spread_starts(problem: Problem, weights: np.ndarray, count: int = 8, seed: int = 0) -> np.ndarray:
    """Starting values for `count` descents, the nearest to the runs first.

    They are the best of a low-discrepancy set in the law's box, amplitudes projected; where the law extends a simpler
    one, the first half comes from that law's fit instead. A large table is searched on some of its runs.
    """
    few, weights = _some_runs(problem, weights)
    law = problem.law
    chosen = np.empty((0, len(law.parameters)))
    if law.simpler is not None:
        parent, lift = law.simpler
        inner = few.under(parent)
        fitted = minimise(inner, spread_starts(inner, weights, 4, seed), weights[None]).theta
        lifted = project(few, lift(fitted, few.x), weights)
        chosen = _nearest(few, lifted, weights)[: max(1, count // 2) if law.box else count]
    if not law.box:
        return chosen
    sampled = project(few, _sample(law, seed), weights)
    return np.concatenate([chosen, _nearest(few, sampled, weights)[: count - len(chosen)]])


def _some_runs(problem: Problem, weights: np.ndarray) -> tuple[Problem, np.ndarray]:
    """At most SEARCH_RUNS of the runs, evenly by their loss, and their weights."""
    n = len(problem.log_loss)
    if n <= SEARCH_RUNS:
        return problem, weights
    by_loss = np.argsort(problem.log_loss, kind="stable")
    some = np.sort(by_loss[np.linspace(0, n - 1, SEARCH_RUNS).astype(int)])
    return problem.at(some), weights[some]


def _sample(law: Law, seed: int) -> np.ndarray:
    """θ of a low-discrepancy set in the law's box, amplitudes at 1, shape (S, p)."""
    free = [law.parameters.index(name) for name in law.box]
    lows, highs = np.array(list(law.box.values())).T
    tries = 2 ** min(4 + len(free) if law.amplitudes else 11, 11)
    sample = qmc.Sobol(len(free), seed=seed).random(tries)
    theta = np.zeros((tries, len(law.parameters)))
    theta[:, free] = lows + sample * (highs - lows)
    return theta


def _nearest(problem: Problem, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Those of θ (S, p) at which the law is a number, the nearest to the runs first."""
    # In parts: a law of whole curves holds an array of (starts, runs, drops) at once.
    parts = np.array_split(theta, max(1, len(theta) // 64))
    with np.errstate(all="ignore"):
        fit = np.concatenate([np.abs(problem.residuals(part)) @ weights for part in parts])
    order = np.argsort(np.where(np.isfinite(fit), fit, np.inf), kind="stable")
    return theta[order[: np.isfinite(fit).sum()]]


def _minimise_block(
    problem: Problem,
    starts: np.ndarray,
    weights: np.ndarray,
    stages: tuple[float, ...],
    frozen: tuple[int, ...],
) -> Solution:
    theta = np.array(starts, dtype=float)
    decrement = np.full(len(theta), np.inf)
    iterations = np.zeros(len(theta), dtype=int)
    target = problem.objective.delta
    sharp = target == 0 or problem.objective.scaled  # all but piecewise linear: always approach it gradually
    if np.isinf(target):
        deltas: tuple[float, ...] = (WIDE,)
    elif sharp:
        deltas = tuple(10.0 ** np.arange(-1, np.log10(SHARP) - 0.5, -1.0))
    else:
        deltas = tuple(target * stage for stage in stages)
    for delta in deltas:
        first, last = delta == deltas[0], delta == deltas[-1]
        tolerance = 1e-15 if last else 1e-9 if first else 1e-4
        limit = 200 if last or first else 12
        theta, decrement, spent = _newton(
            problem, theta, weights, delta, frozen, tolerance=tolerance, limit=limit
        )
        iterations += spent
    return Solution(theta, problem.value(theta, weights), decrement, iterations)


def _newton(
    problem: Problem,
    theta: np.ndarray,
    weights: np.ndarray,
    delta: float,
    frozen: tuple[int, ...],
    *,
    tolerance: float,
    limit: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Damped Newton at one δ until the promised decrease is below tolerance × value; finished problems leave."""
    count = len(theta)
    result, decrement, spent = theta.copy(), np.full(count, np.inf), np.zeros(count, dtype=int)
    alive = np.arange(count)
    here = theta.copy()
    w = weights
    width = np.full((count, 1), delta)

    def evaluate(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        value, gradient, hessian, metric = problem.evaluate(theta, w, width[: len(theta)])
        for j in frozen:  # no slope and a curvature of its own: the step leaves it alone
            gradient[:, j] = 0.0
            for matrix in (hessian, metric):
                matrix[:, j, :] = matrix[:, :, j] = 0.0
                matrix[:, j, j] = 1.0
        return value, gradient, hessian, metric

    value, gradient, hessian, metric = evaluate(here)
    damping = np.full(count, 1e-3)
    for _ in range(limit):
        step, predicted, promise = _step(gradient, hessian, metric, damping)
        trial = here + step
        new = evaluate(trial)
        gain = value - new[0]
        accepted = gain >= 0  # false for NaN as well
        good = accepted & (gain > 0.5 * predicted)
        damping = np.where(
            good, damping * 0.1, np.where(accepted & (gain > 0.1 * predicted), damping, damping * 8)
        )
        damping = np.clip(damping, 1e-12, 1e12)
        floor = tolerance * np.abs(value) + 1e-300
        stuck = ~accepted & (damping >= 1e10)
        done = (promise <= floor) | (accepted & (gain <= floor) & (predicted <= floor)) | stuck
        here = np.where(accepted[:, None], trial, here)
        value = np.where(accepted, new[0], value)
        gradient = np.where(accepted[:, None], new[1], gradient)
        hessian = np.where(accepted[:, None, None], new[2], hessian)
        metric = np.where(accepted[:, None, None], new[3], metric)
        spent[alive] += 1
        if done.any():
            result[alive[done]] = here[done]
            decrement[alive[done]] = (promise / np.maximum(np.abs(value), 1e-300))[done]
            keep = ~done
            alive, here, value, w = alive[keep], here[keep], value[keep], w[keep]
            gradient, hessian, metric, damping = gradient[keep], hessian[keep], metric[keep], damping[keep]
            if not len(alive):
                return result, decrement, spent
    result[alive] = here
    decrement[alive] = _step(gradient, hessian, metric, damping)[2] / np.maximum(np.abs(value), 1e-300)
    return result, decrement, spent


def _step(
    gradient: np.ndarray, hessian: np.ndarray, metric: np.ndarray, damping: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Damped step, the decrease it should bring, and the decrease that the undamped step would bring."""
    p = gradient.shape[1]
    diagonal = np.einsum("spp->sp", metric)
    size = np.sqrt(np.maximum(diagonal, 1e-12 * diagonal.max(axis=1, keepdims=True) + 1e-290))
    scaled = metric / (size[:, :, None] * size[:, None, :]) + 1e-10 * np.eye(p)
    root = np.linalg.inv(np.linalg.cholesky(scaled)) / size[:, None, :]  # whitens: root · metric · rootᵀ = 1
    slope = np.einsum("spq,sq->sp", root, gradient)
    curvature, axes = np.linalg.eigh(root @ hessian @ root.transpose(0, 2, 1))
    along = np.einsum("spq,sp->sq", axes, slope)
    bend = np.maximum(np.abs(curvature), 1e-9)
    move = -along / (bend + damping[:, None])
    step = np.einsum("spq,sp->sq", root, np.einsum("spq,sq->sp", axes, move))
    shrink = np.minimum(1.0, MAX_STEP / np.maximum(np.abs(step).max(axis=1), 1e-300))
    move *= shrink[:, None]
    predicted = -(along * move + 0.5 * bend * move**2).sum(axis=1)
    return step * shrink[:, None], predicted, 0.5 * (along**2 / bend).sum(axis=1)
