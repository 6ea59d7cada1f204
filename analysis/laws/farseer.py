"""Farseer's law: floor, height and exponent of the loss's fall with tokens each depend on the size."""

from itertools import product

import numpy as np

from analysis.laws.chinchilla import CHINCHILLA
from analysis.laws.jet import Quantity
from analysis.laws.law import Law, Variables

SMALL, LARGE = 1e8, 1e10
"""The sizes at which the parameters give floor, height and exponent."""


def farseer_loss(
    x: Variables,
    E_100M: Quantity,
    E_10B: Quantity,
    gamma: Quantity,
    H_100M: Quantity,
    H_10B: Quantity,
    beta: Quantity,
    rho_100M: Quantity,
    rho_10B: Quantity,
    alpha: Quantity,
) -> Quantity:
    """L = E(N) + H(N)·D^-ρ(N), where log E = a3·N^γ + b3, log H = a2·N^β + b2 and log ρ = a1·N^α + b1.

    The two coefficients of each of the three lines in a power of N almost cancel, and say little; the values at two
    sizes say the same and can be estimated.
    """
    log_n, log_d = np.log(x["params"]), np.log(x["tokens"])
    floor = _between(log_n, np.log(E_100M), np.log(E_10B), gamma)
    height = _between(log_n, np.log(H_100M), np.log(H_10B), beta)
    falls = np.exp(_between(log_n, np.log(rho_100M), np.log(rho_10B), alpha))
    return np.exp(floor) + np.exp(height - falls * log_d)


def _between(log_n: np.ndarray, small: Quantity, large: Quantity, power: Quantity) -> Quantity:
    """a·N^power + b by its values at the sizes SMALL and LARGE."""
    share = np.expm1(power * (log_n - np.log(SMALL))) / np.expm1(power * np.log(LARGE / SMALL))
    return small + (large - small) * share


def as_published(
    a1: float, b1: float, alpha: float, a2: float, b2: float, beta: float, a3: float, b3: float, gamma: float
) -> dict[str, float]:
    """This law's parameters from the nine coefficients of the paper."""
    lines = {"E": (a3, b3, gamma), "H": (a2, b2, beta), "rho": (a1, b1, alpha)}
    values = {"alpha": alpha, "beta": beta, "gamma": gamma}
    for name, (slope, offset, power) in lines.items():
        values[f"{name}_100M"] = float(np.exp(slope * SMALL**power + offset))
        values[f"{name}_10B"] = float(np.exp(slope * LARGE**power + offset))
    return {name: values[name] for name in PARAMETERS}


def from_chinchilla(theta: np.ndarray, x: Variables) -> np.ndarray:
    """θ of this law near Chinchilla's: the floor E + A/N^α, and an exponent of tokens that falls with the size.

    The height turns with the exponent, so that at the middle number of tokens the loss stays Chinchilla's.
    """
    middle_n, middle_d = np.log(x["params"]).mean(), np.log(x["tokens"]).mean()
    ends = np.log([SMALL, LARGE])
    starts = []
    for log_e, log_a, log_b, alpha, beta in theta:
        floor = np.logaddexp(log_e, log_a - alpha * ends)
        for bend in (0.1, 0.2, 0.3):
            falls = np.log(max(beta, 0.01)) - bend * (ends - middle_n)
            height = log_b + (np.exp(falls) - beta) * middle_d
            for gamma, beta_n, alpha_n in product((-0.2, 0.1), (-0.3, -0.1), (-0.1, 0.1)):
                starts.append([*floor, gamma, *height, beta_n, *falls, alpha_n])
    return np.array(starts)


PARAMETERS = ("E_100M", "E_10B", "gamma", "H_100M", "H_10B", "beta", "rho_100M", "rho_10B", "alpha")

FARSEER = Law(
    name="farseer",
    formula="L = E(N) + H(N)·D^-ρ(N), log E = a3·N^γ + b3, log H = a2·N^β + b2, log ρ = a1·N^α + b1",
    source="Li et al. 2025 (Farseer, arXiv:2506.10972), eq. 1; N without embeddings",
    note="Nine parameters want some hundred runs. They are floor, height and exponent at 1e8 and at 1e10 params.",
    variables=("params", "tokens"),
    parameters=PARAMETERS,
    logged=("E_100M", "E_10B", "H_100M", "H_10B", "rho_100M", "rho_10B"),
    signed=("gamma", "beta", "alpha"),
    expression=farseer_loss,
    simpler=(CHINCHILLA, from_chinchilla),
    # The coefficients that the authors published with their runs, whose losses are in bits per byte.
    published={
        "li2025": as_published(
            a1=-1.665630816, b1=3.133347198805445, alpha=0.0459, a2=230.73437075885855, b2=-1.544209554,
            beta=-0.1729, a3=-0.062465473, b3=0.1284880679442551, gamma=0.13,
        )
    },
)  # fmt: skip
