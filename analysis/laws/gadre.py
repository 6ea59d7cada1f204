"""Gadre's law: Chinchilla's with one exponent for size and tokens, written in compute and tokens per parameter."""

import numpy as np

from analysis.laws.law import Law, Variables, term_rows


def gadre_design(x: Variables) -> np.ndarray:
    """L = E + (A·M^η + B·M^-η)·C^-η with M = D/N and C = 6ND; θ = (log E, log A, log B, η).

    C/M = 6N² and C·M = 6D², so this is Chinchilla's law with α = β = 2η.
    """
    log_n, log_d, log_6 = np.log(x["params"]), np.log(x["tokens"]), np.log(6.0)
    return np.stack(
        [
            term_rows(1.0, 0, 0, np.zeros_like(log_n)),
            term_rows(0.0, 1, 0, -(2 * log_n + log_6)),
            term_rows(0.0, 0, 1, -(2 * log_d + log_6)),
        ]
    )


def gadre_log_optimum(theta: np.ndarray, log_nd: np.ndarray) -> np.ndarray:
    """A·N^-2η + B·D^-2η is least on N·D = C/6 where the two are equal, so N_opt ∝ C^½ (Gadre et al. 2024, sec. 2)."""
    _, log_a, log_b, eta = theta.T[:, :, None]
    return np.asarray(0.5 * log_nd + (log_a - log_b) / (4 * eta))


GADRE = Law(
    name="gadre",
    formula="L = E + (A·M^η + B·M^-η)·C^-η, M = D/N, C = 6ND",
    source="Gadre et al. 2024 (arXiv:2403.08540), eq. 4",
    variables=("params", "tokens"),
    parameters=("E", "A", "B", "eta"),
    logged=("E", "A", "B"),
    amplitudes=("E", "A", "B"),
    box={"eta": (0.03, 0.6)},
    design=gadre_design,
    log_optimum=gadre_log_optimum,
    typical={"E": 1.7, "A": 300.0, "B": 700.0, "eta": 0.14},
)
