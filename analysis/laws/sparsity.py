"""Laws of models most of whose weights are zero, or that were made sparse after some training."""

import numpy as np

from analysis.laws.jet import Quantity
from analysis.laws.law import Law, Variables


def frantar_loss(
    x: Variables,
    a_S: Quantity,
    b_S: Quantity,
    c_S: Quantity,
    b_N: Quantity,
    a_D: Quantity,
    b_D: Quantity,
    c: Quantity,
) -> Quantity:
    """L = (a_S·(1 - S)^b_S + c_S)·N^-b_N + (a_D/D)^b_D + c, N parameters that are not zero."""
    size = (a_S * np.exp(b_S * np.log1p(-x["sparsity"])) + c_S) * x["params"] ** -b_N
    return size + np.exp(b_D * (np.log(a_D) - np.log(x["tokens"]))) + c


SPARSITY_FRANTAR = Law(
    name="sparsity_frantar",
    formula="L = (a_S·(1 - S)^b_S + c_S)·N^-b_N + (a_D/D)^b_D + c",
    source="Frantar et al. 2023 (arXiv:2309.08520), eq. 1 and table 1; N parameters that are not zero",
    variables=("params", "tokens", "sparsity"),
    parameters=("a_S", "b_S", "c_S", "b_N", "a_D", "b_D", "c"),
    logged=("a_S", "c_S", "a_D", "c"),
    amplitudes=("a_S", "c_S", "c"),
    box={"b_S": (0.1, 1.5), "b_N": (0.05, 0.6), "a_D": (np.log(1e7), np.log(1e12)), "b_D": (0.05, 1.0)},
    expression=frantar_loss,
    published={
        "frantar2023_t5_c4": {
            "a_S": 16.8, "b_S": 0.722, "c_S": 45.0, "b_N": 0.245, "a_D": 6.90e8, "b_D": 0.203, "c": 0.651,
        }
    },
)  # fmt: skip


def upcycled_loss(
    x: Variables,
    E: Quantity,
    A: Quantity,
    alpha: Quantity,
    B: Quantity,
    beta: Quantity,
    delta: Quantity,
    C: Quantity,
    gamma: Quantity,
) -> Quantity:
    """L = E + A·P^-α + B·N^-β·P^(δ·ln(N/1e8)) + C·D2^-γ: P total over active parameters, N active ones."""
    log_p, log_n = np.log(x["compression"]), np.log(x["params_active"] / 1e8)
    tokens = C * (x["tokens_sparse"] / 1e9) ** -gamma
    return E + A * np.exp(-alpha * log_p) + B * np.exp(-beta * log_n + delta * log_p * log_n) + tokens


SPARSITY_UPCYCLED = Law(
    name="sparsity_upcycled",
    formula="L = E + A·P^-α + B·(N/1e8)^(-β + δ·ln P) + C·(D2/1e9)^-γ",
    source="Liew et al. 2025 (arXiv:2502.03009), sections 3 and 4, its terms of size and of tokens added",
    variables=("compression", "params_active", "tokens_sparse"),
    parameters=("E", "A", "alpha", "B", "beta", "delta", "C", "gamma"),
    logged=("E", "A", "B", "C"),
    amplitudes=("E", "A", "B", "C"),
    signed=("delta",),
    box={"alpha": (0.05, 1.5), "beta": (0.05, 0.8), "delta": (-0.1, 0.1), "gamma": (0.05, 1.0)},
    expression=upcycled_loss,
    typical={"E": 1.4, "A": 0.5, "alpha": 0.5, "B": 0.8, "beta": 0.25, "delta": 0.02, "C": 0.3, "gamma": 0.4},
)
