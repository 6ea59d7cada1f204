"""A simulated study that several tests fit."""

import numpy as np
import pandas as pd

from analysis import laws
from analysis.laws.chinchilla import chinchilla_log_optimum

TRUTH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}


def study(noise: float = 0.004, budgets: int = 6, sizes: int = 8, seed: int = 0) -> pd.DataFrame:
    """IsoFLOP runs of the law with log-normal noise."""
    flops = np.repeat(np.geomspace(6e18, 3e21, budgets), sizes)
    best = np.exp(chinchilla_log_optimum(laws.CHINCHILLA.coordinates(TRUTH)[None], np.log(flops / 6)))[0]
    params = best * np.exp(np.tile(np.linspace(-1.4, 1.4, sizes), budgets))
    tokens = flops / 6 / params
    loss = laws.CHINCHILLA.loss(TRUTH, params=params, tokens=tokens)
    loss = loss * np.exp(noise * np.random.default_rng(seed).standard_normal(len(loss)))
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})
