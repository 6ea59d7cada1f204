"""Seconds of the work inside one block and in the head, each kind at the rate a device reaches on it.

A matrix product takes the longer of its FLOPs at a sustained share of the best rate measured on the device and its
bytes at memory bandwidth; element-wise kernels take their bytes (Williams et al. 2009, the roofline model). Every
constant here is a property of devices or of an implementation, none of a model.
"""

from dataclasses import dataclass
from typing import Literal

from scaling.accounting.collectives import COMMUNICATION_SHARE, all_to_all_seconds, gather_seconds
from scaling.accounting.device import Device
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import Attention, Precision, TrainingRecipe
from scaling.shape.flops import score_width
from scaling.shape.params import attention_matrices
from scaling.shape.shape import ModelShape

Kernels = Literal["fused", "eager"]
"""`fused` is what torch.compile or hand-written kernels do, `eager` one kernel an operation, as plain PyTorch."""

MEMORY_FRACTION = 0.85
"""Streaming rate over peak memory bandwidth (BabelStream triad, V100 to H100: 0.85 to 0.92)."""

KERNEL_SECONDS = 5e-6
"""Least time of one kernel: launch, ramp and tail."""

# Bytes that element-wise kernels move in forward for each 16-bit number they touch; float32 moves twice as many, and
# backward twice as many as forward. Each is counted from the tensors that the kernels read and write.
NORM_BYTES = {"fused": 4, "eager": 36}
"""Fused: read and write. Eager RMSNorm: cast, square, mean, scale, cast, weight."""
RESIDUAL_BYTES = {"fused": 6, "eager": 6}
"""Read two tensors, write one."""
ROTARY_BYTES = {"fused": 4, "eager": 20}
"""Eager: cast to float32, rotate, cast back."""
SWIGLU_BYTES = {"fused": 6, "eager": 10}
"""Eager: silu, then the product."""
GELU_BYTES = {"fused": 4, "eager": 4}
"""Read and write."""
LOGIT_BYTES = {"fused": 8, "eager": 36}
"""Softmax and loss, forward and backward; eager casts the logits to float32."""
SCORE_BYTES = 9
"""Materialised attention: scale-mask-softmax and dropout each read and write, dropout its mask as well."""
KERNELS_PER_BLOCK = {"fused": 8, "eager": 24}
"""Element-wise kernels of a block's forward."""

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
    """What a device sustains under a recipe."""

    linear_flops_per_second: float
    """Matrix products of the blocks, at the training precision."""
    wide_flops_per_second: float
    """Matrix products of the head and of materialised attention: 16 bits where the blocks' products use fp8."""
    attention_flops_per_second: float
    """Fused attention."""
    memory_bytes_per_second: float
    number_bytes: int
    """Bytes of an activation, and of a weight as products read it."""


def sustained_rates(device: Device, recipe: TrainingRecipe) -> Rates:
    """Rates of a device; only the blocks' linear layers use fp8. Raises UserError for a precision it lacks."""
    precision = MATMUL_PRECISION[recipe.precision]
    wide = device.training_precision if precision == "fp8" else precision
    sustained = device.matmul_fraction * device.sustained_fraction
    return Rates(
        linear_flops_per_second=device.peak(precision) * sustained,
        wide_flops_per_second=device.peak(wide) * sustained,
        attention_flops_per_second=device.peak(wide) * device.attention_fraction,
        memory_bytes_per_second=device.memory_bytes_per_second * MEMORY_FRACTION,
        number_bytes=recipe.bytes.compute,
    )


@dataclass(frozen=True, kw_only=True)
class BlockSeconds:
    """Seconds of one micro-batch in one block, on one device. Compute is forward's; collectives are one direction's."""

    matmul: float
    attention: float
    attention_backward: float
    elementwise: float
    tensor: float
    """Tensor-parallel collectives."""
    context: float
    """Gathering keys and values under context parallelism."""
    expert: float
    """All-to-all of expert parallelism that computation does not hide."""

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
    """Seconds of one micro-batch in head and loss, on one device, forward and backward."""

    matmul: float
    elementwise: float

    @property
    def total(self) -> float:
        return self.matmul + self.elementwise


def block_seconds(
    shape: ModelShape, layout: Layout, device: Device, recipe: TrainingRecipe, kernels: Kernels
) -> BlockSeconds:
    """An average block (of a mixture with dense blocks: the average of both)."""
    rates = sustained_rates(device, recipe)
    tokens = _micro_batch_tokens(shape, layout)
    matmul = _linear_seconds(shape, layout, rates, tokens)
    attention, attention_backward = _attention_seconds(shape, layout, rates, tokens, recipe.attention)
    elementwise = _elementwise_seconds(shape, layout, rates, tokens, kernels)
    expert = _expert_seconds(shape, layout, device, rates, tokens)
    if layout.pipeline > 1 and layout.accumulation > 1:
        # One micro-batch's tokens travel while another one's are computed (DeepSeek-V3, arXiv:2412.19437, 3.2.1).
        expert = max(expert - (matmul + attention + elementwise), COMMUNICATION_SHARE * expert)
    message = tokens * shape.width * rates.number_bytes
    cached = 2 * shape.kv_width if shape.latent is None else shape.latent.kv_rank + shape.latent.rope_width
    keys_and_values = layout.micro_batch * shape.context * cached * rates.number_bytes
    return BlockSeconds(
        matmul=matmul,
        attention=attention,
        attention_backward=attention_backward,
        elementwise=elementwise,
        # An all-reduce after attention and one after the feed-forward, or as many bytes gathered and scattered.
        tensor=4 * gather_seconds(device, layout.tensor, 1, message),
        context=gather_seconds(device, layout.context, layout.tensor, keys_and_values / layout.tensor),
        expert=expert,
    )


