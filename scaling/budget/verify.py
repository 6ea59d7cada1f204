"""Closed forms beside a trace: the real model under FakeTensor, torch's memory tracker and its FLOP counter.

Nothing is computed or allocated: fake tensors have shapes and lifetimes but no data, so the trace of a training step
that needs many gigabytes takes seconds. This is the one file of the accounting that imports torch.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
    set_checkpoint_early_stop,
)
from torch.utils.flop_counter import FlopCounterMode

from scaling.accounting.layout import Layout
from scaling.accounting.memory import training_memory
from scaling.accounting.recipe import TrainingRecipe, processor_runtime
from scaling.budget.keys import ModelKeys, build_shape, parse_keys
from scaling.config.schema import AdamWConfig, MuonConfig
from scaling.errors import UserError
from scaling.model.decoder import Decoder, next_token_loss
from scaling.shape.flops import train_flops_per_token
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape, is_our_decoder
from scaling.training.optim import build_optimizer

_ATTENTION_OPS = (
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten.bmm.default,  # attention without a fused kernel, as on meta tensors
)


@dataclass(frozen=True, kw_only=True)
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


def verify(shape: ModelShape, recipe: TrainingRecipe, layout: Layout | None = None) -> list[Comparison]:
    """Parameters, training FLOPs of a step and memory of a step on one device, each by closed form and by trace.

    Raises `UserError` for what one process of this project's own decoder cannot run.
    """
    layout = layout or Layout()
    check_traceable(shape, recipe, layout)
    tokens = layout.accumulation * layout.micro_batch * shape.context
    convention_flops = train_flops_per_token(shape, "hardware", recompute=recipe.recompute) * tokens
    estimate = training_memory(shape, recipe, layout)
    traced = traced_memory(shape, recipe, layout)
    peak = estimate.binding.components
    states = ("weights", "optimizer_states")
    rest = sum(size for name, size in peak.items() if name not in states)
    traced_weights = traced.get("Parameter", 0)
    traced_states = traced.get("Optstate", 0)
    traced_peak = traced["Total"]
    return [
        Comparison(
            component="parameters",
            closed_form=count_params(shape).total,
            traced=traced_params(shape),
            unit="parameters",
        ),
        Comparison(
            component="training FLOPs of a step",
            closed_form=convention_flops,
            traced=traced_flops(shape, layout.micro_batch, recompute=recipe.recompute) * layout.accumulation,
            unit="FLOP",
        ),
        Comparison(
            component="weights", closed_form=peak.get("weights", 0), traced=traced_weights, unit="bytes"
        ),
        Comparison(
            component="optimizer states",
            closed_form=peak.get("optimizer_states", 0),
            traced=traced_states,
            unit="bytes",
        ),
        Comparison(
            component=f"gradients, activations and buffers ({estimate.binding_instant})",
            closed_form=rest,
            traced=traced_peak - traced_weights - traced_states,
            unit="bytes",
        ),
        Comparison(
            component="peak memory",
            closed_form=estimate.peak_allocated_bytes,
            traced=traced_peak,
            unit="bytes",
        ),
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


def traced_params(shape: ModelShape) -> int:
    """Parameters of the real model, each once."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Decoder(shape).parameters())


def traced_flops(shape: ModelShape, sequences: int = 1, *, recompute: str = "none") -> int:
    """FLOPs that torch's counter sees in forward and backward of the real model on meta tensors."""
    # On CPU tensors the counter does not know the fused attention kernel; on meta tensors it counts it in full.
    with torch.device("meta"), FlopCounterMode(display=False) as counter, set_checkpoint_early_stop(False):
        model = Decoder(shape)
        _checkpoint_blocks(model, recompute)
        windows = torch.zeros((sequences, shape.context + 1), dtype=torch.int64)
        next_token_loss(model(windows[:, :-1]), windows[:, 1:]).backward()
    return counter.get_total_flops()


def traced_memory(shape: ModelShape, recipe: TrainingRecipe, layout: Layout) -> dict[str, int]:
    """Live bytes at the peak of a training step in its steady state, by the tracker's categories and in "Total"."""
    with FakeTensorMode(), _default_dtype(recipe):
        model = Decoder(shape)
        _checkpoint_blocks(model, recipe.recompute)
        optimizer = _optimizer(recipe, model)
        if recipe.runtime == "written_out":
            model.use_cpu_kernels()
        windows = torch.zeros(
            (layout.accumulation * layout.micro_batch, shape.context + 1), dtype=torch.int64
        )
        # The first step makes the optimizer's states: one sequence does, and need not be followed.
        _step(model, optimizer, windows[:1], recipe, layout)
        tracker = MemTracker()
        tracker.track_external(model, *getattr(optimizer, "parts", (optimizer,)), windows)
        with tracker:
            _step(model, optimizer, windows, recipe, layout, tracker)
        peak = tracker.get_tracker_snapshot("peak")
    totals: dict[str, int] = {}
    for categories in peak.values():
        for category, size in categories.items():
            name = getattr(category, "value", str(category))
            totals[name] = totals.get(name, 0) + size
    return totals


