"""How long a training step takes: the blocks' work, the pipeline's bubble, what communication does not hide.

Nothing is fitted to a model: `roofline.py` prices each kind of work at the rate a device is known to reach on it, and
this file adds it up along the schedule of a layout. Published step times are tests of that (`benchmarks/budget.py`),
not inputs to it. Where a measured run is at hand, `calibration` carries its ratio over to other estimates.
"""

from dataclasses import dataclass
from math import ceil
from typing import get_args

from scaling.accounting.collectives import (
    COLLECTIVE_SECONDS,
    COMMUNICATION_SHARE,
    bus_bytes_per_second,
    gather_seconds,
)
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
from scaling.shape.flops import (
    forward_flops_per_token,
    recomputed_flops_per_token,
    train_flops_per_token,
)
from scaling.shape.shape import ModelShape

# Bytes an optimizer step moves for each parameter it holds: clipping the gradient (read for the norm; read and
# write), then the update (read the gradient, read and write the weight and each state).
CLIP_BYTES = 12
UPDATE_BYTES = {"adamw": 28, "adamw_8bit": 16, "sgd": 12, "sgd_momentum": 20, "muon": 20, "adafactor": 12}
MIXED_BYTES = 16
"""Mixed precision: 16-bit gradient read and written as float32, master weight read and written as 16-bit, gradient
buffer cleared."""
ACCUMULATE_BYTES = 10
"""Adding one micro-batch's 16-bit gradient into a float32 buffer: read 2 and 4, write 4 a parameter."""
BUCKET_PARAMS, BUCKET_PARAMS_PER_REPLICA = 40_000_000, 1_000_000
"""Gradients travel in buckets of at least so many parameters, and of so many for each replica where that is more
(Megatron-LM, distributed_data_parallel.py: large enough to be bound by bandwidth)."""
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
    shape: ModelShape,
    layout: Layout,
    device: Device,
    recipe: TrainingRecipe,
    *,
    kernels: Kernels = "fused",
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
    again = {
        "none": 0.0,
        "selective_ops": _again_by_policy(shape, block) if recipe.recompute == "selective_ops" else 0.0,
        # A flash kernel keeps no scores: its backward recomputes them anyway, and is priced so.
        "selective": block.attention if recipe.attention == "materialised" else 0.0,
        "full": block.forward,
    }[recipe.recompute]
    each = block.forward + block.backward + again

    depth = shape.depth + shape.encoder_depth
    blocks, heads = _slowest_stage(depth, layout.pipeline, each, head.total)
    params = device_params(shape, layout).total
    accumulate = ACCUMULATE_BYTES * params / rates.memory_bytes_per_second if layout.accumulation > 1 else 0.0
    forward = blocks * block.forward + heads * head.total / 3
    backward = blocks * (block.backward + again) + heads * head.total * 2 / 3

    micro_batches = layout.accumulation
    step_tokens = layout.sequences_per_step * shape.context
    exact = train_flops_per_token(shape, "6nd" if shape.encoder_depth else "exact")
    hardware = (
        exact if shape.encoder_depth else train_flops_per_token(shape, "hardware", recompute=recipe.recompute)
    )
    return StepTime(
        matmul_seconds=micro_batches * (3 * blocks * block.matmul + heads * head.matmul),
        attention_seconds=micro_batches * blocks * (block.attention + block.attention_backward),
        elementwise_seconds=micro_batches
        * (3 * blocks * block.elementwise + heads * head.elementwise + accumulate),
        recompute_seconds=micro_batches * blocks * again,
        tensor_seconds=micro_batches * 2 * blocks * block.tensor,
        context_seconds=micro_batches * 3 * blocks * block.context,
        expert_seconds=micro_batches * 2 * blocks * block.expert,
        bubble_seconds=(layout.pipeline - 1) / layout.interleave * depth / layout.pipeline * each,
        pipeline_seconds=micro_batches * _send_seconds(shape, layout, device),
        data_seconds=_data_seconds(
            layout, device, recipe, params, depth / layout.pipeline, forward, backward
        ),
        optimizer_seconds=_optimizer_seconds(shape, layout, rates, recipe, params, exact * step_tokens),
        tokens=step_tokens,
        devices=layout.devices,
        peak_flops=device.peak(MATMUL_PRECISION[recipe.precision]),
        model_flops=exact * step_tokens,
        hardware_flops=hardware * step_tokens,
        calibration=device.speed_calibration,
    )


