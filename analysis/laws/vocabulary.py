"""Laws of the vocabulary's size, on the loss less that of a unigram model, which no tokenizer flatters."""

import numpy as np

from analysis.laws.jet import Quantity
from analysis.laws.law import Law, Variables


def tao_loss(
    x: Variables,
    E: Quantity,
    A1: Quantity,
    alpha1: Quantity,
    A2: Quantity,
    alpha2: Quantity,
    B: Quantity,
    beta: Quantity,
) -> Quantity:
    """L_u = -E + A1/N^α1 + A2/V^α2 + B/H^β with N parameters outside the vocabulary, V its size, H characters."""
    vocabulary = A2 * (x["vocab_size"] / 1e4) ** -alpha2
    return (
        -E
        + A1 * (x["params_non_vocab"] / 1e8) ** -alpha1
        + vocabulary
        + B * (x["characters"] / 1e10) ** -beta
    )


VOCABULARY_TAO = Law(
    name="vocabulary_tao",
    formula="L_u = -E + A1·(N/1e8)^-α1 + A2·(V/1e4)^-α2 + B·(H/1e10)^-β",
    source="Tao et al. 2024 (arXiv:2407.13623), eq. 6, with the vocabulary's size for its parameters",
    variables=("params_non_vocab", "vocab_size", "characters"),
    parameters=("E", "A1", "alpha1", "A2", "alpha2", "B", "beta"),
    logged=("E", "A1", "A2", "B"),
    box={
        "E": (np.log(4.0), np.log(9.0)),
        "A1": (np.log(0.05), np.log(1.0)),
        "alpha1": (0.1, 0.9),
        "A2": (np.log(0.05), np.log(1.0)),
        "alpha2": (0.1, 0.9),
        "B": (np.log(0.05), np.log(2.0)),
        "beta": (0.1, 0.9),
    },
    expression=tao_loss,
    typical={"E": 5.5, "A1": 0.25, "alpha1": 0.45, "A2": 0.3, "alpha2": 0.5, "B": 0.35, "beta": 0.45},
    target="normalized_loss",
    log_target=False,
)


def matched_loss(
    x: Variables,
    E: Quantity,
    A: Quantity,
    alpha: Quantity,
    B: Quantity,
    beta: Quantity,
    phi: Quantity,
    epsilon: Quantity,
    kappa: Quantity,
) -> Quantity:
    """L_u = -E·(V/1e4)^ε + (A/N^α + (B/H^β)·V^φ)^κ: a larger vocabulary lowers the floor and asks for more text."""
    log_v = np.log(x["vocab_size"] / 1e4)
    size = A * (x["params_non_vocab"] / 1e8) ** -alpha
    text = B * (x["characters"] / 1e10) ** -beta * np.exp(phi * log_v)
    return (size + text) ** kappa - E * np.exp(epsilon * log_v)


VOCABULARY_MATCHED = Law(
    name="vocabulary_matched",
    formula="L_u = -E·(V/1e4)^ε + (A·(N/1e8)^-α + B·(H/1e10)^-β·(V/1e4)^φ)^κ",
    source="the κ law with the trade-off of Tao et al. 2024 (arXiv:2407.13623), section 2: floor against text",
    variables=("params_non_vocab", "vocab_size", "characters"),
    parameters=("E", "A", "alpha", "B", "beta", "phi", "epsilon", "kappa"),
    logged=("E", "A", "B"),
    signed=("phi", "epsilon"),
    box={
        "E": (np.log(4.0), np.log(9.0)),
        "A": (np.log(0.05), np.log(1.0)),
        "alpha": (0.1, 0.9),
        "B": (np.log(0.05), np.log(2.0)),
        "beta": (0.1, 0.9),
        "phi": (0.0, 0.5),
        "epsilon": (0.0, 0.1),
        "kappa": (0.5, 1.2),
    },
    expression=matched_loss,
    typical={
        "E": 5.5, "A": 0.3, "alpha": 0.45, "B": 0.6, "beta": 0.5, "phi": 0.2, "epsilon": 0.03, "kappa": 0.9,
    },
    target="normalized_loss",
    log_target=False,
)  # fmt: skip
