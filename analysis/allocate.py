"""Where to spend: the size and tokens that a law calls best for a compute budget, a data budget or a life of inference.

θ has shape (S, p) (an estimate, or the draws of a bootstrap) and budgets shape (m,); answers have shape (S, m).
Training costs `flops_per_param_token`·N·D, usually 6 (forward 2, backward 4; Kaplan et al. 2020, section 2.1).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.laws.law import Law
from analysis.refusals import BadValue, NoOptimum

TRAIN_FLOPS_PER_PARAM_TOKEN = 6.0
INFERENCE_FLOPS_PER_PARAM_TOKEN = 2.0  # a forward pass (Kaplan et al. 2020, section 2.1)
LOG_PARAMS_RANGE = (np.log(1e3), np.log(1e16))  # the widest range of sizes that a numerical search looks at


@dataclass(frozen=True)
class Allocation:
    """What to train. Arrays of shape (S, m).

    Attributes:
        params: N, in the law's own convention.
        tokens: D, passes over repeated data included.
        loss: predicted loss in nats per token.
        train_flops: compute spent on training.
        inference_flops: compute spent on serving (0 where none was asked for).
    """

    params: np.ndarray
    tokens: np.ndarray
    loss: np.ndarray
    train_flops: np.ndarray
    inference_flops: np.ndarray


def optimal(
    law: Law,
    theta: np.ndarray,
    flops: np.ndarray,
    *,
    flops_per_param_token: float = TRAIN_FLOPS_PER_PARAM_TOKEN,
    unique_tokens: float | None = None,
) -> Allocation:
    """N and D that minimise the loss on C = k·N·D; with `unique_tokens`, for a law that knows what repeats are worth.

    Raises:
        BadValue: a budget is not positive, or the law needs `unique_tokens`.
        NoOptimum: the law has no trade between N and D, or the loss still falls at the edge of every sensible size.
    """
    flops = _positive(flops, "a compute budget (flops)")
    theta = np.atleast_2d(theta)
    _needs_trade(law, unique_tokens)
    if law.log_optimum is not None:
        with np.errstate(invalid="ignore"):
            log_n = law.log_optimum(theta, np.log(flops / flops_per_param_token))
        if not np.isfinite(log_n).any():
            raise NoOptimum(
                f"law {law.name!r} has no optimum here: its exponents are not positive, so the loss does not fall "
                "with both N and D"
            )
        params = np.exp(log_n)
    else:

        def tokens_of(log_n: np.ndarray, budget: np.ndarray) -> np.ndarray:
            return np.asarray(budget / (flops_per_param_token * np.exp(log_n)))

        params = np.exp(_search(law, theta, flops, tokens_of, unique_tokens))
    tokens = flops / (flops_per_param_token * params)
    loss = _loss(law, theta, params, tokens, unique_tokens)
    return Allocation(params, tokens, loss, flops_per_param_token * params * tokens, np.zeros_like(params))


def optimal_with_inference(
    law: Law,
    theta: np.ndarray,
    flops: np.ndarray,
    inference_tokens: float,
    *,
    flops_per_param_token: float = TRAIN_FLOPS_PER_PARAM_TOKEN,
    inference_flops_per_param_token: float = INFERENCE_FLOPS_PER_PARAM_TOKEN,
    unique_tokens: float | None = None,
) -> Allocation:
    """N and D that minimise the loss when training and serving share one budget, C = k·N·D + k'·N·inference_tokens."""
    flops = _positive(flops, "a compute budget (flops)")
    theta = np.atleast_2d(theta)
    _needs_trade(law, unique_tokens)
    served = inference_flops_per_param_token * float(
        _positive(inference_tokens, "inference_tokens", zero=True)[0]
    )

    def tokens_of(log_n: np.ndarray, budget: np.ndarray) -> np.ndarray:
        return np.asarray((budget / np.exp(log_n) - served) / flops_per_param_token)

    params = np.exp(_search(law, theta, flops, tokens_of, unique_tokens))
    tokens = tokens_of(np.log(params), flops)
    loss = _loss(law, theta, params, tokens, unique_tokens)
    return Allocation(params, tokens, loss, flops_per_param_token * params * tokens, served * params)


def cheapest_for_loss(
    law: Law,
    theta: np.ndarray,
    loss: np.ndarray,
    inference_tokens: float = 0.0,
    *,
    flops_per_param_token: float = TRAIN_FLOPS_PER_PARAM_TOKEN,
    inference_flops_per_param_token: float = INFERENCE_FLOPS_PER_PARAM_TOKEN,
    unique_tokens: float | None = None,
) -> Allocation:
    """The model that reaches `loss` (m,) for the least compute over its life, k·N·D + k'·N·D_inf.

    Sardana et al. 2024 (arXiv:2401.00448), eq. 2: more inference asks for a smaller model trained on more tokens.
    """
    target = _positive(loss, "a target loss")
    theta = np.atleast_2d(theta)
    _needs_trade(law, unique_tokens)
    served = inference_flops_per_param_token * float(
        _positive(inference_tokens, "inference_tokens", zero=True)[0]
    )
    _, columns, pairs = _pairs(theta, target)

    def log_cost(log_n: np.ndarray, problem: np.ndarray) -> np.ndarray:
        log_d = _log_tokens_for_loss(law, pairs[problem], log_n, target[columns][problem], unique_tokens)
        train: np.ndarray = np.log(flops_per_param_token) + log_n + log_d
        return np.logaddexp(train, np.log(served) + log_n) if served > 0 else train

    log_n = _minimise_1d(log_cost, len(pairs))
    _refuse_edge(
        log_n,
        f"no model reaches a loss of {target.min():.4g}: it is at or below what law {law.name!r} can reach",
    )
    params = np.exp(log_n)
    tokens = np.exp(_log_tokens_for_loss(law, pairs, log_n, target[columns], unique_tokens))
    shape = (len(theta), len(target))
    params, tokens = params.reshape(shape), tokens.reshape(shape)
    return Allocation(
        params,
        tokens,
        _loss(law, theta, params, tokens, unique_tokens),
        flops_per_param_token * params * tokens,
        served * params,
    )


