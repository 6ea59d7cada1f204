"""Runs that obey a law exactly, to try it with: what comes out of a fit to them must be what went in."""

import numpy as np
import pandas as pd

from analysis.laws.law import Law

USUAL = {
    "params": (2e7, 2e10),
    "tokens": (1e9, 1e12),
    "flops": (1e17, 1e23),
    "params_active": (2e7, 2e9),
    "params_total": (1e8, 2e10),
    "experts": (1.0, 512.0),
    "granularity": (1.0, 16.0),
    "sparsity": (0.0, 0.98),
    "compression": (1.5, 12.0),
    "tokens_sparse": (1e9, 1e10),
    "params_non_vocab": (3e7, 1.2e9),
    "vocab_size": (4e3, 1e5),
    "characters": (2e8, 2e11),
    "bits": (2.0, 16.0),
    "activation_bits": (2.0, 16.0),
    "kv_bits": (2.0, 16.0),
    "streams": (1.0, 8.0),
    "learning_rate": (2e-4, 1e-2),
    "batch_tokens": (1e5, 8e6),
}
"""Variable → between which values real studies lie."""
MOST_PASSES = 60.0


def made_up_runs(
    law: Law, count: int = 60, seed: int = 7, values: dict[str, float] | None = None
) -> pd.DataFrame:
    """Runs spread over the usual values of the law's variables, with the target that the law gives them.

    Args:
        law: any but the law of whole curves.
        count, seed: how many runs, and of which random numbers.
        values: its parameters; by default those that a study found.
    """
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(index=range(count))
    shares = rng.dirichlet(np.full(max(2, len(law.variables)), 0.7), count)
    for number, name in enumerate(law.variables):
        if name.startswith("proportion_"):
            frame[name] = shares[:, number]
        elif name == "unique_tokens":
            frame[name] = frame["tokens"] / np.exp(rng.uniform(0, np.log(MOST_PASSES), count))
        else:
            low, high = USUAL[name]
            frame[name] = (
                np.exp(rng.uniform(np.log(low), np.log(high), count))
                if low > 0
                else rng.uniform(low, high, count)
            )
    given = law.known_values if values is None else values
    return frame.assign(
        **{law.target: law.loss(given, **{name: frame[name].to_numpy() for name in law.variables})}
    )
