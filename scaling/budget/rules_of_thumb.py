"""Rules of thumb that courses teach, as named presets to hold against the detailed estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scaling.shape.flops import pf_days

STORE_BYTES_PER_PARAM = 4
"""A weight in float32."""
TRAIN_BYTES_PER_PARAM = 24
"""Weight, gradient and two Adam moments in float32 (16), and about 8 more for activations and temporaries."""
V100_PER_PF_DAY = 8
"""V100 that do a petaFLOP/s-day in a day at full rate: 8 x 125 TFLOP/s is 1 PFLOP/s."""
A100_PER_PF_DAY = 2
"""A100 that do so by the same rule, which counts 624 TFLOP/s, the sparse peak; at the dense 312 it takes 3.2."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule and what it says of a model."""

    title: str
    value: Callable[[float, float], float]
    """(parameters, tokens) → the quantity."""
    form: str
    """Format of the quantity, with its unit."""

    def say(self, params: float, tokens: float) -> str:
        value = self.value(params, tokens)
        return self.form.format(round(value) if value >= 1000 else float(f"{value:.4g}"))


def store_bytes(params: float) -> float:
    """Bytes to store a model in float32."""
    return STORE_BYTES_PER_PARAM * params


def train_bytes(params: float) -> float:
    """Bytes to train a model, all told."""
    return TRAIN_BYTES_PER_PARAM * params


def device_days(train_flops: float, devices_per_pf_day: float) -> float:
    """Device-days at full rate of so many FLOPs."""
    return pf_days(train_flops) * devices_per_pf_day


RULES = (
    Rule(title="4 bytes a parameter to store", value=lambda n, d: store_bytes(n) / 1e9, form="{:,.6g} GB"),
    Rule(title="24 bytes a parameter to train", value=lambda n, d: train_bytes(n) / 1e9, form="{:,.6g} GB"),
    Rule(
        title="1 PF-day = 8 V100 for a day at full rate",
        value=lambda n, d: device_days(6 * n * d, V100_PER_PF_DAY),
        form="{:,.6g} V100-days",
    ),
    Rule(
        title="1 PF-day = 2 A100 for a day at full sparse rate (3.2 dense)",
        value=lambda n, d: device_days(6 * n * d, A100_PER_PF_DAY),
        form="{:,.6g} A100-days",
    ),
)
