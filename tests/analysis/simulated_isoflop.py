"""Simulated studies with a known truth, for the tests of this folder."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

TRUTH = {"E": 1.82, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
EXPONENT_A = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])  # Hoffmann et al. 2022, eq. 4


def loss_of(params: ArrayLike, tokens: ArrayLike, truth: dict[str, float] = TRUTH) -> np.ndarray:
    """Chinchilla's law."""
    size_term = truth["A"] / np.asarray(params) ** truth["alpha"]
    return np.asarray(truth["E"] + size_term + truth["B"] / np.asarray(tokens) ** truth["beta"])


def best_params(flops: np.ndarray | float, truth: dict[str, float] = TRUTH) -> np.ndarray:
    """N_opt of Chinchilla's law on C = 6ND (Hoffmann et al. 2022, eq. 4)."""
    g = (truth["alpha"] * truth["A"] / (truth["beta"] * truth["B"])) ** (1 / (truth["alpha"] + truth["beta"]))
    return np.asarray(g * (np.asarray(flops) / 6) ** (truth["beta"] / (truth["alpha"] + truth["beta"])))


def isoflop_study(
    noise: float = 0.0,
    seed: int = 0,
    budgets: int = 5,
    sizes: int = 7,
    reach: float = 4.0,
    shift: float = 1.0,
) -> pd.DataFrame:
    """Sizes within a factor `reach` of `shift` times the best size, on budgets a factor 4 apart."""
    rng = np.random.default_rng(seed)
    rows = []
    for flops in 1e18 * 4.0 ** np.arange(budgets):
        params = shift * best_params(flops) * np.geomspace(1 / reach, reach, sizes)
        tokens = flops / (6 * params)
        loss = loss_of(params, tokens) * np.exp(noise * rng.standard_normal(sizes))
        rows.append(pd.DataFrame({"params": params, "tokens": tokens, "loss": loss, "budget": flops}))
    return pd.concat(rows, ignore_index=True)
