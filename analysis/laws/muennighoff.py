"""Muennighoff's law: Chinchilla's for training data that are seen several times."""

import numpy as np

from analysis.laws.law import Law, Variables


def _saturating(repeats: np.ndarray, half_life: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """h = 1 + R*·(1 - exp(-R/R*)), the worth of 1 + R passes, and its derivatives in R and in R*."""
    decay = np.exp(-repeats / half_life)
    return 1 + half_life * (1 - decay), decay, 1 - decay * (1 + repeats / half_life)


def muennighoff_log_loss(theta: np.ndarray, x: Variables) -> tuple[np.ndarray, np.ndarray]:
    """L = E + A/N'^α + B/D'^β, θ = (log E, log A, log B, log α, log β, log R*_D, log R*_N).

    D' = U_D·h(D/U_D - 1, R*_D) with U_D unique tokens; N' = U_N·h(N/U_N - 1, R*_N), where U_N is the smaller of N and
    the size for which U_D tokens are compute-optimal under the same law.
    """
    log_e, log_a, log_b, log_alpha, log_beta, log_rd, log_rn = (theta[:, i : i + 1] for i in range(7))
    alpha, beta, half_d, half_n = np.exp(log_alpha), np.exp(log_beta), np.exp(log_rd), np.exp(log_rn)
    log_n, log_d = np.log(x["params"]), np.log(x["tokens"])
    log_unique = np.minimum(np.log(x["unique_tokens"]), log_d)

    worth_d, _, d_half_d = _saturating(np.exp(log_d - log_unique) - 1, half_d)
    log_d_eff = log_unique + np.log(worth_d)

    log_g = (log_alpha + log_a - log_beta - log_b) / (alpha + beta)
    log_match = log_g + beta / alpha * (log_unique + log_g)  # size for which U_D tokens are compute-optimal
    excess = (log_n - log_match).real > 0
    ratio = np.exp(
        np.where(excess, np.minimum(log_n - log_match, 50.0), 0.0)
    )  # beyond e^50 its worth has saturated
    worth_n, decay_n, d_half_n = _saturating(ratio - 1, half_n)
    log_n_eff = np.where(excess, log_match + np.log(worth_n), log_n)
    via_match = np.where(excess, 1 - decay_n * ratio / worth_n, 0.0)  # ∂ log N' / ∂ log U_N
    match_alpha = 1 / alpha - log_g - beta / alpha * (log_g + log_unique)  # ∂ log U_N / ∂ log α
    match_beta = beta / alpha * (log_unique - 1 / beta)  # ∂ log U_N / ∂ log β

    terms = np.stack(np.broadcast_arrays(log_e, log_a - alpha * log_n_eff, log_b - beta * log_d_eff), axis=-1)
    top = terms.real.max(axis=-1, keepdims=True)
    parts = np.exp(terms - top)
    total = parts.sum(axis=-1, keepdims=True)
    share_e, share_a, share_b = np.moveaxis(parts / total, -1, 0)
    size_a = -alpha * share_a  # ∂ log L / ∂ log N'
    gradient = [
        share_e,
        share_a + size_a * via_match / alpha,
        share_b - size_a * via_match / alpha,
        size_a * (log_n_eff + via_match * match_alpha),
        -beta * share_b * log_d_eff + size_a * via_match * match_beta,
        -beta * share_b * half_d * d_half_d / worth_d,
        size_a * np.where(excess, half_n * d_half_n / worth_n, 0.0),
    ]
    return np.log(total[..., 0]) + top[..., 0], np.stack(np.broadcast_arrays(*gradient), axis=-1)


MUENNIGHOFF = Law(
    name="muennighoff",
    formula="L = E + A/N'^α + B/D'^β, D' = U_D(1 + R*_D(1 - e^(-R_D/R*_D))), N' likewise",
    source="Muennighoff et al. 2023 (arXiv:2305.16264), eqs. 5 and 6, coefficients from appendix A",
    variables=("params", "tokens", "unique_tokens"),
    parameters=("E", "A", "B", "alpha", "beta", "R_D", "R_N"),
    logged=("E", "A", "B", "alpha", "beta", "R_D", "R_N"),
    amplitudes=("E", "A", "B"),
    box={
        "alpha": (np.log(0.1), np.log(1.0)),
        "beta": (np.log(0.1), np.log(1.0)),
        "R_D": (0.0, np.log(60.0)),
        "R_N": (0.0, np.log(60.0)),
    },
    log_loss=muennighoff_log_loss,
    published={
        "muennighoff2023": {
            "E": 1.869, "A": 521.0, "B": 1488.0, "alpha": 0.353, "beta": 0.353, "R_D": 15.39, "R_N": 5.31,
        }
    },
)  # fmt: skip
