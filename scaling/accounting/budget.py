"""Everything that a training run takes, from a shape, tokens, a layout, a device and a recipe."""

from dataclasses import dataclass
from math import ceil
from typing import Any

from scaling.accounting.cost import (
    CARBON_KG_PER_KWH,
    GOODPUT,
    POWER_USAGE_EFFECTIVENESS,
    REALISED,
    RunCost,
    run_cost,
)
from scaling.accounting.device import Device
from scaling.accounting.layout import Layout
from scaling.accounting.memory import MemoryEstimate, training_memory
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.roofline import Kernels
from scaling.accounting.room import Room, room_for, usable_bytes
from scaling.accounting.timing import StepTime, step_time
from scaling.errors import UserError
from scaling.shape.flops import Convention, pf_days, train_flops_per_token
from scaling.shape.params import ParamCounts, count_params
from scaling.shape.shape import ModelShape

CONVENTIONS: tuple[Convention, ...] = ("6nd", "6nd_non_embedding", "exact", "exact_causal", "hardware")
"""The counting conventions that a budget shows side by side."""


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Factors that turn computing time into wall-clock time, money, energy and carbon."""

    usd_per_device_hour: float | None = None
    goodput: float = GOODPUT
    realised: float = REALISED
    power_usage_effectiveness: float = POWER_USAGE_EFFECTIVENESS
    carbon_kg_per_kwh: float = CARBON_KG_PER_KWH

    def __post_init__(self) -> None:
        if not 0 < self.realised <= 1.5:
            raise UserError(
                f"realised={self.realised:g} must lie in (0, 1.5]: a run's speed over the estimate of tuned code"
            )

    def cost(self, device: Device, devices: int, ideal_seconds: float) -> RunCost:
        """Cost of steps that take `ideal_seconds` by the step-time estimate."""
        return run_cost(
            device,
            devices,
            ideal_seconds / self.realised,
            usd_per_device_hour=self.usd_per_device_hour,
            goodput=self.goodput,
            power_usage_effectiveness=self.power_usage_effectiveness,
            carbon_kg_per_kwh=self.carbon_kg_per_kwh,
        )


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Parameters, FLOPs, memory, time and cost of a training run."""

    shape: ModelShape
    tokens: float
    device: Device
    layout: Layout
    recipe: TrainingRecipe
    params: ParamCounts
    memory: MemoryEstimate
    step: StepTime
    prices: Prices
    cost: RunCost

    @property
    def train_flops(self) -> float:
        """6ND, the convention of published budgets (3ND for an encoder-decoder)."""
        return self.train_flops_by("6nd")

    @property
    def train_pf_days(self) -> float:
        return pf_days(self.train_flops)

    def train_flops_by(self, convention: Convention) -> float:
        """Training FLOPs of the run by a counting convention."""
        return self.tokens * train_flops_per_token(self.shape, convention, recompute=self.recipe.recompute)

    @property
    def speed_is_measured(self) -> bool:
        """Whether the time rests on a measured run, so that the spread of other people's runs says nothing of it."""
        return self.device.speed_calibration != 1

    @property
    def steps(self) -> int:
        return ceil(self.tokens / self.step.tokens)

    @property
    def fits(self) -> bool:
        """Whether the peak leaves the reserve free in what a program can use of a device (`accounting.room`)."""
        return self.room == "fits"

    @property
    def room(self) -> Room:
        """Whether the peak fits, or only just, or not."""
        return room_for(self.memory.peak_memory_bytes, self.device)

    def to_json(self) -> dict[str, Any]:  # JSON: numbers, texts and dictionaries of them
        """Every figure under a name with its unit, for programs."""
        params, cost, step = self.params, self.cost, self.step
        return {
            "params_total": params.total,
            "params_non_embedding": params.non_embedding,
            "params_active": params.active,
            "params_by_component": {
                "embedding": params.embedding,
                "positions": params.positions,
                "attention": params.attention,
                "ffn": params.ffn,
                "norms": params.norms,
                "head": params.head,
            },
            "tokens": self.tokens,
            "tokens_per_param": self.tokens / params.total,
            "train_flops": self.train_flops,
            "train_pf_days": self.train_pf_days,
            "train_flops_by_convention": {name: self.train_flops_by(name) for name in CONVENTIONS},
            "peak_memory_bytes": self.memory.peak_memory_bytes,
            "peak_allocated_bytes": self.memory.peak_allocated_bytes,
            "peak_instant": self.memory.binding_instant,
            "peak_component": self.memory.binding_component,
            "memory_bytes_by_instant": {i.name: dict(i.components) for i in self.memory.instants},
            "device_memory_bytes": self.device.memory_bytes,
            "usable_memory_bytes": usable_bytes(self.device),
            "fits": self.fits,
            "tight": self.room == "tight",
            "hardware": self.device.name,
            "devices": self.layout.devices,
            "layout": {name: getattr(self.layout, name) for name in self.layout.__dataclass_fields__},
            "precision": self.recipe.precision,
            "optimizer": self.recipe.optimizer,
            "recompute": self.recipe.recompute,
            "batch_tokens": step.tokens,
            "steps": self.steps,
            "step_seconds": step.seconds,
            "step_seconds_by_part": step.parts,
            "tokens_per_second": step.tokens_per_second,
            "mfu": step.mfu,
            "hfu": step.hfu,
            "realised": self.prices.realised,
            "goodput": self.prices.goodput,
            "days": cost.days,
            "days_interval": None if self.speed_is_measured else cost.days_interval,
            "device_hours": cost.device_hours,
            "price_usd": cost.price_usd,
            "price_usd_interval": None if self.speed_is_measured else cost.price_usd_interval,
            "usd_per_device_hour": cost.usd_per_device_hour,
            "energy_kwh": cost.energy_kwh,
            "co2e_kg": cost.co2e_kg,
        }


def estimate(
    shape: ModelShape,
    tokens: float,
    layout: Layout,
    device: Device,
    recipe: TrainingRecipe,
    *,
    kernels: Kernels = "fused",
    prices: Prices | None = None,
) -> Budget:
    """Parameters, FLOPs, memory, time and cost of training `shape` on `tokens` tokens.

    Raises UserError, in one line, for inputs that are not positive or do not go together.
    """
    if not tokens > 0:
        raise UserError(f"tokens={tokens:g} must be positive")
    step = step_time(shape, layout, device, recipe, kernels=kernels)
    prices = prices or Prices()
    return Budget(
        shape=shape,
        tokens=tokens,
        device=device,
        layout=layout,
        recipe=recipe,
        params=count_params(shape),
        memory=training_memory(shape, recipe, layout),
        step=step,
        prices=prices,
        cost=prices.cost(device, layout.devices, step.seconds * tokens / step.tokens),
    )
