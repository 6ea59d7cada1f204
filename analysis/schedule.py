"""The multi-power law: a run's whole loss curve from its learning-rate schedule (Luo et al. 2025, arXiv:2503.12811).

L(t) = L0 + A·(S_W + S_1(t))^-α - B·Σ_{k≤t} (η_{k-1} - η_k)·[1 - (C·η_k^-γ·S_k(t) + 1)^-β]

where η_k is the learning rate of step k after warm-up, S_k(t) = Σ_{τ=k..t} η_τ its sum from step k to t, and S_W its
sum over the warm-up. The first two terms are a power law in the area under the schedule; the last is what decay adds.

A schedule of many thousand steps is a handful of parts: consecutive steps are merged into at most `DROPS` drops of the
learning rate, each placed at its middle, so that cost does not grow with the number of steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.laws import Law, Variables, register
from analysis.refusals import BadLoss, BadValue
from analysis.result import FitResult

DROPS = 128  # most drops that a schedule is merged into; losses move by under 2e-4 nats (see the tests)


MOST_REACH = 300.0  # log of a reach at which a drop's effect is long complete; a wild trial step goes beyond


@dataclass(frozen=True)
class Curve:
    """One run's schedule and, where it was trained, its losses.

    Attributes:
        learning_rates: of every step, warm-up included, shape (steps,).
        warmup_steps: how many of them are warm-up.
        steps: 1-based steps at which losses were recorded, after the warm-up, shape (n,).
        losses: in nats per token, shape (n,); empty for a schedule to predict.
    """

    learning_rates: np.ndarray
    warmup_steps: int
    steps: np.ndarray
    losses: np.ndarray

    def __post_init__(self) -> None:
        rates = np.asarray(self.learning_rates, dtype=float)
        if rates.ndim != 1 or not (np.isfinite(rates) & (rates >= 0)).all():
            raise BadValue("learning_rates must be one finite, non-negative number a step")
        if not 0 <= self.warmup_steps < len(rates):
            raise BadValue(f"warmup_steps must lie in 0…{len(rates) - 1}; got {self.warmup_steps}")
        if rates[self.warmup_steps :].max() == 0:
            raise BadValue("learning_rates are all zero after the warm-up: such a run learns nothing")
        steps = np.asarray(self.steps)
        if len(steps) and not ((steps > self.warmup_steps) & (steps <= len(rates))).all():
            raise BadValue(
                f"steps must lie in {self.warmup_steps + 1}…{len(rates)}: the law starts after the warm-up"
            )
        if len(self.losses) not in (0, len(steps)):
            raise BadLoss(f"one loss a recorded step: {len(steps)} steps, {len(self.losses)} losses")


def columns(curves: Sequence[Curve]) -> dict[str, np.ndarray]:
    """What the law reads of the curves, their recorded steps stacked.

    Returns:
        `area` (n,): S_W + S_1(t); `drop` (n, K): η_{k-1} - η_k, zero where k > t; `rate` (n, K): η_k, and
        `since` (n, K): S_k(t), both 1 where the drop is zero.
    """
    blocks = [_columns_of(curve) for curve in curves]
    width = max(block["drop"].shape[1] for block in blocks)
    fill = {"drop": 0.0, "rate": 1.0, "since": 1.0}
    merged = {"area": np.concatenate([block["area"] for block in blocks])}
    for name, value in fill.items():
        merged[name] = np.concatenate(
            [np.pad(b[name], ((0, 0), (0, width - b[name].shape[1])), constant_values=value) for b in blocks]
        )
    return merged


def _columns_of(curve: Curve) -> dict[str, np.ndarray]:
    rates = np.asarray(curve.learning_rates, dtype=float)
    warm, rates = rates[: curve.warmup_steps], rates[curve.warmup_steps :]
    at = np.asarray(curve.steps, dtype=int) - curve.warmup_steps - 1  # 0-based, after the warm-up
    total = np.cumsum(rates)
    drops = rates[:-1] - rates[1:]
    k = np.flatnonzero(drops) + 1  # 0-based step whose rate differs from the one before
    if not len(k):
        empty = np.zeros((len(at), 0))
        return {"area": warm.sum() + total[at], "drop": empty, "rate": empty, "since": empty}
    # Runs of consecutive small drops are merged, about equal in learning rate; a lone drop stays as it is.
    size = np.abs(drops[k - 1])
    part = (
        np.floor(np.cumsum(size) / size.sum() * DROPS * (1 - 1e-12)).astype(int)
        if len(k) > DROPS
        else np.arange(len(k))
    )
    first = np.flatnonzero(np.diff(part, prepend=-1))
    drop = np.add.reduceat(drops[k - 1], first)
    weight = np.add.reduceat(size, first)
    rate = np.maximum(np.add.reduceat(rates[k] * size, first) / weight, 1e-3 * rates.max())
    start = np.add.reduceat((total[k] - rates[k]) * size, first) / weight
    begins = np.add.reduceat(k * size, first) / weight
    since = total[at][:, None] - start
    live = (begins <= at[:, None]) & (since > 0)
    return {
        "area": warm.sum() + total[at],
        "drop": np.where(live, drop, 0.0),
        "rate": np.where(live, rate, 1.0),
        "since": np.where(live, since, 1.0),
    }


def multi_power_log_loss(theta: np.ndarray, x: Variables) -> tuple[np.ndarray, np.ndarray]:
    """log L and its gradient for θ = (log L0, log A, log B, log C, α, β, γ)."""
    log_l0, log_a, log_b, log_c, alpha, beta, gamma = (theta[:, i : i + 1] for i in range(7))
    log_area = np.log(x["area"])
    floor, power = np.exp(log_l0), np.exp(log_a - alpha * log_area)
    log_rate, log_since = np.log(x["rate"]), np.log(x["since"])
    log_reached = log_c[..., None] - gamma[..., None] * log_rate + log_since
    reach = np.exp(np.where(log_reached.real < MOST_REACH, log_reached, MOST_REACH))  # (S, n, K)
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


MULTI_POWER = register(
    Law(
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
    )
)


def table(curves: Sequence[Curve]) -> pd.DataFrame:
    """Curves as a table for `fit(table, law="multi_power")`: one row a recorded step, one cluster a curve.

    The columns `drop`, `rate` and `since` hold one array a row.
    """
    x = columns(curves)
    frame = pd.DataFrame(
        {"area": x["area"], "loss": np.concatenate([np.asarray(c.losses, float) for c in curves])}
    )
    for name in ("drop", "rate", "since"):
        frame[name] = list(x[name])
    return frame.assign(cluster=np.repeat(np.arange(len(curves)), [len(c.steps) for c in curves]))


def predict(fit: FitResult, curve: Curve) -> pd.DataFrame:
    """The fitted law along a schedule: `step`, `loss`, `loss_low`, `loss_high` at the curve's steps."""
    return pd.DataFrame({"step": curve.steps, **fit.predict_columns(columns([curve]))})


def read_curve(recorded: pd.DataFrame) -> Curve:
    """A curve from rows of `step`, `lr` and `loss`, the learning rate between recorded steps on a straight line.

    Warm-up ends with the step at which the learning rate first reaches its largest value (none, if that is the first
    step); losses up to there are not the law's.
    """
    rows = recorded.sort_values("step")
    steps = rows["step"].to_numpy(float).round().astype(int)
    if len(steps) and (steps[0] < 1 or (np.diff(steps) == 0).any()):
        raise BadValue("steps of a curve must be 1 or more, and no step recorded twice")
    rates = np.interp(np.arange(1, steps[-1] + 1), steps, rows["lr"].to_numpy(float))
    peak = int(np.argmax(rates >= rates.max() * (1 - 1e-6)))
    warmup = peak + 1 if peak else 0
    after = steps > warmup
    return Curve(rates, warmup, steps[after], rows["loss"].to_numpy(float)[after])
