"""What an error costs: the regret of training at the estimated rather than at the true optimum."""

from dataclasses import dataclass

import numpy as np

from analysis.allocate import TRAIN_FLOPS_PER_PARAM_TOKEN
from scaling.simulate.laboratory import Laboratory


@dataclass(frozen=True)
class Regret:
    """Means over simulated studies; a study without an answer counts in `unanswered` alone.

    Attributes:
        loss_nats: excess loss over what the compute could reach.
        flops: compute that buys nothing: the target's minus what reaches the same loss at the true optimum.
        share: that over the target's compute, the "deadweight" share.
        worst_share: its 95th percentile.
        unanswered: share of studies without an estimate.
    """

    loss_nats: float
    flops: float
    share: float
    worst_share: float
    unanswered: float


def regret(
    laboratory: Laboratory, theta: np.ndarray, bend: np.ndarray, flops: float, log_n: np.ndarray
) -> Regret:
    """The regret of training sizes exp(log_n), shape (S,), at a compute where θ (S, p) and bends (S, 3) are true."""
    answered = np.isfinite(log_n)
    if not answered.any():
        nan = float("nan")
        return Regret(nan, nan, nan, nan, 1.0)
    theta, bend, log_n = theta[answered], bend[answered], log_n[answered]
    total = np.log(flops / TRAIN_FLOPS_PER_PARAM_TOKEN)
    _, best = laboratory.log_optimum(theta, bend, flops)
    # A size may be estimated so far off that not one token is left for it.
    chosen = np.minimum(log_n, total)
    got = laboratory.log_truth_each(theta, bend, chosen[:, None], (total - chosen)[:, None])[:, 0]
    share = 1 - np.exp(_log_share_needed(laboratory, theta, bend, flops, np.maximum(got, best)))
    return Regret(
        loss_nats=float(np.mean(np.exp(got) - np.exp(best))),
        flops=float(np.mean(share) * flops),
        share=float(np.mean(share)),
        worst_share=float(np.quantile(share, 0.95)),
        unanswered=float(1 - answered.mean()),
    )


def _log_share_needed(
    laboratory: Laboratory, theta: np.ndarray, bend: np.ndarray, flops: float, log_loss: np.ndarray
) -> np.ndarray:
    """log of the share of the compute whose true optimum has the loss exp(log_loss), shape (S,), by bisection."""
    low, high = np.full(len(theta), -np.log(1e6)), np.zeros(len(theta))
    for _ in range(30):
        middle = 0.5 * (low + high)
        total = np.log(flops / TRAIN_FLOPS_PER_PARAM_TOKEN) + middle
        reached = _log_best(laboratory, theta, bend, total)
        low, high = np.where(reached > log_loss, middle, low), np.where(reached > log_loss, high, middle)
    return 0.5 * (low + high)


def _log_best(laboratory: Laboratory, theta: np.ndarray, bend: np.ndarray, total: np.ndarray) -> np.ndarray:
    """The least log loss of each study on a compute of its own, log(C/6) of shape (S,)."""
    offsets = np.linspace(-6, 6, 25)
    centre = 0.5 * total
    value = np.empty(0)
    for width in (2.0, 0.4, 0.05):
        log_n = centre[:, None] + width * offsets
        values = laboratory.log_truth_each(theta, bend, log_n, total[:, None] - log_n)
        best = values.argmin(axis=1)
        rows = np.arange(len(total))
        centre, value = log_n[rows, best], values[rows, best]
    return value
