"""The multi-power law: a run's whole loss curve from its learning-rate schedule (Luo et al. 2025, arXiv:2503.12811).

L(t) = L0 + A·(S_W + S_1(t))^-α - B·Σ_{k≤t} (η_{k-1} - η_k)·[1 - (C·η_k^-γ·S_k(t) + 1)^-β]

where η_k is the learning rate of step k after warm-up, S_k(t) = Σ_{τ=k..t} η_τ its sum from step k to t, and S_W its
sum over the warm-up. The first two terms are a power law in the area under the schedule; the last is what the decay of
the learning rate adds. `analysis.schedule.columns` computes the law's columns from schedules.
"""

import numpy as np

from analysis.laws.jet import Jet, Quantity, compose
from analysis.laws.law import Law, Variables

MAX_LOG_REACH = 300.0
"""Cap on log(C·η^-γ·S), against overflow in a wild trial step: there a drop has long had its whole effect."""


def multi_power_loss(
    x: Variables,
    L0: Quantity,
    A: Quantity,
    B: Quantity,
    C: Quantity,
    alpha: Quantity,
    beta: Quantity,
    gamma: Quantity,
) -> Quantity:
    """The law as above. Columns of x: `area` of shape (n,); `drop`, `rate` and `since` of shape (n, K)."""
    return L0 + A * np.exp(-alpha * np.log(x["area"])) - B * decayed(x, np.log(C), beta, gamma)


def decayed(x: Variables, log_c: Quantity, beta: Quantity, gamma: Quantity) -> Quantity:
    """Σ_k (η_{k-1} - η_k)·[1 - (e^u + 1)^-β] with u = log(C·η_k^-γ·S_k(t)), shape (S, n), by hand: a sum over K."""
    arguments = (log_c, beta, gamma)
    c, b, g = (np.asarray(a.value if isinstance(a, Jet) else a)[..., None] for a in arguments)
    drop, log_rate = x["drop"], np.log(x["rate"])
    reach = np.exp(np.minimum(c - g * log_rate + np.log(x["since"]), MAX_LOG_REACH))  # (S, n, K)
    log_reach = np.log1p(reach)
    left = np.exp(-b * log_reach)
    value = (drop * (1 - left)).sum(axis=-1)
    if not isinstance(log_c, Jet):
        return value
    share = reach / (1 + reach)  # ∂ log(1 + e^u) / ∂u
    left *= drop
    moved = left * share
    in_u, in_beta = b * moved, left * log_reach
    slopes = (in_u.sum(axis=-1), in_beta.sum(axis=-1), -(in_u * log_rate).sum(axis=-1))
    if log_c.second is None:
        return compose(arguments, value, slopes, {})
    twice_u = in_u * (1 - (1 + b) * share)
    u_beta = moved * (1 - b * log_reach)
    u_rate = twice_u * log_rate
    bends = {
        (0, 0): twice_u.sum(axis=-1),
        (0, 1): u_beta.sum(axis=-1),
        (0, 2): -u_rate.sum(axis=-1),
        (1, 1): -(in_beta * log_reach).sum(axis=-1),
        (1, 2): -(u_beta * log_rate).sum(axis=-1),
        (2, 2): (u_rate * log_rate).sum(axis=-1),
    }
    return compose(arguments, value, slopes, bends)


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
    expression=multi_power_loss,
    typical={"L0": 2.6, "A": 0.65, "B": 400.0, "C": 2.0, "alpha": 0.42, "beta": 0.6, "gamma": 0.65},
)
