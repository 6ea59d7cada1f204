"""Batched Newton descent for robust law fits: many starts or many bootstrap resamples at once, no loop over either.

Why not a library optimizer: with Huber's δ = 1e-3 most residuals lie on the linear branch, the objective is almost
piecewise linear in places, and L-BFGS stops early. Here each iteration

1. evaluates value, gradient and exact curvature for every problem in one sweep of matrix products,
2. measures length in the metric of iteratively reweighted least squares, which no change of units alters,
3. takes a damped Newton step on the absolute eigenvalues in that metric, so a saddle is left downhill, and
4. keeps a step only when the objective falls.

A graduated δ (wide first, then the real one) carries every start into the same basin. Shapes: S problems, n runs, p
parameters, K terms.
"""

from dataclasses import dataclass

import numpy as np

from analysis.problem import SHARP, WIDE, Problem

BLOCK = 256  # problems solved together at most
BLOCK_VALUES = 2**16  # and no more than hold this many values of (S, n): such arrays stay in cache
MAX_STEP = 3.0  # longest change of any coordinate in one step; more is extrapolation


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
    runs = problem.log_loss.shape[-1]
    weights = np.broadcast_to(weights, (len(starts), runs))
    size = block_size(runs)
    blocks = [
        _minimise_block(problem.take(block), starts[block], weights[block], stages, frozen)
        for block in (slice(i, i + size) for i in range(0, len(starts), size))
    ]
    return Solution(*(np.concatenate([getattr(b, k) for b in blocks]) for k in Solution.__dataclass_fields__))


def block_size(runs: int) -> int:
    """How many problems of so many runs are evaluated together."""
    return int(np.clip(BLOCK_VALUES // runs, 1, BLOCK))


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
        with np.errstate(all="ignore"):  # what is not finite is turned down below
            value, gradient, hessian, metric = problem.evaluate(theta, w, width[: len(theta)])
        for j in frozen:  # no slope and a curvature of its own: the step leaves it alone
            gradient[:, j] = 0.0
            for matrix in (hessian, metric):
                matrix[:, j, :] = matrix[:, :, j] = 0.0
                matrix[:, j, j] = 1.0
        # Where the law is no number there is nothing to descend: a start ends there, a step is not taken.
        sound = np.isfinite(value) & np.isfinite(gradient).all(axis=1)
        sound &= np.isfinite(hessian).all(axis=(1, 2)) & np.isfinite(metric).all(axis=(1, 2))
        value[~sound], gradient[~sound], hessian[~sound], metric[~sound] = (
            np.inf,
            0.0,
            0.0,
            np.eye(theta.shape[1]),
        )
        return value, gradient, hessian, metric

    value, gradient, hessian, metric = evaluate(here)
    damping = np.full(count, 1e-3)
    for _ in range(limit):
        step, predicted, promise = _step(gradient, hessian, metric, damping)
        trial = here + step
        new = evaluate(trial)
        with np.errstate(invalid="ignore"):  # inf - inf, from a start that is no number
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
            problem = problem.take(keep)
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
