"""Two more forms of a law for data that are seen several times, beside Muennighoff's."""

import numpy as np

from analysis.laws.jet import Quantity
from analysis.laws.law import Law, Variables


def additive_loss(
    x: Variables,
    E: Quantity,
    A: Quantity,
    alpha: Quantity,
    B: Quantity,
    beta: Quantity,
    C: Quantity,
    gamma: Quantity,
) -> Quantity:
    """L = E + A/N^α + B/D^β + C/U^γ: what is short of distinct tokens is lost whatever the rest."""
    return E + A * x["params"] ** -alpha + B * x["tokens"] ** -beta + C * x["unique_tokens"] ** -gamma


UNIQUE_ADDITIVE = Law(
    name="unique_additive",
    formula="L = E + A/N^α + B/D^β + C/U^γ",
    source="ScaleBench 2026 (arXiv:2604.22753), its second law of data-constrained runs",
    variables=("params", "tokens", "unique_tokens"),
    parameters=("E", "A", "alpha", "B", "beta", "C", "gamma"),
    logged=("E", "A", "B", "C"),
    amplitudes=("E", "A", "B", "C"),
    box={"alpha": (0.1, 0.9), "beta": (0.1, 0.9), "gamma": (0.1, 0.9)},
    expression=additive_loss,
    typical={"E": 1.8, "A": 500.0, "alpha": 0.36, "B": 1400.0, "beta": 0.36, "C": 300.0, "gamma": 0.34},
)


def saturating_loss(
    x: Variables,
    E: Quantity,
    A: Quantity,
    alpha: Quantity,
    B: Quantity,
    beta: Quantity,
    s: Quantity,
    delta: Quantity,
) -> Quantity:
    """L = E + A/N^α + B/D'^β with 1/D' = 1/D + 1/(s·U·(N/1e9)^δ): no number of passes is worth more than s."""
    log_most = np.log(s) + np.log(x["unique_tokens"]) + delta * np.log(x["params"] / 1e9)
    log_worth = -np.logaddexp(-np.log(x["tokens"]), -log_most)
    return E + A * x["params"] ** -alpha + B * np.exp(-beta * log_worth)


UNIQUE_SATURATING = Law(
    name="unique_saturating",
    formula="L = E + A/N^α + B/D'^β, 1/D' = 1/D + 1/(s·U·(N/1e9)^δ)",
    source="ScaleBench 2026 (arXiv:2604.22753), its fourth law of data-constrained runs",
    variables=("params", "tokens", "unique_tokens"),
    parameters=("E", "A", "alpha", "B", "beta", "s", "delta"),
    logged=("E", "A", "B", "s"),
    amplitudes=("E", "A", "B"),
    signed=("delta",),
    box={"alpha": (0.1, 0.9), "beta": (0.1, 0.9), "s": (np.log(2.0), np.log(60.0)), "delta": (-0.6, 0.3)},
    expression=saturating_loss,
    typical={"E": 1.8, "A": 500.0, "alpha": 0.36, "B": 1400.0, "beta": 0.36, "s": 12.0, "delta": -0.2},
)
