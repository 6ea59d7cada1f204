"""The law of parallel scaling: several streams through one model are worth some more parameters."""

import numpy as np

from analysis.laws.jet import Quantity
from analysis.laws.law import Law, Variables


def parallel_loss(x: Variables, E: Quantity, A: Quantity, alpha: Quantity, k: Quantity) -> Quantity:
    """L = E + (A/(N·(k·ln P + 1)))^α for P streams."""
    worth = x["params"] * (k * np.log(x["streams"]) + 1.0)
    return E + np.exp(alpha * (np.log(A) - np.log(worth)))


PARALLEL_CHEN = Law(
    name="parallel_chen",
    formula="L = E + (A/(N·(k·ln P + 1)))^α",
    source="Chen et al. 2025 (ParScale, arXiv:2505.10475), eq. 5; P streams",
    variables=("params", "streams"),
    parameters=("E", "A", "alpha", "k"),
    logged=("E", "A", "k"),
    amplitudes=("E",),
    box={"A": (np.log(1e6), np.log(1e9)), "alpha": (0.05, 0.6), "k": (np.log(0.05), np.log(2.0))},
    expression=parallel_loss,
    typical={"E": 1.29, "A": 1.97e8, "alpha": 0.196, "k": 0.33},
)
