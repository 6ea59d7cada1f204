"""What it costs to be wrong about the best size: in loss, and in compute that the best size would not have needed.

Training N parameters on a budget C, where N* is best, ends at a loss that the best split reaches with less compute,
C_eq. The difference C − C_eq is the deadweight compute (Czech et al. 2026, arXiv:2603.22339, section 5). For
Chinchilla's law it has a closed form that knows neither E nor C: with u = log(N/N*) and γ = αβ/(α + β),

    C_eq/C = ((β·e^(−αu) + α·e^(βu)) / (α + β))^(−1/γ),

since the reducible loss grows by the bracket and falls as C^−γ along the frontier. A valley is flat at its bottom: a
size that is wrong by a quarter costs about 1 % of the compute at Chinchilla's exponents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis import allocate, laws
from analysis.laws.law import Law
from analysis.needed_compute import compute_for_loss
from analysis.quantiles import normal
from analysis.refusals import TooFewPoints
from analysis.uncertainty import percentiles

if TYPE_CHECKING:  # a budget's plan does not wait for pandas
    from analysis.isoflop import Valleys
    from analysis.result import FitResult
    from analysis.valley import Valley

WITHIN = (0.001, 0.005, 0.01)
"""Shares of the compute for which the range of sizes is given."""
WIDEST = 1e3
"""How far from the best size, as a factor, that range is looked for."""
SEARCHED_DRAWS = 200
"""Most draws of a law whose optimum has no closed form: each needs a search at every budget of the frontier."""

Pair = tuple[float, float]


@dataclass(frozen=True)
class Regret:
    """What it costs to train another size than the best one on a budget.

    Attributes:
        flops: the budget.
        source: what the optimum comes from, "law" or "valley".
        params_opt, loss_opt: the best size and its loss.
        params_interval: interval of the best size at `level`.
        level: probability of the interval, and of `high_loss` and `high_share`.
        loss_at_ends: loss above the best, if the truth is the estimate and an end of the interval is trained.
        share_at_ends: the same as deadweight compute, as a share of the budget.
        within: share of the budget → the sizes between which no more than that is lost.
        expected_loss, expected_share: mean cost of training `params_opt`, over what the best size may be.
        high_loss, high_share: cost that is exceeded with probability 1 − `level`.

    What is not estimated is NaN.
    """

    flops: float
    source: str
    params_opt: float
    loss_opt: float
    params_interval: Pair
    level: float
    loss_at_ends: Pair
    share_at_ends: Pair
    within: dict[float, Pair]
    expected_loss: float
    expected_share: float
    high_loss: float
    high_share: float


def cost_of_size(
    law: Law,
    theta: np.ndarray,
    flops: float,
    params: np.ndarray,
    *,
    flops_per_param_token: float = allocate.TRAIN_FLOPS_PER_PARAM_TOKEN,
    unique_tokens: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What sizes lose against each row of θ's best on a budget: loss, and share of the compute, each of shape (S, m).

    Args:
        law: a law with a split.
        theta: coordinates of the law, shape (S, p).
        flops: the budget C.
        params: the sizes to train on it, shape (S, m).
        flops_per_param_token: k in C = k·N·D.
        unique_tokens: for a law that needs them.

    Raises:
        NoOptimum: under no row of θ is there a best size.
    """
    best = allocate.optimal(
        law,
        theta,
        np.array([flops]),
        flops_per_param_token=flops_per_param_token,
        unique_tokens=unique_tokens,
    )
    rows = np.repeat(theta, params.shape[1], axis=0)
    x = {"params": params.ravel(), "tokens": (flops / (flops_per_param_token * params)).ravel()}
    if unique_tokens is not None:
        x["unique_tokens"] = np.full(params.size, float(unique_tokens))
    loss = law.loss_each(rows, x).reshape(params.shape)
    loss = np.maximum(loss, best.loss)  # the search stops within rounding of the best
    needed = compute_for_loss(
        law,
        theta,
        loss,
        np.full(params.shape[1], flops),
        flops_per_param_token=flops_per_param_token,
        unique_tokens=unique_tokens,
    )
    share = np.clip(1 - needed / flops, 0.0, 1.0)
    return loss - best.loss, share


