"""The multi-power law: a run's whole loss curve from its learning-rate schedule (Luo et al. 2025, arXiv:2503.12811).

L(t) = L0 + A·(S_W + S_1(t))^-α - B·Σ_{k≤t} (η_{k-1} - η_k)·[1 - (C·η_k^-γ·S_k(t) + 1)^-β]

where η_k is the learning rate of step k after warm-up, S_k(t) = Σ_{τ=k..t} η_τ its sum from step k to t, and S_W its
sum over the warm-up. The first two terms are a power law in the area under the schedule; the last is what the decay of
the learning rate adds. `analysis.schedule.columns` computes the law's columns from schedules.
"""

import numpy as np

from analysis.laws.law import Law, Variables

MAX_LOG_REACH = 300.0
"""Cap on log(C·η^-γ·S), against overflow in a wild trial step: there a drop has long had its whole effect."""


def multi_power_log_loss(theta: np.ndarray, x: Variables) -> tuple[np.ndarray, np.ndarray]:
    """log L, shape (S, n), and its gradient for θ = (log L0, log A, log B, log C, α, β, γ).

    Columns of x: `area` of shape (n,); `drop`, `rate` and `since` of shape (n, K).
    """
    log_l0, log_a, log_b, log_c, alpha, beta, gamma = (theta[:, i : i + 1] for i in range(7))
    log_area = np.log(x["area"])
    floor, power = np.exp(log_l0), np.exp(log_a - alpha * log_area)
    log_rate, log_since = np.log(x["rate"]), np.log(x["since"])
    log_reached = log_c[..., None] - gamma[..., None] * log_rate + log_since
    reach = np.exp(np.where(log_reached.real < MAX_LOG_REACH, log_reached, MAX_LOG_REACH))  # (S, n, K)
    log_reach = np.log1p(reach)
    left = np.exp(-beta[..., None] * log_reach)
    scale = np.exp(log_b)
    gain = scale * (x["drop"] * (1 - left)).sum(axis=-1)
    slope = beta[..., None] * left * reach / (1 + reach) * x["drop"]  # ∂ gain / ∂ log reach
    loss = floor + power - gain
    gradient = [
        floor + 0 * power,
        power,
        -gain,
        -scale * slope.sum(axis=-1),
        -power * log_area,
        -scale * (x["drop"] * left * log_reach).sum(axis=-1),
        scale * (slope * log_rate).sum(axis=-1),
    ]
    # A trial step may make the law negative; a large finite value lets the descent reject it.
    sane = loss.real > 1e-6
    safe = np.where(sane, loss, 1.0)
    jacobian = np.stack(np.broadcast_arrays(*gradient), axis=-1) / safe[..., None]
    return np.where(sane, np.log(safe), 50.0), jacobian


MULTI_POWER = Law(
    name="multi_power",
    formula="L(t) = L0 + A·(S_W + S_1(t))^-α - B·Σ_k (η_{k-1} - η_k)·[1 - (C·η_k^-γ·S_k(t) + 1)^-β]",
    source="Luo et al. 2025 (arXiv:2503.12811), eq. 1",
    variables=("area", "drop", "rate", "since"),
    parameters=("L0", "A", "B", "C", "alpha", "beta", "gamma"),
    logged=("L0", "A", "B", "C"),
    box={
        "L0": (np.log(0.5), np.log(4.0)),
        "A": (np.log(0.05), np.log(3.0)),
        "B": (np.log(30.0), np.log(3000.0)),
        "C": (np.log(0.05), np.log(20.0)),
        "alpha": (0.2, 0.9),
        "beta": (0.2, 0.9),
        "gamma": (0.2, 0.9),
    },
    log_loss=multi_power_log_loss,
    typical={"L0": 2.6, "A": 0.65, "B": 400.0, "C": 2.0, "alpha": 0.42, "beta": 0.6, "gamma": 0.65},
)