def _step(
    model: Decoder,
    optimizer: torch.optim.Optimizer,
    windows: Tensor,
    recipe: TrainingRecipe,
    layout: Layout,
    tracker: MemTracker | None = None,
) -> None:
    """One optimizer step as `scaling.training.module` takes it."""
    # Casts of weights live until autocast ends, as PyTorch's own examples have it, before the optimizer's update.
    autocast = torch.autocast("cpu", torch.bfloat16) if recipe.precision == "bf16-mixed" else nullcontext()
    with autocast:
        optimizer.zero_grad()
        total = torch.zeros(())
        for part in windows.split(layout.micro_batch):
            if tracker is not None:
                tracker.reset_mod_stats()  # a module's own statistics, of one call each
            loss = model.loss(part[:, :-1], part[:, 1:]) * (len(part) / len(windows))
            loss.backward()
            total += loss.detach()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
    optimizer.step()


def _optimizer(recipe: TrainingRecipe, model: nn.Module) -> torch.optim.Optimizer:
    if recipe.optimizer in ("sgd", "sgd_momentum"):
        momentum = 0.9 if recipe.optimizer == "sgd_momentum" else 0.0
        return torch.optim.SGD(model.parameters(), lr=1e-3, momentum=momentum)
    return build_optimizer(
        AdamWConfig() if recipe.optimizer == "adamw" else MuonConfig(), model, 1e-3, recipe.precision
    )


@contextmanager
def _default_dtype(recipe: TrainingRecipe) -> Iterator[None]:
    """Lightning's `bf16-true` makes every weight in bfloat16."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if recipe.precision == "bf16-true" else torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _checkpoint_blocks(model: Decoder, recompute: str) -> None:
    """Make each block run again in backward as `recompute` says."""
    if recompute == "none":
        return
    context: dict[str, Any] = {}
    if recompute == "selective_ops":
        context["context_fn"] = _every_second_product
    for block in model.blocks:
        forward: Callable[..., Tensor] = block.forward
        block.forward = partial(checkpoint, forward, use_reentrant=False, **context)


def _every_second_product() -> Any:
    """The policy of `selective_ops`: store attention and every second product of a block, run the rest again."""
    products = {False: 0, True: 0}

    def policy(context: Any, op: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
        if op == torch.ops.aten.mm.default:
            products[context.is_recompute] += 1
            store = products[context.is_recompute] % 2 == 1
        else:
            store = op in _ATTENTION_OPS
        return CheckpointPolicy.MUST_SAVE if store else CheckpointPolicy.PREFER_RECOMPUTE

    return create_selective_checkpoint_contexts(policy)


@dataclass(kw_only=True)
class VerifyKeys:
    """One training step of this project's decoder on one device."""

    model: ModelKeys = field(default_factory=ModelKeys)
    precision: str = "32-true"
    """32-true, bf16-mixed or bf16-true."""
    optimizer: str = "adamw"
    """adamw, muon, sgd or sgd_momentum."""
    recompute: str = "none"
    """none, selective_ops or full."""
    micro_batch: int = 1
    """Sequences computed at a time."""
    accumulation: int = 1
    """Micro-batches a step."""


def main(words: list[str], as_json: bool) -> int:
    """`scaling budget verify`: print each quantity by closed form and by trace. Returns the exit status."""
    keys = parse_keys(words, VerifyKeys)
    # The default model is the one that `scaling train` makes without keys.
    named = any(word.startswith("model") for word in words)
    shape = build_shape(keys.model if named else ModelKeys(width=64, depth=3, context=128))
    recipe = TrainingRecipe(
        precision=keys.precision,  # type: ignore[arg-type]
        optimizer=keys.optimizer,  # type: ignore[arg-type]
        recompute=keys.recompute,  # type: ignore[arg-type]
        runtime=processor_runtime(keys.precision) if keys.recompute == "none" else "torch_cpu",
    )
    rows = verify(shape, recipe, Layout(micro_batch=keys.micro_batch, accumulation=keys.accumulation))
    if as_json:
        print(json.dumps([{**asdict(row), "relative_error": row.relative_error} for row in rows], indent=2))
        return 0
    from scaling.budget.report import console, table

    columns = (
        ("", "left"),
        ("closed form", "right"),
        ("traced", "right"),
        ("difference", "right"),
        ("", "left"),
    )
    lines = [
        (
            row.component,
            f"{row.closed_form:,.0f}",
            f"{row.traced:,.0f}",
            f"{row.relative_error:+.3%}",
            row.unit,
        )
        for row in rows
    ]
    console().print(table("Closed form beside a trace of one training step", columns, lines))
    return 0