def regret_of_law(
    law: Law,
    theta: np.ndarray,
    draws: np.ndarray,
    flops: float,
    level: float,
    *,
    stretch: float = 1.0,
    flops_per_param_token: float = allocate.TRAIN_FLOPS_PER_PARAM_TOKEN,
    unique_tokens: float | None = None,
) -> Regret:
    """What the uncertainty of a law's best size costs at a budget.

    Under each draw, the law's own best size stands at some distance from the draw's; that distance times `stretch`
    (the factor by which intervals are wider than their percentiles) is what is regretted. A draw under which no size is
    best counts as all of the compute.

    Args:
        law: a law with a split.
        theta: its estimate, shape (p,).
        draws: its draws, shape (B, p); no rows leave interval and expectation not estimated.
        flops: the budget C.
        level: probability of the interval.
        stretch: see above.
        flops_per_param_token: k in C = k·N·D.
        unique_tokens: for a law that needs them.

    Raises:
        NoOptimum: the law has no best size at this budget.
    """

    def best(rows: np.ndarray) -> allocate.Allocation:
        return allocate.optimal(
            law,
            rows,
            np.array([flops]),
            flops_per_param_token=flops_per_param_token,
            unique_tokens=unique_tokens,
        )

    def cost(rows: np.ndarray, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return cost_of_size(
            law,
            rows,
            flops,
            params,
            flops_per_param_token=flops_per_param_token,
            unique_tokens=unique_tokens,
        )

    point = best(theta[None])
    params_opt = float(point.params[0, 0])
    nan = float("nan")
    interval, loss_ends, share_ends = (nan, nan), (nan, nan), (nan, nan)
    expected_loss = expected_share = high_loss = high_share = nan
    if len(draws):
        if law.log_optimum is None:
            draws = draws[:SEARCHED_DRAWS]
        of_draws = best(draws).params
        low, high = percentiles(of_draws[:, 0], level, stretch)
        interval = (float(low), float(high))
        ends = np.array([interval])
        if np.isfinite(ends).all() and (ends > 0).all():
            losses, shares = cost(theta[None], ends)
            loss_ends = (float(losses[0, 0]), float(losses[0, 1]))
            share_ends = (float(shares[0, 0]), float(shares[0, 1]))
        lost_loss, lost_share = cost(draws, of_draws * (params_opt / of_draws) ** stretch)
        lost_share = np.where(np.isnan(lost_share), 1.0, lost_share)
        expected_share, high_share = float(lost_share.mean()), float(np.quantile(lost_share, level))
        known = ~np.isnan(lost_loss)
        if known.all():
            expected_loss, high_loss = float(lost_loss.mean()), float(np.quantile(lost_loss, level))
    reach = np.exp(np.sinh(np.linspace(-4, 4, 801)) / np.sinh(4) * np.log(WIDEST))
    shares = cost(theta[None], params_opt * reach[None])[1][0]
    return Regret(
        flops=flops,
        source="law",
        params_opt=params_opt,
        loss_opt=float(point.loss[0, 0]),
        params_interval=interval,
        level=level,
        loss_at_ends=loss_ends,
        share_at_ends=share_ends,
        within={share: range_within(params_opt * reach, shares, share) for share in WITHIN},
        expected_loss=expected_loss,
        expected_share=expected_share,
        high_loss=high_loss,
        high_share=high_share,
    )


def range_within(params: np.ndarray, shares: np.ndarray, limit: float) -> Pair:
    """The sizes between which the share lost stays within a limit, on a grid whose middle is the best size.

    The root of the share is all but linear in log N on either side, so it is interpolated; a side on which the limit is
    not passed ends at 0 or infinity.
    """
    middle = len(params) // 2
    root, log_params = np.sqrt(shares), np.log(params)

    def end(side: slice, beyond: float) -> float:
        rising = np.maximum.accumulate(root[side])
        if not rising[-1] > np.sqrt(limit):
            return beyond
        return float(np.exp(np.interp(np.sqrt(limit), rising, log_params[side])))

    return end(slice(middle, None, -1), 0.0), end(slice(middle, None), float("inf"))


def regret_of_fit(result: FitResult, flops: float, *, unique_tokens: float | None = None) -> Regret:
    """What the uncertainty of a fitted law's best size costs at a budget; see `regret_of_law`."""
    return regret_of_law(
        laws.get(result.law),
        result.theta,
        result.draws,
        flops,
        result.level,
        stretch=result.widening if len(result.draws) else 1.0,
        flops_per_param_token=result.flops_per_param_token,
        unique_tokens=unique_tokens,
    )


def share_lost(result: FitResult, flops: float, params: float) -> float:
    """Share of a budget that a size wastes, if the fitted law is true.

    Raises:
        Refusal: the law has no best size there.
    """
    _, share = cost_of_size(
        laws.get(result.law),
        result.theta[None],
        flops,
        np.array([[params]]),
        flops_per_param_token=result.flops_per_param_token,
    )
    return float(share[0, 0])


def regret_of_valleys(found: Valleys) -> tuple[Regret, ...]:
    """What the uncertainty of each valley's best size costs, by the curvature of its parabola.

    A loss above the bottom is worth as much compute as the bottoms themselves say: how fast they fall from one budget
    to the next (d log L / d log C between neighbours).

    Raises:
        TooFewPoints: there are no two valleys to take that from.
    """
    bottoms = found.valleys
    if len(bottoms) < 2:
        raise TooFewPoints(
            f"{len(bottoms)} budgets with a minimum: what a loss is worth in compute needs 2 or more"
        )
    log_loss = np.log([valley.loss_opt for valley in bottoms])
    falls = -np.gradient(log_loss, np.log([valley.budget_flops for valley in bottoms]))
    return tuple(
        _of_valley(valley, float(fall), found.level) for valley, fall in zip(bottoms, falls, strict=True)
    )


def _of_valley(valley: Valley, fall: float, level: float) -> Regret:
    curvature = float(np.polyfit(np.log(valley.curve_params), np.log(valley.curve_loss), 2)[0])
    square = valley.log_std**2

    def loss_and_share(squares: float) -> Pair:
        """What a size costs whose log is off by the root of `squares`."""
        rise = curvature * squares
        share = 1 - np.exp(-rise / fall) if fall > 0 and curvature > 0 else np.nan
        return float(valley.loss_opt * np.expm1(rise)), float(share)

    off = [loss_and_share(float(np.log(end / valley.params_opt) ** 2)) for end in valley.params_interval]
    within = {}
    for share in WITHIN:
        reach = np.sqrt(-np.log1p(-share) * fall / curvature) if fall > 0 and curvature > 0 else np.nan
        within[share] = (float(valley.params_opt * np.exp(-reach)), float(valley.params_opt * np.exp(reach)))
    expected, high = loss_and_share(square), loss_and_share(square * normal(0.5 + level / 2) ** 2)
    return Regret(
        flops=valley.budget_flops,
        source="valley",
        params_opt=valley.params_opt,
        loss_opt=valley.loss_opt,
        params_interval=valley.params_interval,
        level=level,
        loss_at_ends=(off[0][0], off[1][0]),
        share_at_ends=(off[0][1], off[1][1]),
        within=within,
        expected_loss=expected[0],
        expected_share=expected[1],
        high_loss=high[0],
        high_share=high[1],
    )
