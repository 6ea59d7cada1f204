"""Laws of training in low precision: fewer bits are worth fewer parameters."""

import numpy as np

from analysis.laws.jet import Quantity
from analysis.laws.law import Law, Variables

_TERMS = {"A": 4299.0, "alpha": 0.4965, "B": 18060.0, "beta": 0.5890, "E": 2.7648}


def weights_loss(
    x: Variables, E: Quantity, A: Quantity, alpha: Quantity, B: Quantity, beta: Quantity, gamma: Quantity
) -> Quantity:
    """L = E + A/N'^α + B/D^β with N' = N·(1 - e^(-P/γ)) of weights of P bits."""
    n = x["params"] * -np.expm1(-x["bits"] / gamma)
    return E + A * n**-alpha + B * x["tokens"] ** -beta


PRECISION_KUMAR = Law(
    name="precision_kumar",
    formula="L = E + A/N'^α + B/D^β, N' = N·(1 - e^(-P/γ))",
    source="Kumar et al. 2024 (arXiv:2411.04330), eq. 3; P bits of the weights",
    variables=("params", "tokens", "bits"),
    parameters=("E", "A", "alpha", "B", "beta", "gamma"),
    logged=("E", "A", "B", "gamma"),
    amplitudes=("E", "A", "B"),
    box={"alpha": (0.1, 0.9), "beta": (0.1, 0.9), "gamma": (np.log(0.5), np.log(8.0))},
    expression=weights_loss,
    typical={**_TERMS, "gamma": 2.6745},
)


def all_loss(
    x: Variables,
    E: Quantity,
    A: Quantity,
    alpha: Quantity,
    B: Quantity,
    beta: Quantity,
    gamma_w: Quantity,
    gamma_a: Quantity,
    gamma_kv: Quantity,
) -> Quantity:
    """The same with a factor each for weights, activations and keys and values."""
    n = x["params"]
    for name, gamma in (("bits", gamma_w), ("activation_bits", gamma_a), ("kv_bits", gamma_kv)):
        n = n * -np.expm1(-x[name] / gamma)
    return E + A * n**-alpha + B * x["tokens"] ** -beta


PRECISION_KUMAR_ALL = Law(
    name="precision_kumar_all",
    formula="L = E + A/N'^α + B/D^β, N' = N·(1 - e^(-P_w/γ_w))·(1 - e^(-P_a/γ_a))·(1 - e^(-P_kv/γ_kv))",
    source="Kumar et al. 2024 (arXiv:2411.04330), eq. 4",
    variables=("params", "tokens", "bits", "activation_bits", "kv_bits"),
    parameters=("E", "A", "alpha", "B", "beta", "gamma_w", "gamma_a", "gamma_kv"),
    logged=("E", "A", "B", "gamma_w", "gamma_a", "gamma_kv"),
    amplitudes=("E", "A", "B"),
    box={
        "alpha": (0.1, 0.9),
        "beta": (0.1, 0.9),
        **dict.fromkeys(("gamma_w", "gamma_a", "gamma_kv"), (np.log(0.5), np.log(8.0))),
    },
    expression=all_loss,
    typical={**_TERMS, "gamma_w": 2.6745, "gamma_a": 2.2102, "gamma_kv": 0.9578},
)
