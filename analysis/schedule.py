"""Learning-rate schedules as the multi-power law reads them (see `analysis.laws.multi_power` for its formula).

A schedule of many thousand steps is a handful of parts: consecutive steps are merged into at most `DROPS` drops of the
learning rate, each placed at its middle, so that cost does not grow with the number of steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.refusals import BadLoss, BadValue
from analysis.result import FitResult

DROPS = 128
"""Most drops that a schedule is merged into; merging moves losses by less than 2e-4 nats (see the tests)."""


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
    """The columns that the multi-power law reads, the recorded steps of all curves stacked (n in all).

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


def table(curves: Sequence[Curve]) -> pd.DataFrame:
    """Curves as a table for `fit(table, law="multi_power")`: a row for each recorded step, a cluster for each curve.

    The columns `drop`, `rate` and `since` hold an array in each row.
    """
    x = columns(curves)
    frame = pd.DataFrame(
        {"area": x["area"], "loss": np.concatenate([np.asarray(c.losses, float) for c in curves])}
    )
    for name in ("drop", "rate", "since"):
        frame[name] = list(x[name])
    return frame.assign(cluster=np.repeat(np.arange(len(curves)), [len(c.steps) for c in curves]))


def predict(fit: FitResult, curve: Curve) -> pd.DataFrame:
    """The fitted multi-power law along a schedule: `step`, `loss`, `loss_low`, `loss_high` at the curve's steps."""
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
