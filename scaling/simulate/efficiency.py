"""How much a robust fit loses to least squares under normal noise, in closed form."""

from math import erf, exp, inf, pi, sqrt

from analysis.objectives import Objective


def variance_factor(objective: Objective, sigma: float) -> float:
    """Variance of an estimate under `objective` over that of least squares, for normal errors of log loss of size σ.

    E[ψ²]/(σ² E[ψ']²) of Huber's ψ (Huber 1964, eq. 13), k = δ/σ: from 1 for wide δ to π/2 for an absolute value.
    An objective of raw losses counts as that of log losses with δ over the loss, which is near 1 nat in order.
    """
    if objective.delta == inf or sigma <= 0:
        return 1.0
    k = objective.delta / sigma
    if objective.delta == 0 or k < 1e-6:
        return pi / 2
    inside = erf(k / sqrt(2))
    density = exp(-0.5 * k * k) / sqrt(2 * pi)
    square = inside - 2 * k * density + k * k * (1 - inside)
    return square / inside**2
