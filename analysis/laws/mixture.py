"""Laws of data mixtures: the loss on a domain from the proportions of the domains trained on."""

from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.laws.law import Law, Variables, term_rows


def _design(columns: tuple[str, ...], terms: int) -> Callable[[Variables], np.ndarray]:
    """One term c and `terms` exponentials of weighted proportions, θ = (log c, t of the first, t of the second, …)."""

    def design(x: Variables) -> np.ndarray:
        proportions = [x[name] for name in columns]
        zeros = [np.zeros_like(column) for column in proportions]
        floor = term_rows(1.0, *(zeros * terms))
        others = [
            term_rows(0.0, *(zeros * k), *proportions, *(zeros * (terms - 1 - k))) for k in range(terms)
        ]
        return np.stack([floor, *others])

    return design


def _law(domains: int, weights: tuple[str, ...], terms: int, **says: Any) -> Law:
    """A law of so many exponentials, each with a weight for each domain."""
    return Law(
        variables=tuple(f"proportion_{j}" for j in range(1, domains + 1)),
        parameters=("c", *weights),
        logged=("c",),
        signed=weights,
        amplitudes=("c",),
        box=dict.fromkeys(weights, (-3.0, 2.0)),
        design=_design(tuple(f"proportion_{j}" for j in range(1, domains + 1)), terms),
        **says,
    )


def mixture_ye(domains: int) -> Law:
    """L = c + k·exp(Σ_j t_j r_j); k is within the t_j, as the proportions r_j of all domains sum to one."""
    weights = tuple(f"t_{j}" for j in range(1, domains + 1))
    return _law(
        domains,
        weights,
        1,
        name=f"mixture_ye[{domains}]",
        formula="L = c + exp(Σ_j t_j·r_j), one law for the loss on each domain",
        source="Ye et al. 2024 (arXiv:2403.16952), eq. 7; its k is e^t of proportions that sum to one",
        typical={"c": 1.8, **{name: 1.0 - 0.45 * j for j, name in enumerate(weights)}},
    )


def mixture_implicit(domains: int) -> Law:
    """L = c + Σ_i exp(Σ_j t_ij r_j) for a test set that is itself a mixture of two unknown domains."""
    weights = tuple(f"t_{i}{j}" for i in (1, 2) for j in range(1, domains + 1))
    return _law(
        domains,
        weights,
        2,
        name=f"mixture_implicit[{domains}]",
        formula="L = c + exp(Σ_j t_1j·r_j) + exp(Σ_j t_2j·r_j)",
        source="Ye et al. 2024 (arXiv:2403.16952), eq. 8: implicit domains, here two",
        typical={
            "c": 1.5,
            **{
                name: (0.8 - 0.6 * j if j < domains else 0.6 * (j - domains) - 1.0)
                for j, name in enumerate(weights)
            },
        },
    )
