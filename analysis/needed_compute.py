"""The compute that a law's best split needs for a loss: its compute-optimal frontier, inverted."""

import numpy as np

from analysis import allocate
from analysis.laws.law import Law

POINTS = 257
"""Budgets at which the frontier is known; between them log C is taken as linear in log L."""
CROWDING = 4.0
"""How much closer those budgets lie near the middle than at the ends (they follow a hyperbolic sine): a small waste is
found to 2e-6 of the compute, a factor of ten thousand to two thousandths."""


def compute_for_loss(
    law: Law,
    theta: np.ndarray,
    loss: np.ndarray,
    around_flops: np.ndarray,
    *,
    reach: float = 1e4,
    flops_per_param_token: float = allocate.TRAIN_FLOPS_PER_PARAM_TOKEN,
    unique_tokens: float | None = None,
) -> np.ndarray:
    """FLOPs with which the best split of each row of θ reaches its losses, shape (S, m).

    Args:
        law: a law with a split (`Law.has_split`).
        theta: coordinates of the law, shape (S, p).
        loss: shape (S, m), in the unit of the law.
        around_flops: near which budget each loss is looked for, shape (m,).
        reach: how far from there, as a factor, down and up.
        flops_per_param_token: k in C = k·N·D.
        unique_tokens: for a law that needs them.

    Returns:
        The compute; infinite where the loss is not reached within `reach`, 0 where far less compute reaches it, NaN
        where the row of θ has no optimum.
    """
    spread = np.sinh(np.linspace(-CROWDING, CROWDING, POINTS)) / np.sinh(CROWDING) * np.log(reach)
    result = np.full(loss.shape, np.nan)
    for column, middle in enumerate(np.asarray(around_flops, dtype=float)):
        budgets = middle * np.exp(spread)
        frontier = allocate.optimal(
            law, theta, budgets, flops_per_param_token=flops_per_param_token, unique_tokens=unique_tokens
        ).loss
        for row, (line, wanted) in enumerate(zip(frontier, loss[:, column], strict=True)):
            if not (np.isfinite(line).all() and np.isfinite(wanted) and (np.diff(line) < 0).all()):
                continue
            if wanted < line[-1]:
                result[row, column] = np.inf
            elif wanted > line[0]:
                result[row, column] = 0.0
            else:
                log_compute = np.interp(-np.log(wanted), -np.log(line), np.log(budgets))
                result[row, column] = np.exp(log_compute)
    return result
