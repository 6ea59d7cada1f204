"""Closed forms beside a trace of the real model: parameters, FLOPs and memory of a training step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import cast

from scaling.accounting.layout import Layout
from scaling.accounting.memory import training_memory
from scaling.accounting.recipe import Optimizer, Precision, TrainingRecipe, processor_runtime
from scaling.budget.keys import ModelKeys, VerifyKeys
from scaling.budget.setup import build_shape
from scaling.budget.trace import traced_flops, traced_memory, traced_params
from scaling.errors import UserError
from scaling.shape.flops import Recompute, train_flops_per_token
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape, is_our_decoder

DEFAULT_MODEL = ModelKeys(width=64, depth=3, context=128)
"""Width, depth and context of the model that `scaling train` makes without keys."""


@dataclass(frozen=True)
class Comparison:
    """One quantity by closed form and by trace."""

    component: str
    closed_form: float
    traced: float
    unit: str

    @property
    def relative_error(self) -> float:
        """Closed form over traced, less one; 0 where both are 0."""
        if self.traced == 0:
            return 0.0 if self.closed_form == 0 else float("inf")
        return self.closed_form / self.traced - 1

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "relative_error": self.relative_error}


def verify(keys: VerifyKeys) -> list[Comparison]:
    """What `scaling budget verify` prints. Raises UserError, in one line, for what cannot be traced."""
    recipe = TrainingRecipe(  # which refuses what is none of its choices
        precision=cast(Precision, keys.precision),
        optimizer=cast(Optimizer, keys.optimizer),
        recompute=cast(Recompute, keys.recompute),
        runtime=processor_runtime(keys.precision) if keys.recompute == "none" else "torch_cpu",
    )
    shape = build_shape(DEFAULT_MODEL if keys.model == ModelKeys() else keys.model)
    return compare(shape, recipe, Layout(micro_batch=keys.micro_batch, accumulation=keys.accumulation))


def compare(shape: ModelShape, recipe: TrainingRecipe, layout: Layout | None = None) -> list[Comparison]:
    """Parameters, training FLOPs of a step and memory of a step on one device, each by closed form and by trace.

    Raises `UserError` for what one process of this project's own decoder cannot run.
    """
    layout = layout or Layout()
    check_traceable(shape, recipe, layout)
    tokens = layout.accumulation * layout.micro_batch * shape.context
    flops = train_flops_per_token(shape, "hardware", recompute=recipe.recompute) * tokens
    flops_traced = traced_flops(shape, layout.micro_batch, recompute=recipe.recompute) * layout.accumulation
    memory = training_memory(shape, recipe, layout)
    parts = memory.binding.components
    weights, states = parts.get("weights", 0), parts.get("optimizer_states", 0)
    rest = sum(size for name, size in parts.items() if name not in ("weights", "optimizer_states"))
    peak = memory.peak_allocated_bytes
    traced = traced_memory(shape, recipe, layout)
    traced_weights, traced_states = traced.get("Parameter", 0), traced.get("Optstate", 0)
    traced_peak = traced["Total"]
    traced_rest = traced_peak - traced_weights - traced_states
    rest_title = f"gradients, activations and buffers ({memory.binding_instant})"
    return [
        Comparison("parameters", count_params(shape).total, traced_params(shape), "parameters"),
        Comparison("training FLOPs of a step", flops, flops_traced, "FLOP"),
        Comparison("weights", weights, traced_weights, "bytes"),
        Comparison("optimizer states", states, traced_states, "bytes"),
        Comparison(rest_title, rest, traced_rest, "bytes"),
        Comparison("peak memory", peak, traced_peak, "bytes"),
    ]


def check_traceable(shape: ModelShape, recipe: TrainingRecipe, layout: Layout) -> None:
    """Raises `UserError` naming what the trace cannot run."""
    if not is_our_decoder(shape):
        raise UserError(
            "only this project's own decoder can be traced (RMSNorm, rotary positions, no biases, no experts): "
            "leave norm, positions, biases and experts at their defaults"
        )
    if layout.devices > 1:
        raise UserError(f"a trace runs on one device, not on {layout.devices}: drop the layout's degrees")
    if recipe.runtime not in ("torch_cpu", "written_out"):
        raise UserError(f"runtime={recipe.runtime} cannot be traced: use runtime=torch_cpu or written_out")
    if recipe.precision not in ("32-true", "bf16-mixed", "bf16-true"):
        raise UserError(
            f"precision={recipe.precision} cannot be traced: use 32-true, bf16-mixed or bf16-true"
        )
    if recipe.optimizer not in ("adamw", "muon", "sgd", "sgd_momentum"):
        raise UserError(
            f"optimizer={recipe.optimizer} is not part of torch: use adamw, muon, sgd or sgd_momentum"
        )
    if recipe.recompute == "selective" or recipe.attention != "flash" or recipe.dropout:
        raise UserError(
            "the decoder has flash attention without dropout: use recompute=none, selective_ops or full"
        )
