"""How long a training step takes: the blocks' work, the pipeline's bubble, and communication that nothing hides.

Nothing is fitted to a model: `roofline.py` prices each kind of work at the rate a device is known to reach on it, and
this file adds it up along the schedule of a layout. Published step times are tests of that (`benchmarks/budget.py`),
not inputs to it. Where a measured run is at hand, `calibration` carries its ratio over to other estimates.
"""

from dataclasses import dataclass
from math import ceil
from typing import get_args

from scaling.accounting.collectives import COLLECTIVE_SECONDS, bus_bytes_per_second
from scaling.accounting.data_parallel import exposed_data_seconds
from scaling.accounting.device import Device
from scaling.accounting.layout import Layout, check_layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.roofline import (
    MATMUL_PRECISION,
    BlockSeconds,
    Kernels,
    Rates,
    block_seconds,
    head_seconds,
    sustained_rates,
)
from scaling.accounting.states import device_params
from scaling.errors import UserError
from scaling.shape.flops import forward_flops_per_token, recomputed_flops_per_token, train_flops_per_token
from scaling.shape.shape import ModelShape

# Bytes that an optimizer step moves for each parameter whose states it holds, counted from what is read and written.
CLIP_BYTES = 12
"""Clipping the gradient: read for the norm; then read and write."""
UPDATE_BYTES = {"adamw": 28, "adamw_8bit": 16, "sgd": 12, "sgd_momentum": 20, "muon": 20, "adafactor": 12}
"""The update: read the gradient, read and write the weight and each state."""
MIXED_BYTES = 16
"""Mixed precision: 16-bit gradient read and written as float32, master weight read and written as 16-bit, gradient
buffer cleared."""
ACCUMULATE_BYTES = 10
"""Adding one micro-batch's 16-bit gradient into a float32 buffer: read 2 and 4, write 4 a parameter."""
MUON_ITERATIONS = 5
"""Newton-Schulz steps of Muon, which cost iterations x width / batch tokens of a step's FLOPs (Jordan 2024)."""


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """Seconds of one optimizer step by what the slowest device waits for, and the rates that follow from them."""

    matmul_seconds: float
    attention_seconds: float
    elementwise_seconds: float
    recompute_seconds: float
    """Work that backward runs a second time."""
    tensor_seconds: float
    """Tensor-parallel collectives."""
    context_seconds: float
    """Keys and values of context parallelism."""
    expert_seconds: float
    """All-to-all of expert parallelism that computation does not hide."""
    bubble_seconds: float
    """Filling and draining the pipeline."""
    pipeline_seconds: float
    """Sending activations between stages."""
    data_seconds: float
    """Data-parallel (ZeRO, FSDP) communication that computation does not hide."""
    optimizer_seconds: float
    tokens: int
    """Tokens in the step, on all devices."""
    devices: int
    peak_flops: float
    """Dense peak of one device at the precision used."""
    model_flops: float
    """Exact FLOPs of the step without recomputation (full T x T attention, as MFU is defined)."""
    hardware_flops: float
    """FLOPs of the step with recomputation."""
    calibration: float = 1.0
    """Measured over estimated speed; divides the total."""

    @property
    def parts(self) -> dict[str, float]:
        """Seconds by component; they add up to `seconds`."""
        named = {
            "matrix products": self.matmul_seconds,
            "attention": self.attention_seconds,
            "element-wise": self.elementwise_seconds,
            "recomputation": self.recompute_seconds,
            "tensor parallel": self.tensor_seconds,
            "context parallel": self.context_seconds,
            "expert parallel": self.expert_seconds,
            "pipeline bubble": self.bubble_seconds,
            "pipeline sends": self.pipeline_seconds,
            "data parallel": self.data_seconds,
            "optimizer": self.optimizer_seconds,
        }
        return {name: seconds / self.calibration for name, seconds in named.items()}

    @property
    def seconds(self) -> float:
        """One optimizer step."""
        return sum(self.parts.values())

    @property
    def tokens_per_second(self) -> float:
        """On all devices together."""
        return self.tokens / self.seconds

    @property
    def mfu(self) -> float:
        """Model FLOPs utilisation: exact model FLOPs over what peak would have done (PaLM, appendix B)."""
        return self.model_flops / (self.seconds * self.devices * self.peak_flops)

    @property
    def hfu(self) -> float:
        """Hardware FLOPs utilisation: as `mfu`, with recomputation counted."""
        return self.hardware_flops / (self.seconds * self.devices * self.peak_flops)


