"""Chinchilla's law: irreducible loss, plus a power of the size, plus a power of the tokens."""

import numpy as np

from analysis.laws.law import Law, Variables, term_rows


def chinchilla_design(x: Variables) -> np.ndarray:
    """L = E + A/N^α + B/D^β with θ = (log E, log A, log B, α, β)."""
    log_n, log_d = np.log(x["params"]), np.log(x["tokens"])
    zero = np.zeros_like(log_n)
    return np.stack(
        [term_rows(1.0, 0, 0, 0, zero), term_rows(0.0, 1, 0, -log_n, 0), term_rows(0.0, 0, 1, 0, -log_d)]
    )


def chinchilla_log_optimum(theta: np.ndarray, log_nd: np.ndarray) -> np.ndarray:
    """N_opt = G·(C/6)^a with G = (αA/βB)^(1/(α+β)) and a = β/(α+β) (Hoffmann et al. 2022, eq. 4)."""
    _, log_a, log_b, alpha, beta = theta.T[:, :, None]
    return np.asarray((np.log(alpha) + log_a - np.log(beta) - log_b + beta * log_nd) / (alpha + beta))


CHINCHILLA = Law(
    name="chinchilla",
    formula="L = E + A/N^α + B/D^β",
    source="Hoffmann et al. 2022 (arXiv:2203.15556), eq. 2",
    note="The default.",
    variables=("params", "tokens"),
    parameters=("E", "A", "B", "alpha", "beta"),
    logged=("E", "A", "B"),
    amplitudes=("E", "A", "B"),
    box={"alpha": (0.05, 1.2), "beta": (0.05, 1.2)},
    design=chinchilla_design,
    log_optimum=chinchilla_log_optimum,
    published={
        # Hoffmann et al. 2022, eq. 10.
        "hoffmann2022": {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
        # Besiroglu et al. 2024 (arXiv:2404.10102), table 1: a refit of Hoffmann's points digitised from the figure.
        "besiroglu2024": {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658},
    },
)
