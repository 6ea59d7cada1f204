"""Seconds of the work inside one block and in the head, each kind at the rate a device reaches on it.

A matrix product takes the longer of its FLOPs at a sustained share of the best rate measured on the device and its
bytes at memory bandwidth; element-wise kernels take their bytes; collectives take theirs at the slowest link they
cross. Every constant here is a property of devices or of an implementation, none of a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal

from scaling.accounting.device import Device
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import Attention, Precision, TrainingRecipe
from scaling.shape.flops import score_width
from scaling.shape.params import attention_matrices
from scaling.shape.shape import ModelShape

Kernels = Literal["fused", "eager"]

MEMORY_FRACTION = 0.85
"""Streaming rate over peak memory bandwidth (BabelStream triad, V100 to H100: 0.85 to 0.92)."""

COLLECTIVE_FRACTION = 0.77
"""Bus bandwidth of a large collective over link bandwidth (nccl-tests, 8 x A100 with NVSwitch: 230 of 300 GB/s)."""

COLLECTIVE_SECONDS = 20e-6
"""Start of one collective inside a node (nccl-tests, small messages over 8 devices: 15 to 30 microseconds; NCCL's own
cost model, src/graph/tuning.cc, has 14 and 1.9 for each device more)."""

HOP_SECONDS = 5e-6
"""One more node in the ring of a collective (the same model: 4 over the network, 1 for posting a message)."""

COMMUNICATION_SHARE = 20 / 132
"""Multiprocessors that collectives take from the products they run beside (DeepSeek-V3, arXiv:2412.19437, section
3.2.3: 20 of an H800's 132)."""

KERNEL_SECONDS = 5e-6
"""Least time of one kernel: launch, ramp and tail."""

# Bytes that element-wise kernels move, forward, for each 16-bit feature they touch (float32: twice these); backward
# moves twice as many.
# `fused` is what torch.compile or hand-written kernels do, `eager` one kernel an operation, as plain PyTorch.
NORM_BYTES = {
    "fused": 4,
    "eager": 36,
}  # read and write; eager RMSNorm: cast, square, mean, scale, cast, weight
RESIDUAL_BYTES = {"fused": 6, "eager": 6}  # read two, write one
ROTARY_BYTES = {"fused": 4, "eager": 20}  # eager: cast to float32, rotate, cast back
SWIGLU_BYTES = {"fused": 6, "eager": 10}  # eager: silu, then the product
GELU_BYTES = {"fused": 4, "eager": 4}
LOGIT_BYTES = {"fused": 8, "eager": 36}  # forward and backward; eager casts the logits to float32
SCORE_BYTES = (
    9  # materialised attention: scale-mask-softmax and dropout each read and write, dropout its mask
)
KERNELS_PER_BLOCK = {"fused": 8, "eager": 24}  # element-wise, forward

BACKWARD_OVER_FORWARD = {"flash": 2.5, "materialised": 2.0}
"""Attention, backward over forward: a flash kernel also recomputes the scores (Dao 2023, arXiv:2307.08691)."""


MATMUL_PRECISION: dict[Precision, str] = {
    "32-true": "fp32",
    "bf16-mixed": "bf16",
    "16-mixed": "fp16",
    "bf16-true": "bf16",
    "16-true": "fp16",
    "bf16-master": "bf16",
    "16-master": "fp16",
    "fp8-mixed": "fp8",
}
"""The matrix units that a recipe's precision uses. Plain float32 means just that: tf32 has to be asked for."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What a device sustains under a recipe, in FLOP/s and bytes/s."""

    linear: float
    """Matrix products of the blocks, at the training precision."""
    half: float
    """Matrix products of the head and of materialised attention, 16-bit (the training precision if wider)."""
    attention: float
    """Fused attention."""
    memory: float
    number_bytes: int
    """Bytes of an activation, and of a weight as products read it."""

    @staticmethod
    def of(device: Device, recipe: TrainingRecipe) -> Rates:
        """Sustained rates; only the blocks' linear layers use fp8. Raises UserError for a precision it lacks."""
        precision = MATMUL_PRECISION[recipe.precision]
        wide = device.training_precision if precision == "fp8" else precision
        sustained = device.matmul_fraction * device.sustained_fraction
        return Rates(
            linear=device.peak(precision) * sustained,
            half=device.peak(wide) * sustained,
            attention=device.peak(wide) * device.attention_fraction,
            memory=device.memory_bytes_per_second * MEMORY_FRACTION,
            number_bytes=recipe.bytes.compute,
        )


@dataclass(frozen=True, kw_only=True)
class BlockSeconds:
    """One micro-batch in one block, on one device. Compute is forward; collectives are one direction's."""

    matmul: float
    attention: float
    attention_backward: float
    elementwise: float
    tensor: float
    context: float
    expert: float

    @property
    def forward(self) -> float:
        return self.matmul + self.attention + self.elementwise + self.collectives

    @property
    def backward(self) -> float:
        """Both gradients of every product; keys and values travel twice under context parallelism."""
        return (
            2 * (self.matmul + self.elementwise) + self.attention_backward + self.collectives + self.context
        )

    @property
    def collectives(self) -> float:
        return self.tensor + self.context + self.expert


@dataclass(frozen=True, kw_only=True)
class HeadSeconds:
    """One micro-batch in head and loss, on one device, forward and backward."""

    matmul: float
    elementwise: float

    @property
    def total(self) -> float:
        return self.matmul + self.elementwise


def bus_bytes_per_second(device: Device, ranks: int, inner: int) -> float:
    """Bandwidth of a collective over `ranks` devices that lie `inner` apart.

    Inside a node it is the link's. Across nodes the ring enters and leaves a node through the network adapters of all
    the group's devices there, so it is theirs together, up to the link's.
    """
    ranks_in_node = max(1, device.node_devices // inner)
    if ranks <= ranks_in_node:
        return device.link_bytes_per_second * COLLECTIVE_FRACTION
    together = min(device.link_bytes_per_second, ranks_in_node * device.network_bytes_per_second)
    return together * COLLECTIVE_FRACTION


def gather_seconds(device: Device, ranks: int, inner: int, total_bytes: float) -> float:
    """All-gather or reduce-scatter of `total_bytes` over a ring; an all-reduce takes two."""
    if ranks == 1:
        return 0.0
    nodes = ceil(ranks / max(1, device.node_devices // inner))
    moved = (ranks - 1) / ranks * total_bytes / bus_bytes_per_second(device, ranks, inner)
    return moved + COLLECTIVE_SECONDS + (nodes - 1) * HOP_SECONDS


def all_to_all_seconds(device: Device, ranks: int, inner: int, held_bytes: float, copies: int) -> float:
    """Sending each token that a device holds to the `copies` of `ranks` devices whose experts it visits.

    A token crosses the network once for each other node it visits, and is handed on inside it (DeepSeek-V3,
    arXiv:2412.19437, section 3.2.2); experts are taken to be chosen at random. Every device uses its own adapter.
    """
    if ranks == 1:
        return 0.0
    in_node = min(ranks, max(1, device.node_devices // inner))
    nodes = ceil(ranks / in_node)
    other_nodes = (nodes - 1) * (1 - (1 - 1 / nodes) ** copies)
    across = other_nodes * held_bytes / (device.network_bytes_per_second * COLLECTIVE_FRACTION)
    inside = copies * (1 - 1 / in_node) * held_bytes / (device.link_bytes_per_second * COLLECTIVE_FRACTION)
    return max(across, inside) + COLLECTIVE_SECONDS + (HOP_SECONDS if nodes > 1 else 0.0)


def block_seconds(
    shape: ModelShape,
    layout: Layout,
    device: Device,
    recipe: TrainingRecipe,
    kernels: Kernels,
) -> BlockSeconds:
    """An average block (of a mixture with dense blocks: the average of both)."""
    rates = Rates.of(device, recipe)
    tokens = layout.micro_batch * shape.context / layout.context
    tensor = layout.tensor
    projections, expert = _projection_seconds(shape, layout, device, rates, tokens)
    forward, backward = _attention_seconds(shape, layout, rates, tokens, recipe.attention)
    message = tokens * shape.width * rates.number_bytes
    cached = 2 * shape.kv_width if shape.latent is None else shape.latent.kv_rank + shape.latent.rope_width
    keys_and_values = layout.micro_batch * shape.context * cached * rates.number_bytes
    elementwise = _elementwise_seconds(shape, layout, rates, tokens, kernels)
    if layout.pipeline > 1 and layout.accumulation > 1:
        # One micro-batch's tokens travel while another one's are computed (DeepSeek-V3, arXiv:2412.19437, 3.2.1).
        expert = max(expert - (projections + forward + elementwise), COMMUNICATION_SHARE * expert)
    return BlockSeconds(
        matmul=projections,
        attention=forward,
        attention_backward=backward,
        elementwise=elementwise,
        # An all-reduce after attention and one after the feed-forward, or as many bytes gathered and scattered.
        tensor=4 * gather_seconds(device, tensor, 1, message),
        context=gather_seconds(device, layout.context, tensor, keys_and_values / tensor),
        expert=expert,
    )


def head_seconds(shape: ModelShape, layout: Layout, rates: Rates, kernels: Kernels) -> HeadSeconds:
    """Logits, softmax and their gradients, split over the tensor-parallel group."""
    tokens = layout.micro_batch * shape.context / layout.context
    columns = shape.vocab_size / layout.tensor
    return HeadSeconds(
        matmul=3 * product_seconds(tokens, shape.width, columns, rates.half, rates),
        elementwise=LOGIT_BYTES[kernels] * rates.number_bytes / 2 * tokens * columns / rates.memory
        + 3 * KERNEL_SECONDS,
    )


def product_seconds(rows: float, inner: float, columns: float, flop_rate: float, rates: Rates) -> float:
    """One matrix product, (rows, inner) by (inner, columns): bound by FLOPs or by memory."""
    compute = 2 * rows * inner * columns / flop_rate
    traffic = rates.number_bytes * (rows * inner + inner * columns + rows * columns) / rates.memory
    return max(compute, traffic) + KERNEL_SECONDS


def _projection_seconds(
    shape: ModelShape, layout: Layout, device: Device, rates: Rates, tokens: float
) -> tuple[float, float]:
    """(seconds of all linear layers, seconds of the all-to-all to experts and back), forward."""
    tensor, width = layout.tensor, shape.width
    output_width = shape.attention_width if shape.latent is None else shape.heads * shape.latent.value_width
    inputs = (attention_matrices(shape) - output_width * width) / width  # columns of all input projections

    def product(rows: float, inner: float, columns: float) -> float:
        return product_seconds(rows, inner, columns, rates.linear, rates)

    def feed_forward(rows: float, hidden: float) -> float:
        gates = 2 if shape.ffn == "swiglu" else 1
        return product(rows, width, gates * hidden / tensor) + product(rows, hidden / tensor, width)

    attention = product(tokens, width, inputs / tensor) + product(tokens, output_width / tensor, width)
    attention *= 2 if shape.encoder_depth else 1  # cross-attention; an overestimate for the encoder's blocks
    if not shape.experts:
        return attention + feed_forward(tokens, shape.ffn_width), 0.0
    hidden = shape.expert_width or shape.ffn_width
    routed = tokens * shape.experts_active
    local_experts = shape.experts / layout.expert
    mixture = local_experts * feed_forward(routed / local_experts, hidden)
    if shape.shared_experts:
        mixture += feed_forward(tokens, shape.shared_experts * hidden)
    row_bytes = width * rates.number_bytes / tensor
    all_to_all = 2 * all_to_all_seconds(
        device, layout.expert, tensor * layout.context, tokens * row_bytes, shape.experts_active
    )
    share = shape.moe_depth / shape.depth
    dense = feed_forward(tokens, shape.ffn_width)
    return attention + share * mixture + (1 - share) * dense, share * all_to_all


def _attention_seconds(
    shape: ModelShape, layout: Layout, rates: Rates, tokens: float, attention: Attention
) -> tuple[float, float]:
    """Scores, softmax and weighted values: (forward, backward)."""
    flops = 2 * tokens * shape.context * score_width(shape) / layout.tensor
    ratio = BACKWARD_OVER_FORWARD[attention]
    if attention == "flash":
        seen = 0.5 if shape.causal else 1.0  # a fused kernel skips what the mask discards
        forward = flops * seen / rates.attention + KERNEL_SECONDS
    else:
        scores = tokens * shape.context * shape.heads / layout.tensor
        # Queries times keys writes the scores, weights times values reads them.
        forward = flops / rates.half + (SCORE_BYTES + 4) * scores / rates.memory + 4 * KERNEL_SECONDS
    return forward, ratio * forward


def _elementwise_seconds(
    shape: ModelShape, layout: Layout, rates: Rates, tokens: float, kernels: Kernels
) -> float:
    """Norms, residual additions, rotary positions and the activation function, forward."""
    residual = shape.width / (layout.tensor if layout.sequence else 1)
    norm = NORM_BYTES[kernels if shape.norm == "rmsnorm" else "fused"]
    activation = SWIGLU_BYTES if shape.ffn == "swiglu" else GELU_BYTES
    hidden = shape.ffn_width
    if shape.experts:
        hidden = (shape.expert_width or shape.ffn_width) * (shape.experts_active + shape.shared_experts)
    heads = (shape.attention_width + shape.kv_width) / layout.tensor
    bytes_per_token = (
        (shape.norms_per_block * norm + 2 * RESIDUAL_BYTES[kernels]) * residual
        + activation[kernels] * hidden / layout.tensor
        + ((ROTARY_BYTES[kernels] if shape.positions == "rotary" else 0) + (norm if shape.qk_norm else 0))
        * heads
    )
    bytes_per_token *= rates.number_bytes / 2
    return max(tokens * bytes_per_token / rates.memory, KERNELS_PER_BLOCK[kernels] * KERNEL_SECONDS)
