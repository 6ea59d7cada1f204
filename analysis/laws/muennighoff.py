"""Muennighoff's law: Chinchilla's for training data that are seen several times."""

import numpy as np

from analysis.laws.jet import Quantity
from analysis.laws.law import Law, Variables

SATURATED = 50.0
"""log(N/U_N) beyond which more parameters are worth nothing: against overflow in a wild trial step."""


def _log_worth(repeats: Quantity, half_life: Quantity) -> Quantity:
    """log h, h = 1 + R*·(1 - exp(-R/R*)): the worth of 1 + R passes in passes over fresh data."""
    return np.log(1 - half_life * np.expm1(-repeats / half_life))


def muennighoff_loss(
    x: Variables,
    E: Quantity,
    A: Quantity,
    B: Quantity,
    alpha: Quantity,
    beta: Quantity,
    R_D: Quantity,
    R_N: Quantity,
) -> Quantity:
    """L = E + A/N'^α + B/D'^β.

    D' = U_D·h(D/U_D - 1, R*_D) with U_D unique tokens; N' = U_N·h(N/U_N - 1, R*_N), where U_N is the smaller of N and
    the size for which U_D tokens are compute-optimal under the same law.
    """
    log_n, log_d = np.log(x["params"]), np.log(x["tokens"])
    log_unique = np.minimum(np.log(x["unique_tokens"]), log_d)
    log_a, log_b = np.log(A), np.log(B)
    log_d_eff = log_unique + _log_worth(np.expm1(log_d - log_unique), R_D)

    log_g = (np.log(alpha) + log_a - np.log(beta) - log_b) / (alpha + beta)
    ratio = beta / alpha
    log_match = ratio * log_unique + (1 + ratio) * log_g  # size for which U_D tokens are compute-optimal
    excess = np.minimum(np.maximum(log_n - log_match, 0.0), SATURATED)
    log_n_eff = np.minimum(log_match, log_n) + _log_worth(np.expm1(excess), R_N)
    return E + np.exp(log_a - alpha * log_n_eff) + np.exp(log_b - beta * log_d_eff)


MUENNIGHOFF = Law(
    name="muennighoff",
    formula="L = E + A/N'^α + B/D'^β, D' = U_D(1 + R*_D(1 - e^(-R_D/R*_D))), N' likewise",
    source="Muennighoff et al. 2023 (arXiv:2305.16264), eqs. 5 and 6, coefficients from appendix A",
    variables=("params", "tokens", "unique_tokens"),
    parameters=("E", "A", "B", "alpha", "beta", "R_D", "R_N"),
    logged=("E", "A", "B", "alpha", "beta", "R_D", "R_N"),
    amplitudes=("E", "A", "B"),
    box={
        "alpha": (np.log(0.1), np.log(1.0)),
        "beta": (np.log(0.1), np.log(1.0)),
        "R_D": (0.0, np.log(60.0)),
        "R_N": (0.0, np.log(60.0)),
    },
    expression=muennighoff_loss,
    published={
        "muennighoff2023": {
            "E": 1.869, "A": 521.0, "B": 1488.0, "alpha": 0.353, "beta": 0.353, "R_D": 15.39, "R_N": 5.31,
        }
    },
)  # fmt: skip