def head_seconds(shape: ModelShape, layout: Layout, rates: Rates, kernels: Kernels) -> HeadSeconds:
    """Logits, softmax and their gradients, split over the tensor-parallel group."""
    tokens = _micro_batch_tokens(shape, layout)
    columns = shape.vocab_size / layout.tensor
    logit_bytes = LOGIT_BYTES[kernels] * rates.number_bytes / 2 * tokens * columns
    return HeadSeconds(
        matmul=3 * product_seconds(tokens, shape.width, columns, rates.wide_flops_per_second, rates),
        elementwise=logit_bytes / rates.memory_bytes_per_second + 3 * KERNEL_SECONDS,
    )


def product_seconds(
    rows: float, inner: float, columns: float, flops_per_second: float, rates: Rates
) -> float:
    """One matrix product, (rows, inner) by (inner, columns): bound by FLOPs or by memory."""
    compute = 2 * rows * inner * columns / flops_per_second
    numbers = rows * inner + inner * columns + rows * columns
    return max(compute, rates.number_bytes * numbers / rates.memory_bytes_per_second) + KERNEL_SECONDS


def _micro_batch_tokens(shape: ModelShape, layout: Layout) -> float:
    """Tokens of a micro-batch on one device."""
    return layout.micro_batch * shape.context / layout.context


def _linear_seconds(shape: ModelShape, layout: Layout, rates: Rates, tokens: float) -> float:
    """All linear layers of a block, forward."""
    width, tensor = shape.width, layout.tensor

    def product(rows: float, inner: float, columns: float) -> float:
        return product_seconds(rows, inner, columns, rates.linear_flops_per_second, rates)

    def feed_forward(rows: float, hidden: float) -> float:
        gates = 2 if shape.ffn == "swiglu" else 1
        return product(rows, width, gates * hidden / tensor) + product(rows, hidden / tensor, width)

    output_width = shape.attention_width if shape.latent is None else shape.heads * shape.latent.value_width
    input_columns = (attention_matrices(shape) - output_width * width) / width  # of all input projections
    attention = product(tokens, width, input_columns / tensor) + product(tokens, output_width / tensor, width)
    attention *= 2 if shape.encoder_depth else 1  # cross-attention; an overestimate for the encoder's blocks
    if not shape.experts:
        return attention + feed_forward(tokens, shape.ffn_width)
    hidden = shape.expert_width or shape.ffn_width
    local_experts = shape.experts / layout.expert
    rows = tokens * shape.experts_active / local_experts
    mixture = local_experts * feed_forward(rows, hidden)
    if shape.shared_experts:
        mixture += feed_forward(tokens, shape.shared_experts * hidden)
    share = shape.moe_depth / shape.depth
    return attention + share * mixture + (1 - share) * feed_forward(tokens, shape.ffn_width)


def _expert_seconds(shape: ModelShape, layout: Layout, device: Device, rates: Rates, tokens: float) -> float:
    """The all-to-all to a mixture's experts and back, forward."""
    if not shape.experts:
        return 0.0
    held_bytes = tokens * (shape.width * rates.number_bytes / layout.tensor)
    stride = layout.tensor * layout.context
    one_way = all_to_all_seconds(device, layout.expert, stride, held_bytes, shape.experts_active)
    return shape.moe_depth / shape.depth * (2 * one_way)


def _attention_seconds(
    shape: ModelShape, layout: Layout, rates: Rates, tokens: float, attention: Attention
) -> tuple[float, float]:
    """Scores, softmax and weighted values: (forward, backward)."""
    flops = 2 * tokens * shape.context * score_width(shape) / layout.tensor
    if attention == "flash":
        seen = 0.5 if shape.causal else 1.0  # a fused kernel skips what the mask discards
        forward = flops * seen / rates.attention_flops_per_second + KERNEL_SECONDS
    else:
        scores = tokens * shape.context * shape.heads / layout.tensor
        # Queries times keys writes the scores, weights times values reads them.
        score_bytes = (SCORE_BYTES + 4) * scores
        forward = (
            flops / rates.wide_flops_per_second
            + score_bytes / rates.memory_bytes_per_second
            + 4 * KERNEL_SECONDS
        )
    return forward, BACKWARD_OVER_FORWARD[attention] * forward


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
    rotary = ROTARY_BYTES[kernels] if shape.positions == "rotary" else 0
    bytes_per_token = (
        (shape.norms_per_block * norm + 2 * RESIDUAL_BYTES[kernels]) * residual
        + activation[kernels] * hidden / layout.tensor
        + (rotary + (norm if shape.qk_norm else 0)) * heads
    )
    bytes_per_token *= rates.number_bytes / 2
    least = KERNELS_PER_BLOCK[kernels] * KERNEL_SECONDS
    return max(tokens * bytes_per_token / rates.memory_bytes_per_second, least)
