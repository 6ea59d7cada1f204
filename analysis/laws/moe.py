"""Laws of mixtures of experts: models of which a token uses only some parameters."""

import numpy as np

from analysis.laws.jet import Quantity
from analysis.laws.law import Law, Variables


def clark_loss(
    x: Variables, a: Quantity, b: Quantity, c: Quantity, d: Quantity, E_start: Quantity, E_max: Quantity
) -> Quantity:
    """log L = a·log N + b·log Ê + c·log N·log Ê + d, logarithms to base 10, N active parameters.

    Ê saturates: 1/Ê = 1/(E - 1 + 1/(1/E_start - 1/E_max)) + 1/E_max (eq. 7), so it starts at E_start for one expert.
    """
    log_n = np.log10(x["params_active"])
    log_e = -np.log10(1 / (x["experts"] - 1 + 1 / (1 / E_start - 1 / E_max)) + 1 / E_max)
    return np.exp(np.log(10.0) * (a * log_n + b * log_e + c * log_n * log_e + d))


MOE_CLARK = Law(
    name="moe_clark",
    formula="log10 L = a·log N + b·log Ê + c·log N·log Ê + d, 1/Ê = 1/(E - 1 + 1/(1/E_start - 1/E_max)) + 1/E_max",
    source="Clark et al. 2022 (arXiv:2202.01169), eqs. 6 and 7, table 3; N active parameters",
    variables=("params_active", "experts"),
    parameters=("a", "b", "c", "d", "E_start", "E_max"),
    logged=("E_start", "E_max"),
    signed=("a", "b", "c", "d"),
    box={
        "a": (-0.2, -0.02),
        "b": (-0.3, 0.0),
        "c": (0.0, 0.03),
        "d": (0.5, 2.0),
        "E_start": (np.log(1.1), np.log(6.0)),
        "E_max": (np.log(50.0), np.log(2000.0)),
    },
    expression=clark_loss,
    published={
        "clark2022_s_base": {
            "a": -0.082,
            "b": -0.108,
            "c": 0.009,
            "d": 1.104,
            "E_start": 1.847,
            "E_max": 314.478,
        },
        "clark2022_rl_r": {
            "a": -0.083,
            "b": -0.126,
            "c": 0.012,
            "d": 1.111,
            "E_start": 1.880,
            "E_max": 469.982,
        },
        "clark2022_hash": {
            "a": -0.087,
            "b": -0.136,
            "c": 0.012,
            "d": 1.157,
            "E_start": 4.175,
            "E_max": 477.741,
        },
    },
)


def krajewski_loss(
    x: Variables,
    c: Quantity,
    g: Quantity,
    gamma: Quantity,
    a: Quantity,
    alpha: Quantity,
    b: Quantity,
    beta: Quantity,
) -> Quantity:
    """L = c + (g/G^γ + a)/N^α + b/D^β: finer experts lower the term of the size."""
    fine = g * x["granularity"] ** -gamma + a
    return c + fine * x["params"] ** -alpha + b * x["tokens"] ** -beta


MOE_KRAJEWSKI = Law(
    name="moe_krajewski",
    formula="L = c + (g/G^γ + a)/N^α + b/D^β",
    source="Krajewski et al. 2024 (arXiv:2402.07871), eq. 9 and table 1, sixty-four-fold expansion; G granularity",
    variables=("params", "tokens", "granularity"),
    parameters=("c", "g", "gamma", "a", "alpha", "b", "beta"),
    logged=("c", "g", "a", "b"),
    amplitudes=("c", "g", "a", "b"),
    box={"gamma": (0.1, 1.5), "alpha": (0.05, 0.6), "beta": (0.05, 0.6)},
    expression=krajewski_loss,
    published={
        "krajewski2024": {
            "c": 0.47, "g": 2.1, "gamma": 0.58, "a": 18.1, "alpha": 0.115, "b": 30.8, "beta": 0.147,
        }
    },
)  # fmt: skip


def abnar_loss(
    x: Variables,
    e: Quantity,
    a: Quantity,
    alpha: Quantity,
    b: Quantity,
    beta: Quantity,
    c: Quantity,
    lambda_: Quantity,
    d: Quantity,
    delta: Quantity,
    gamma: Quantity,
) -> Quantity:
    """L = e + a/N^α + b/D^β + c/(1 - S)^λ + d/((1 - S)^δ·N^γ), N total parameters, S the share left out."""
    log_dense = np.log1p(-x["sparsity"])
    n = x["params_total"]
    return (
        e
        + a * n**-alpha
        + b * x["tokens"] ** -beta
        + c * np.exp(-lambda_ * log_dense)
        + d * np.exp(-delta * log_dense) * n**-gamma
    )


MOE_ABNAR = Law(
    name="moe_abnar",
    formula="L = e + a/N^α + b/D^β + c/(1 - S)^λ + d/((1 - S)^δ·N^γ)",
    source="Abnar et al. 2025 (arXiv:2501.12370), eq. 3 and table 2; N total parameters",
    variables=("params_total", "tokens", "sparsity"),
    parameters=("e", "a", "alpha", "b", "beta", "c", "lambda_", "d", "delta", "gamma"),
    logged=("e", "a", "b", "c", "d"),
    amplitudes=("e", "a", "b", "c", "d"),
    signed=("lambda_", "delta"),
    box={
        "alpha": (0.1, 0.9),
        "beta": (0.1, 0.9),
        "lambda_": (-0.5, 0.5),
        "delta": (-0.1, 0.5),
        "gamma": (0.05, 0.5),
    },
    expression=abnar_loss,
    published={
        "abnar2025": {
            "e": 0.94, "a": 16612.50, "alpha": 0.5962, "b": 5455.67, "beta": 0.3954, "c": 0.4598, "lambda_": -0.1666,
            "d": 17.26, "delta": 0.1603, "gamma": 0.1595,
        }
    },
)  # fmt: skip


def additive_loss(
    x: Variables, E: Quantity, A: Quantity, alpha: Quantity, delta: Quantity, gamma: Quantity
) -> Quantity:
    """L = E + A·N^-α·Ex^(-δ + γ·log(N / 100M)): experts help the less, the larger the model they are added to."""
    log_n, log_e = np.log(x["params_active"]), np.log(x["experts"])
    return E + A * np.exp(-alpha * log_n - delta * log_e + gamma * (log_n - np.log(1e8)) * log_e)


MOE_FLOOR = Law(
    name="moe_floor",
    formula="L = E + A·N^-α·Ex^(-δ + γ·ln(N/1e8))",
    source="Clark et al. 2022 (arXiv:2202.01169), eq. 5 without saturation, above a floor; N active, Ex experts",
    variables=("params_active", "experts"),
    parameters=("E", "A", "alpha", "delta", "gamma"),
    logged=("E", "A"),
    amplitudes=("E", "A"),
    signed=("gamma",),
    box={"alpha": (0.03, 0.6), "delta": (0.0, 0.3), "gamma": (-0.03, 0.05)},
    expression=additive_loss,
    typical={"E": 1.4, "A": 40.0, "alpha": 0.2, "delta": 0.08, "gamma": 0.01},
)
