"""The κ law: Chinchilla's law with the two terms added under one more exponent."""

import numpy as np

from analysis.laws.chinchilla import CHINCHILLA
from analysis.laws.jet import Quantity
from analysis.laws.law import Law, Variables

KAPPAS = (1.0, 0.5, 0.7, 1.4, 0.35)
"""Where descents start: at Chinchilla's law itself, and with the terms bent either way."""


def kappa_loss(
    x: Variables, E: Quantity, A: Quantity, B: Quantity, alpha: Quantity, beta: Quantity, kappa: Quantity
) -> Quantity:
    """L = E + (A·N^-α + B·D^-β)^κ: with κ < 1 a run short of both size and tokens loses less than the two apart."""
    return E + (A * x["params"] ** -alpha + B * x["tokens"] ** -beta) ** kappa


def from_chinchilla(theta: np.ndarray, x: Variables) -> np.ndarray:
    """θ of this law at each κ of KAPPAS where either term alone is Chinchilla's: A^κ and ακ are its A and α."""
    log_e, log_a, log_b, alpha, beta = theta.T
    return np.concatenate(
        [
            np.stack([log_e, log_a / k, log_b / k, alpha / k, beta / k, np.full_like(alpha, k)], -1)
            for k in KAPPAS
        ]
    )


def kappa_log_optimum(theta: np.ndarray, log_nd: np.ndarray) -> np.ndarray:
    """A power of a sum is least where the sum is, so N_opt is Chinchilla's (Hoffmann et al. 2022, eq. 4)."""
    assert CHINCHILLA.log_optimum is not None
    return CHINCHILLA.log_optimum(theta[:, :5], log_nd)


KAPPA = Law(
    name="kappa",
    formula="L = E + (A·N^-α + B·D^-β)^κ",
    source="Open Euro LLM's dense English scaling study, 2025",
    note="On public tables of many sizes and tokens it extrapolates better than Chinchilla's law, "
    "on studies of few runs often worse.",
    variables=("params", "tokens"),
    parameters=("E", "A", "B", "alpha", "beta", "kappa"),
    logged=("E", "A", "B"),
    amplitudes=("E",),
    expression=kappa_loss,
    simpler=(CHINCHILLA, from_chinchilla),
    log_optimum=kappa_log_optimum,
    typical={"E": 1.7, "A": 3000.0, "B": 20000.0, "alpha": 0.45, "beta": 0.45, "kappa": 0.7},
)