def _needs_trade(law: Law, unique_tokens: float | None) -> None:
    if not law.has_split:
        alone = f"depends on {', '.join(law.variables)} alone"
        what = alone if law.target == "loss" else f"predicts {law.target}, not the loss"
        raise NoOptimum(f"law {law.name!r} {what}: it trades nothing between N and D")
    if "unique_tokens" in law.variables and unique_tokens is None:
        raise BadValue(
            f"law {law.name!r} needs unique_tokens: how many different tokens there are to train on"
        )


def _positive(value: float | np.ndarray, what: str, *, zero: bool = False) -> np.ndarray:
    values = np.atleast_1d(np.asarray(value, dtype=float))
    wrong = ~np.isfinite(values) | (values < 0 if zero else values <= 0)
    if wrong.any():
        raise BadValue(
            f"{what} must be finite and {'not negative' if zero else 'positive'}; got {values[wrong][0]:g}"
        )
    return values


def _pairs(theta: np.ndarray, budgets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, columns = (index.ravel() for index in np.indices((len(theta), len(budgets))))
    return rows, columns, theta[rows]


def _loss(
    law: Law, theta: np.ndarray, params: np.ndarray, tokens: np.ndarray, unique: float | None
) -> np.ndarray:
    rows, _, pairs = _pairs(theta, params[0])
    x = {"params": params.ravel(), "tokens": tokens.ravel()}
    if unique is not None:
        x["unique_tokens"] = np.full(len(rows), float(unique))
    return law.loss_each(pairs, x).reshape(params.shape)


def _search(
    law: Law,
    theta: np.ndarray,
    flops: np.ndarray,
    tokens_of: Callable[[np.ndarray, np.ndarray], np.ndarray],
    unique: float | None,
) -> np.ndarray:
    """log N of shape (S, m) that minimises the loss along tokens_of(log N, C)."""
    _, columns, pairs = _pairs(theta, flops)
    budget = flops[columns]

    def log_loss(log_n: np.ndarray, problem: np.ndarray) -> np.ndarray:
        tokens = tokens_of(log_n, budget[problem])
        possible = tokens > 0
        x = {"params": np.exp(log_n), "tokens": np.where(possible, tokens, 1.0)}
        if unique is not None:
            x["unique_tokens"] = np.full(len(log_n), float(unique))
        return np.where(possible, np.log(law.loss_each(pairs[problem], x)), np.inf)

    log_n = _minimise_1d(log_loss, len(pairs))
    _refuse_edge(
        log_n,
        f"law {law.name!r} has no interior optimum: its loss still falls at the edge of all sizes from 1e3 to 1e16",
    )
    return log_n.reshape(len(theta), len(flops))


def _refuse_edge(log_n: np.ndarray, message: str) -> None:
    low, high = LOG_PARAMS_RANGE
    if ((log_n < low + 0.1) | (log_n > high - 0.1)).all():
        raise NoOptimum(message)


def _minimise_1d(function: Callable[[np.ndarray, np.ndarray], np.ndarray], count: int) -> np.ndarray:
    """The minimiser of a valley in log N for each of `count` problems: a grid, then a grid inside its best cell.

    `function` takes values of log N and, for each, the index of its problem. A valley is flat at the bottom, so values
    alone fix log N only to about 1e-8; a last parabola through three points a ten-thousandth apart finds the rest.
    """
    low, high = (np.full(count, edge) for edge in LOG_PARAMS_RANGE)
    points, problem = 33, np.arange(count)
    for _ in range(5):
        grid = low + (high - low) * np.linspace(0, 1, points)[:, None]
        values = function(grid.ravel(), np.tile(problem, points)).reshape(grid.shape)
        best = np.where(np.isfinite(values), values, np.inf).argmin(axis=0)
        span = (high - low) / (points - 1)
        centre = np.take_along_axis(grid, best[None], axis=0)[0]
        low = np.maximum(centre - span, LOG_PARAMS_RANGE[0])
        high = np.minimum(centre + span, LOG_PARAMS_RANGE[1])
    h = 1e-4
    left, middle, right = (function(centre + offset, problem) for offset in (-h, 0.0, h))
    with np.errstate(invalid="ignore", divide="ignore"):
        bend = left - 2 * middle + right
        shift = np.where(bend > 0, 0.5 * h * (left - right) / bend, 0.0)
    return np.asarray(np.where(np.isfinite(shift) & (np.abs(shift) < h), centre + shift, centre))


def _log_tokens_for_loss(
    law: Law, pairs: np.ndarray, log_n: np.ndarray, loss: np.ndarray, unique: float | None
) -> np.ndarray:
    """log D at which size N reaches the loss, by bisection in log D; inf where no number of tokens does."""
    low, high = np.zeros_like(log_n), np.full_like(log_n, np.log(1e30))
    x = {"params": np.exp(log_n)}
    if unique is not None:
        x["unique_tokens"] = np.full(len(log_n), float(unique))
    reachable = law.loss_each(pairs, {**x, "tokens": np.exp(high)}) < loss
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = law.loss_each(pairs, {**x, "tokens": np.exp(middle)}) > loss
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(reachable, 0.5 * (low + high), np.inf)
