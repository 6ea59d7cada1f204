"""Loss as a power of compute above a floor, for models trained compute-optimally."""

import numpy as np

from analysis.laws.law import Law, Variables, term_rows


def compute_floor_design(x: Variables) -> np.ndarray:
    """L = E + A·C^-α with θ = (log E, log A, α)."""
    log_c = np.log(x["flops"])
    return np.stack([term_rows(1.0, 0, np.zeros_like(log_c)), term_rows(0.0, 1, -log_c)])


COMPUTE_FLOOR = Law(
    name="compute_floor",
    formula="L = E + A·C^-α",
    source="Dey et al. 2023 (Cerebras-GPT, arXiv:2304.03208), eq. 2: loss on the Pile, twenty tokens per parameter",
    note="For runs that are each the best of their compute.",
    variables=("flops",),
    parameters=("E", "A", "alpha"),
    logged=("E", "A"),
    amplitudes=("E", "A"),
    box={"alpha": (0.02, 0.6)},
    design=compute_floor_design,
    # The paper prints (C / 5.984e22)^-0.0737 + 0.5066.
    published={"dey2023": {"E": 0.5066, "A": 5.984e22**0.0737, "alpha": 0.0737}},
)
