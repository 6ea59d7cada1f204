"""Laws that hold the learning rate and the batch within the loss: a valley around the best, and large batches."""

import numpy as np

from analysis.laws.chinchilla import CHINCHILLA
from analysis.laws.jet import Quantity
from analysis.laws.law import Law, Variables

N_REF, D_REF = 1e9, 1e11
"""Where the parameters give the best learning rate and batch."""


def valley_loss(
    x: Variables,
    E: Quantity,
    A: Quantity,
    B: Quantity,
    alpha: Quantity,
    beta: Quantity,
    rate_best: Quantity,
    rate_N: Quantity,
    rate_D: Quantity,
    rate_bend: Quantity,
    batch_best: Quantity,
    batch_D: Quantity,
    batch_bend: Quantity,
    tilt: Quantity,
) -> Quantity:
    """L = E + (A/N^α + B/D^β)·(1 + h·u² + g·v² + t·u·v), u and v the logarithms of rate and batch over their best.

    The best learning rate is η·(N/1e9)^m·(D/1e11)^n, the best batch b·(D/1e11)^q, as in Step Law.
    """
    log_n, log_d = np.log(x["params"] / N_REF), np.log(x["tokens"] / D_REF)
    u = np.log(x["learning_rate"]) - np.log(rate_best) - rate_N * log_n - rate_D * log_d
    v = np.log(x["batch_tokens"]) - np.log(batch_best) - batch_D * log_d
    reducible = A * x["params"] ** -alpha + B * x["tokens"] ** -beta
    return E + reducible * (1 + rate_bend * u * u + batch_bend * v * v + tilt * u * v)


def from_chinchilla(theta: np.ndarray, x: Variables) -> np.ndarray:
    """θ of this law on Chinchilla's, with best values around the middle of those tried and exponents as published."""
    rate, batch = np.log(x["learning_rate"]), np.log(x["batch_tokens"])
    log_n, log_d = np.log(x["params"] / N_REF), np.log(x["tokens"] / D_REF)
    starts = []
    for log_e, log_a, log_b, alpha, beta in theta:
        for m, n, q in ((-0.7, 0.3, 0.57), (-0.4, 0.0, 0.4), (0.0, 0.0, 0.0)):
            for bend in (0.02, 0.08):
                middle = float(np.median(rate - m * log_n - n * log_d))
                starts.append(
                    [
                        *(log_e, log_a, log_b, alpha, beta),
                        *(
                            middle,
                            m,
                            n,
                            np.log(bend),
                            float(np.median(batch - q * log_d)),
                            q,
                            np.log(bend),
                            0.0,
                        ),
                    ]
                )
    return np.array(starts)


VALLEY = Law(
    name="valley",
    formula="L = E + (A/N^α + B/D^β)·(1 + h·u² + g·v² + t·u·v), u = ln(lr/(η·(N/1e9)^m·(D/1e11)^n)), "
    "v = ln(batch/(b·(D/1e11)^q))",
    source="Li et al. 2025 (Step Law, arXiv:2503.04715), eq. 1 for the best values; a parabola in each logarithm",
    variables=("params", "tokens", "learning_rate", "batch_tokens"),
    parameters=(
        *("E", "A", "B", "alpha", "beta"),
        *("rate_best", "rate_N", "rate_D", "rate_bend", "batch_best", "batch_D", "batch_bend", "tilt"),
    ),
    logged=("E", "A", "B", "rate_best", "rate_bend", "batch_best", "batch_bend"),
    amplitudes=("E", "A", "B"),
    signed=("rate_N", "rate_D", "batch_D", "tilt"),
    expression=valley_loss,
    simpler=(CHINCHILLA, from_chinchilla),
    typical={
        "E": 1.7, "A": 400.0, "B": 1000.0, "alpha": 0.34, "beta": 0.34, "rate_best": 1.6e-3, "rate_N": -0.71,
        "rate_D": 0.31, "rate_bend": 0.03, "batch_best": 1.1e6, "batch_D": 0.57, "batch_bend": 0.02, "tilt": -0.01,
    },
)  # fmt: skip


def critical_loss(
    x: Variables,
    E: Quantity,
    A: Quantity,
    B: Quantity,
    alpha: Quantity,
    beta: Quantity,
    batch_critical: Quantity,
    delta: Quantity,
) -> Quantity:
    """L = E + A/N^α + B/D'^β, D' = D/(1 + batch/(b·(D/1e11)^δ)): a batch beyond the critical one wastes tokens."""
    log_d = np.log(x["tokens"])
    log_over = np.log(x["batch_tokens"]) - np.log(batch_critical) - delta * (log_d - np.log(D_REF))
    log_worth = log_d - np.log1p(np.exp(log_over))
    return E + A * x["params"] ** -alpha + B * np.exp(-beta * log_worth)


CRITICAL_BATCH = Law(
    name="critical_batch",
    formula="L = E + A/N^α + B/D'^β, D' = D/(1 + batch/(b·(D/1e11)^δ))",
    source="McCandlish et al. 2018 (arXiv:1812.06162), eq. 2.11; Zhang et al. 2024 (arXiv:2410.21676): power of D",
    variables=("params", "tokens", "batch_tokens"),
    parameters=("E", "A", "B", "alpha", "beta", "batch_critical", "delta"),
    logged=("E", "A", "B", "batch_critical"),
    amplitudes=("E", "A", "B"),
    signed=("delta",),
    box={
        "alpha": (0.1, 0.9),
        "beta": (0.1, 0.9),
        "batch_critical": (np.log(1e5), np.log(3e7)),
        "delta": (0.0, 0.8),
    },
    expression=critical_loss,
    typical={
        "E": 1.7, "A": 400.0, "B": 1000.0, "alpha": 0.34, "beta": 0.34, "batch_critical": 2e6, "delta": 0.47,
    },
)  # fmt: skip
