"""How hyperparameters follow scale: learning rate and batch size as powers of model size, tokens or compute.

Fit one to a table whose target column holds the best value found at each scale:
`fit(table, law="learning_rate_nd")`. Each is a law like any other, but predicts its target instead of a loss.
`best_values` finds those values in a sweep that tried several at each scale.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from analysis.isoflop import average_replicates
from analysis.laws import Law, Variables, register
from analysis.refusals import NoMinimum, Refusal
from analysis.valley import fit_parabola, refuse_edge, refuse_few

Published = Mapping[str, Mapping[str, float]]


def _power_design(variables: tuple[str, ...]) -> Callable[[Variables], np.ndarray]:
    """log target = log coefficient + Σ exponent·log variable: one term, of shape (1, n, 1 + variables)."""

    def design(x: Variables) -> np.ndarray:
        logs = [np.log(x[name]) for name in variables]
        return np.stack([np.ones_like(logs[0]), *logs], axis=-1)[None]

    return design


def power_law(name: str, target: str, variables: Mapping[str, str], source: str, published: Published) -> Law:
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


LEARNING_RATE_ND = register(
    power_law(
        "learning_rate_nd",
        "learning_rate",
        {"params": "N", "tokens": "D"},
        "Li et al. 2025 (Step Law, arXiv:2503.04715), eq. 1; N without embeddings",
        {"li2025": {"c": 1.79, "exponent_N": -0.713, "exponent_D": 0.307}},
    )
)
BATCH_TOKENS_D = register(
    power_law(
        "batch_tokens_d",
        "batch_tokens",
        {"tokens": "D"},
        "Li et al. 2025 (Step Law, arXiv:2503.04715), eq. 1; batch in tokens",
        {"li2025": {"c": 0.58, "exponent_D": 0.571}},
    )
)
LEARNING_RATE_C = register(
    power_law(
        "learning_rate_c",
        "learning_rate",
        {"flops": "C"},
        "Bi et al. 2024 (DeepSeek LLM, arXiv:2401.02954), eq. 1",
        {"bi2024": {"c": 0.3118, "exponent_C": -0.1250}},
    )
)
BATCH_TOKENS_C = register(
    power_law(
        "batch_tokens_c",
        "batch_tokens",
        {"flops": "C"},
        "Bi et al. 2024 (DeepSeek LLM, arXiv:2401.02954), eq. 1; batch in tokens",
        {"bi2024": {"c": 0.2920, "exponent_C": 0.3271}},
    )
)


def best_values(runs: pd.DataFrame, target: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The best learning rate or batch at each size and tokens: the lowest point of a parabola in its logarithm.

    Args:
        runs: `params`, `tokens`, `flops`, `loss` and the target column, one row a run.
        target: the hyperparameter's column.

    Returns:
        `params`, `tokens`, `flops` and the target's best value, one row a scale; and why other scales were refused.

    Raises:
        NoMinimum: no scale shows one.
    """
    found, refused = [], []
    for (params, tokens), tried in runs.groupby(["params", "tokens"], sort=True):
        # A valley over the hyperparameter, as one over sizes is on a compute budget.
        points = average_replicates(tried.assign(params=tried[target]))
        try:
            refuse_few(points)
            refuse_edge(points)
            parabola = fit_parabola(points)
            assert parabola is not None
            _, slope, bend = parabola.coefficients
            best = float(np.exp(parabola.centre - slope / (2 * bend))) if bend > 0 else np.nan
            if not points["params"].iloc[0] < best < points["params"].iloc[-1]:
                raise NoMinimum("the parabola has no minimum among the values tried")
        except Refusal as reason:
            said = str(reason).replace("size tried", "value tried").replace("sizes", "values")
            refused.append(f"{params:.3g} parameters on {tokens:.3g} tokens: {said}")
            continue
        found.append({"params": params, "tokens": tokens, "flops": tried["flops"].iloc[0], target: best})
    if not found:
        raise NoMinimum(f"no scale shows a best {target}; {refused[0]}")
    return pd.DataFrame(found), tuple(refused)