def calibration(estimate: StepTime, measured_tokens_per_second: float) -> float:
    """Measured over estimated speed (all devices together): give it back as `Device.speed_calibration`."""
    if not measured_tokens_per_second > 0:
        raise UserError(f"measured_tokens_per_second={measured_tokens_per_second!r} must be positive")
    return measured_tokens_per_second / (estimate.tokens_per_second / estimate.calibration)


def _again_by_policy(shape: ModelShape, block: BlockSeconds) -> float:
    """What `selective_ops` runs again: the products it does not store, and all element-wise work and collectives."""
    forward = forward_flops_per_token(shape)
    products = forward.total - forward.head - forward.attention_scores
    share = recomputed_flops_per_token(shape, "selective_ops") / products
    return share * block.matmul + block.elementwise + block.collectives


def _slowest_stage(depth: int, stages: int, block: float, head: float) -> tuple[int, int]:
    """(blocks, heads) of the stage that sets the pace; the last, which has the head, gets the fewest blocks."""
    most, least = ceil(depth / stages), depth // stages
    if most * block > least * block + head:
        return most, 0
    return least, 1


def _send_seconds(shape: ModelShape, layout: Layout, device: Device) -> float:
    """Activations to the next stage and their gradients back, for one micro-batch; not hidden."""
    if layout.pipeline == 1:
        return 0.0
    message = layout.micro_batch * shape.context / layout.context * shape.width * 2 / layout.tensor
    inner = layout.tensor * layout.context * layout.data  # stages are the outermost coordinate
    link = bus_bytes_per_second(device, 2, inner)
    return 2 * layout.interleave * (message / link + COLLECTIVE_SECONDS)


def _data_seconds(
    layout: Layout,
    device: Device,
    recipe: TrainingRecipe,
    params: float,
    blocks: float,
    forward: float,
    backward: float,
) -> float:
    """Gradient reduction and weight gathering that the computation of a step does not hide.

    Both run block by block beside the computation, and take some of its multiprocessors. What shows is what they take,
    or the excess over the computation, or one block's share at the end where nothing is left to hide behind.
    """
    group, copies = layout.shard_group, layout.shard_copies
    if group * copies == 1:
        return 0.0

    sharded = layout.zero_stage == 3
    # FSDP gathers block by block; replicated weights are reduced in buckets as large as it takes.
    pieces = blocks if sharded else ceil(params / max(BUCKET_PARAMS, BUCKET_PARAMS_PER_REPLICA * group))

    def gather(ranks: int, inner: int, total_bytes: float) -> float:
        return pieces * gather_seconds(device, ranks, inner, total_bytes / pieces)

    def exposed(communication: float, computation: float) -> float:
        taken = COMMUNICATION_SHARE * communication
        return max(communication - computation, communication / pieces, taken)

    reduce = gather(group, layout.tensor, recipe.bytes.gradient * params)
    weights = gather(group, layout.tensor, recipe.bytes.compute * params)
    if sharded:
        # Groups that hold copies add up their parts of the gradients, once a step behind the last backward.
        part = recipe.bytes.gradient * params / group
        among_copies = 2 * gather(copies, layout.tensor * group, part)
        each = exposed(weights, forward) + exposed(weights + reduce, backward)
        last = exposed(weights + reduce + among_copies, backward) - exposed(weights + reduce, backward)
        return layout.accumulation * each + last
    # Replicated weights: one reduction a step behind the last backward; the second half of an all-reduce, or
    # (ZeRO 1 and 2) gathering the updated weights, behind it or behind the next forward.
    if layout.zero_stage == 0:
        return exposed(2 * reduce, backward)
    return exposed(reduce, backward) + exposed(weights, forward)


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