def step_time(
    shape: ModelShape, layout: Layout, device: Device, recipe: TrainingRecipe, *, kernels: Kernels = "fused"
) -> StepTime:
    """Time of one optimizer step: `layout.sequences_per_step` sequences of `shape.context` tokens.

    fp8 applies to the blocks' linear layers, everything else stays in 16 bits. `kernels` says whether element-wise
    work is fused (torch.compile, Megatron) or eager.

    Raises:
        UserError: a layout that does not divide the shape, a precision the device lacks, an unknown choice.
    """
    check_layout(shape, layout)
    if kernels not in get_args(Kernels):
        raise UserError(f"kernels={kernels!r} is unknown: choose one of {', '.join(get_args(Kernels))}")
    rates = sustained_rates(device, recipe)
    block = block_seconds(shape, layout, device, recipe, kernels)
    head = head_seconds(shape, layout, rates, kernels)
    again = _recompute_seconds(shape, recipe, block)
    block_total = block.forward + block.backward + again

    depth = shape.depth + shape.encoder_depth
    blocks, heads = _slowest_stage(depth, layout.pipeline, block_total, head.total)
    params = device_params(shape, layout).total
    accumulate = ACCUMULATE_BYTES * params / rates.memory_bytes_per_second if layout.accumulation > 1 else 0.0
    bubble = (layout.pipeline - 1) / layout.interleave * depth / layout.pipeline * block_total
    data_seconds = exposed_data_seconds(
        layout,
        device,
        recipe,
        params=params,
        blocks=depth / layout.pipeline,
        forward_seconds=blocks * block.forward + heads * head.total / 3,
        backward_seconds=blocks * (block.backward + again) + heads * head.total * 2 / 3,
    )

    micro_batches = layout.accumulation
    step_tokens = layout.sequences_per_step * shape.context
    model_flops, hardware_flops = _flops_per_token(shape, recipe)
    return StepTime(
        matmul_seconds=micro_batches * (3 * blocks * block.matmul + heads * head.matmul),
        attention_seconds=micro_batches * blocks * (block.attention + block.attention_backward),
        elementwise_seconds=micro_batches
        * (3 * blocks * block.elementwise + heads * head.elementwise + accumulate),
        recompute_seconds=micro_batches * blocks * again,
        tensor_seconds=micro_batches * 2 * blocks * block.tensor,
        context_seconds=micro_batches * 3 * blocks * block.context,
        expert_seconds=micro_batches * 2 * blocks * block.expert,
        bubble_seconds=bubble,
        pipeline_seconds=micro_batches * _send_seconds(shape, layout, device),
        data_seconds=data_seconds,
        optimizer_seconds=_optimizer_seconds(shape, layout, rates, recipe, params, model_flops * step_tokens),
        tokens=step_tokens,
        devices=layout.devices,
        peak_flops=device.peak(MATMUL_PRECISION[recipe.precision]),
        model_flops=model_flops * step_tokens,
        hardware_flops=hardware_flops * step_tokens,
        calibration=device.speed_calibration,
    )


def calibration(estimate: StepTime, measured_tokens_per_second: float) -> float:
    """Measured over estimated speed (all devices together): give it back as `Device.speed_calibration`."""
    if not measured_tokens_per_second > 0:
        raise UserError(f"measured_tokens_per_second={measured_tokens_per_second!r} must be positive")
    return measured_tokens_per_second / (estimate.tokens_per_second / estimate.calibration)


def _flops_per_token(shape: ModelShape, recipe: TrainingRecipe) -> tuple[float, float]:
    """(FLOPs of one token, the same with recomputation); 3ND for an encoder-decoder, else exact."""
    if shape.encoder_depth:
        return (flops := train_flops_per_token(shape, "6nd")), flops
    return (
        train_flops_per_token(shape, "exact"),
        train_flops_per_token(shape, "hardware", recompute=recipe.recompute),
    )


def _recompute_seconds(shape: ModelShape, recipe: TrainingRecipe, block: BlockSeconds) -> float:
    """What the backward of one block runs a second time."""
    if recipe.recompute == "full":
        return block.forward
    if recipe.recompute == "selective":
        # A flash kernel keeps no scores: its backward recomputes them anyway, and is priced so.
        return block.attention if recipe.attention == "materialised" else 0.0
    if recipe.recompute == "selective_ops":
        # The products that the policy does not store, all element-wise work and all collectives.
        forward = forward_flops_per_token(shape)
        products = forward.total - forward.head - forward.attention_scores
        share = recomputed_flops_per_token(shape, "selective_ops") / products
        return share * block.matmul + block.elementwise + block.collectives
    return 0.0


def _slowest_stage(depth: int, stages: int, block: float, head: float) -> tuple[int, int]:
    """(blocks, heads) of the stage that takes longest; the last, which has the head, has the fewest blocks."""
    most, fewest = ceil(depth / stages), depth // stages
    return (most, 0) if most * block > fewest * block + head else (fewest, 1)


def _send_seconds(shape: ModelShape, layout: Layout, device: Device) -> float:
    """Activations to the next stage and their gradients back, for one micro-batch; not hidden."""
    if layout.pipeline == 1:
        return 0.0
    message = layout.micro_batch * shape.context / layout.context * shape.width * 2 / layout.tensor
    stride = layout.tensor * layout.context * layout.data  # stages are the outermost coordinate
    link = bus_bytes_per_second(device, 2, stride)
    return 2 * layout.interleave * (message / link + COLLECTIVE_SECONDS)


def _optimizer_seconds(
    shape: ModelShape, layout: Layout, rates: Rates, recipe: TrainingRecipe, params: float, flops: float
) -> float:
    """The update of the parameters whose states this device holds."""
    held = params / (layout.shard_group if layout.zero_stage else 1)
    mixed = MIXED_BYTES if recipe.bytes.master or recipe.bytes.autocast else 0
    seconds = held * (CLIP_BYTES + UPDATE_BYTES[recipe.optimizer] + mixed) / rates.memory_bytes_per_second
    if recipe.optimizer == "muon":
        step_tokens = layout.sequences_per_step * shape.context
        seconds += (
            flops / layout.devices * MUON_ITERATIONS * shape.width / step_tokens / rates.wide_flops_per_second
        )
    return seconds
