"""Laws of the best learning rate and batch size: powers of model size, tokens or compute.

Each is a law like any other, but predicts a hyperparameter instead of a loss: fit it to a table whose target column
holds the best value at each scale, which `analysis.best_values` finds in a sweep.
"""

from collections.abc import Callable, Mapping

import numpy as np

from analysis.laws.law import Law, Variables


def _power_design(variables: tuple[str, ...]) -> Callable[[Variables], np.ndarray]:
    """log target = log coefficient + Σ exponent·log variable: one term, of shape (1, n, 1 + variables)."""

    def design(x: Variables) -> np.ndarray:
        logs = [np.log(x[name]) for name in variables]
        return np.stack([np.ones_like(logs[0]), *logs], axis=-1)[None]

    return design


def _hyperparameter_law(
    name: str,
    target: str,
    variables: Mapping[str, str],
    source: str,
    published: Mapping[str, Mapping[str, float]],
) -> Law:
    """target = c·Π variable^exponent; `variables` maps each column to its symbol."""
    exponents = tuple(f"exponent_{symbol}" for symbol in variables.values())
    factors = "·".join(f"{symbol}^{e}" for symbol, e in zip(variables.values(), exponents, strict=True))
    return Law(
        name=name,
        formula=f"{target} = c·{factors}",
        source=source,
        variables=tuple(variables),
        parameters=("c", *exponents),
        logged=("c",),
        amplitudes=("c",),
        box=dict.fromkeys(exponents, (-1.0, 1.0)),
        design=_power_design(tuple(variables)),
        published=published,
        target=target,
    )


LEARNING_RATE_ND = _hyperparameter_law(
    "learning_rate_nd",
    "learning_rate",
    {"params": "N", "tokens": "D"},
    "Li et al. 2025 (Step Law, arXiv:2503.04715), eq. 1; N without embeddings",
    {"li2025": {"c": 1.79, "exponent_N": -0.713, "exponent_D": 0.307}},
)
BATCH_TOKENS_D = _hyperparameter_law(
    "batch_tokens_d",
    "batch_tokens",
    {"tokens": "D"},
    "Li et al. 2025 (Step Law, arXiv:2503.04715), eq. 1; batch in tokens",
    {"li2025": {"c": 0.58, "exponent_D": 0.571}},
)
LEARNING_RATE_C = _hyperparameter_law(
    "learning_rate_c",
    "learning_rate",
    {"flops": "C"},
    "Bi et al. 2024 (DeepSeek LLM, arXiv:2401.02954), eq. 1",
    {"bi2024": {"c": 0.3118, "exponent_C": -0.1250}},
)
BATCH_TOKENS_C = _hyperparameter_law(
    "batch_tokens_c",
    "batch_tokens",
    {"flops": "C"},
    "Bi et al. 2024 (DeepSeek LLM, arXiv:2401.02954), eq. 1; batch in tokens",
    {"bi2024": {"c": 0.2920, "exponent_C": 0.3271}},
)
