"""What torch itself says of a training step of the real model: parameters, FLOPs, and memory at the peak.

Nothing is computed or allocated: fake tensors have shapes and lifetimes but no data, so the trace of a training step
that needs many gigabytes takes seconds.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
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
from scaling.accounting.recipe import TrainingRecipe
from scaling.config.schema import AdamWConfig, MuonConfig
from scaling.model.decoder import Decoder, next_token_loss
from scaling.shape.shape import ModelShape
from scaling.training.optim import build_optimizer

_ATTENTION_OPS = (
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
    torch.ops.aten.bmm.default,  # attention without a fused kernel, as on meta tensors
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
        torch.autograd.backward(next_token_loss(model(windows[:, :-1]), windows[:, 1:]))
    return int(counter.get_total_flops())


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
        for part in torch.split(windows, layout.micro_batch):
            if tracker is not None:
                tracker.reset_mod_stats()  # a module's own statistics, of one call each
            loss = model.loss(part[:, :-1], part[:, 1:]) * (len(part) / len(windows))
            torch.autograd.backward(loss)
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
    run_again = partial(checkpoint, use_reentrant=False)
    if recompute == "selective_ops":
        run_again = partial(run_again, context_fn=_store_every_second_product)
    for block in model.blocks:
        block.forward = partial(run_again, block.forward)


def _store_every_second_product() -> Any:  # as torch types what `checkpoint` takes for a context_fn
    """The policy of `selective_ops`: store attention and every second product of a block, run the rest again."""
    products = {False: 0, True: 0}  # matrix products seen in the forward pass, and when it runs again

    def policy(context: Any, op: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
        if op == torch.ops.aten.mm.default:
            products[context.is_recompute] += 1
            store = products[context.is_recompute] % 2 == 1
        else:
            store = op in _ATTENTION_OPS
        return CheckpointPolicy.MUST_SAVE if store else CheckpointPolicy.PREFER_RECOMPUTE

    return create_selective_checkpoint_contexts(policy)  # type: ignore[no-untyped-call, unused-ignore]  # torch leaves it untyped
