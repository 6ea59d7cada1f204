"""Seconds of the work inside one block and in the head, each kind at the rate a device reaches on it.

A matrix product takes the longer of its FLOPs at a sustained share of the best rate measured on the device and its
bytes at memory bandwidth; element-wise kernels take their bytes (Williams et al. 2009, the roofline model). Every
constant here is a property of devices or of an implementation, none of a model.
"""

from dataclasses import dataclass, fields
from typing import Literal

from scaling.accounting.collectives import COMMUNICATION_SHARE, all_to_all_seconds, gather_seconds
from scaling.accounting.device import Device
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import Attention, Precision, TrainingRecipe
from scaling.shape.block import Block
from scaling.shape.feed_forward import FeedForward, Mixture
from scaling.shape.recurrence import Recurrence
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

MIXTURE_HOST_SECONDS = 2e-3
"""Forward of a mixture's layer beyond what its kernels take, backward twice that: which tokens go where is known on the
device only, so that the processor waits for it and the device then waits for some hundred launches. The value at which
the median of NVIDIA's published mixtures (tests/published/nvidia_mixtures.csv, 2025 to 2026, no graph of the whole
layer) is neither too fast nor too slow (`benchmarks/budget_speed.py`); releases of one program
differ by a factor of 1.8."""

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
    """An average block: of each kind that the model has, weighted by how many there are."""
    kinds = [
        (count / shape.depth, _kind_seconds(shape, block, layout, device, recipe, kernels))
        for block, count in shape.kinds.items()
    ]
    if len(kinds) == 1:
        return kinds[0][1]
    parts = [item.name for item in fields(BlockSeconds)]
    return BlockSeconds(
        **{part: sum(share * getattr(seconds, part) for share, seconds in kinds) for part in parts}
    )


def _kind_seconds(
    shape: ModelShape, block: Block, layout: Layout, device: Device, recipe: TrainingRecipe, kernels: Kernels
) -> BlockSeconds:
    """One block."""
    rates = sustained_rates(device, recipe)
    tokens = _micro_batch_tokens(shape, layout)
    matmul = _linear_seconds(shape, block, layout, rates, tokens)
    attention, attention_backward = _mixing_seconds(shape, block, layout, rates, tokens, recipe.attention)
    elementwise = _elementwise_seconds(shape, block, layout, rates, tokens, kernels)
    expert = _expert_seconds(shape, block, layout, device, rates, tokens)
    if layout.pipeline > 1 and layout.accumulation > 1:
        # One micro-batch's tokens travel while another one's are computed (DeepSeek-V3, arXiv:2412.19437, 3.2.1).
        expert = max(expert - (matmul + attention + elementwise), COMMUNICATION_SHARE * expert)
    message = tokens * shape.width * rates.number_bytes
    # Of a window, only so many tokens of the neighbours; of a recurrence, its state.
    travels = sum(mixer.cached_numbers(shape.context) + mixer.state_numbers for mixer in block.mixers)
    keys_and_values = layout.micro_batch * travels * rates.number_bytes
    reduces = bool(block.mixers) + (block.ffn is not None)
    return BlockSeconds(
        matmul=matmul,
        attention=attention,
        attention_backward=attention_backward,
        elementwise=elementwise,
        # An all-reduce after attention and one after the feed-forward, or as many bytes gathered and scattered.
        tensor=_exposed_tensor_seconds(
            2 * reduces * gather_seconds(device, layout.tensor, 1, message), matmul, layout, recipe
        ),
        context=gather_seconds(device, layout.context, layout.tensor, keys_and_values / layout.tensor),
        expert=expert,
    )


def _exposed_tensor_seconds(
    collectives: float, matmul: float, layout: Layout, recipe: TrainingRecipe
) -> float:
    """Tensor-parallel collectives that products do not hide.

    Transformer Engine, which 8-bit products need, sends a product's operand or result in slices while it computes the
    others (its user buffers, `tp_comm_overlap` in Megatron's recipes), where activations are split by sequence. What
    shows is what the collectives take from the products, or their excess over these.
    """
    if not (layout.sequence and MATMUL_PRECISION[recipe.precision] == "fp8" and recipe.runtime == "megatron"):
        return collectives
    return max(collectives - matmul, COMMUNICATION_SHARE * collectives)


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


def _linear_seconds(shape: ModelShape, block: Block, layout: Layout, rates: Rates, tokens: float) -> float:
    """All linear layers of a block, forward."""
    width, tensor = shape.width, layout.tensor

    def product(rows: float, inner: float, columns: float) -> float:
        return product_seconds(rows, inner, columns, rates.linear_flops_per_second, rates)

    def feed_forward(rows: float, hidden: float, gated: bool, outer: int = width) -> float:
        gates = 2 if gated else 1
        return product(rows, outer, gates * hidden) + product(rows, hidden, outer)

    seconds = 0.0
    for mixer in block.mixers:
        output = mixer.output_width
        input_columns = (mixer.matrices(width) - output * width) / width  # of all input projections
        mixing = product(tokens, width, input_columns / tensor) + product(tokens, output / tensor, width)
        seconds += mixing * (
            2 if shape.encoder_depth else 1
        )  # cross-attention; an overestimate for the encoder's
    ffn = block.ffn
    if isinstance(ffn, FeedForward):
        return seconds + feed_forward(tokens, ffn.hidden / tensor, ffn.gated)
    if isinstance(ffn, Mixture):
        local_experts = ffn.experts / layout.expert
        cut = layout.expert_tensor
        rows = tokens * cut / tensor * ffn.active / local_experts
        seconds += local_experts * feed_forward(rows, ffn.hidden / cut, ffn.gated, ffn.latent or width)
        if ffn.shared is not None:
            seconds += feed_forward(tokens, ffn.shared.hidden / tensor, ffn.shared.gated)
        if ffn.latent:
            seconds += product(tokens, width, ffn.latent) + product(tokens, ffn.latent, width)
    return seconds


def _expert_seconds(
    shape: ModelShape, block: Block, layout: Layout, device: Device, rates: Rates, tokens: float
) -> float:
    """The all-to-all to a mixture's experts and back, forward."""
    mixture = block.mixture
    if mixture is None:
        return 0.0
    held_bytes = tokens * ((mixture.latent or shape.width) * rates.number_bytes / layout.tensor)
    # Devices that hold whole experts are neighbours, tensor-parallel ones included.
    stride = layout.tensor * layout.context if layout.expert_tensor == layout.tensor else 1
    return 2 * all_to_all_seconds(device, layout.expert, stride, held_bytes, mixture.active)


def _mixing_seconds(
    shape: ModelShape, block: Block, layout: Layout, rates: Rates, tokens: float, attention: Attention
) -> tuple[float, float]:
    """Scores, softmax and weighted values, or a recurrence: (forward, backward)."""
    forward = backward = 0.0
    for mixer in block.mixers:
        if isinstance(mixer, Recurrence):
            seconds = _recurrence_seconds(mixer, layout, rates, tokens)
            forward, backward = forward + seconds, backward + 2 * seconds
            continue
        if attention == "flash":
            # A fused kernel skips what mask and window discard.
            seen = mixer.core_flops(shape.context, causal_half=shape.causal)
            seconds = tokens * seen / layout.tensor / rates.attention_flops_per_second + KERNEL_SECONDS
        else:
            # The scores of all pairs are made, whatever the window.
            pairs = tokens * shape.context / layout.tensor
            flops = 2 * pairs * (mixer.query_width + mixer.output_width)
            # Queries times keys writes the scores, weights times values reads them.
            score_bytes = (SCORE_BYTES + 4) * pairs * mixer.heads
            seconds = (
                flops / rates.wide_flops_per_second
                + score_bytes / rates.memory_bytes_per_second
                + 4 * KERNEL_SECONDS
            )
        forward += seconds
        backward += BACKWARD_OVER_FORWARD[attention] * seconds
    return forward, backward


def _recurrence_seconds(mixer: Recurrence, layout: Layout, rates: Rates, tokens: float) -> float:
    """Convolution and recurrence, forward: bound by bytes read and written or by FLOPs.

    There is no published step time that isolates it; its FLOPs are taken to run as fast as attention's.
    """
    flops = tokens * mixer.core_flops(1) / layout.tensor
    numbers = tokens * (3 * mixer.input_width + mixer.output_width) / layout.tensor
    moved = numbers * rates.number_bytes / rates.memory_bytes_per_second
    return max(flops / rates.attention_flops_per_second, moved) + 2 * KERNEL_SECONDS


def _elementwise_seconds(
    shape: ModelShape, block: Block, layout: Layout, rates: Rates, tokens: float, kernels: Kernels
) -> float:
    """Norms, residual additions, rotary positions and the activation function, forward."""
    residual = shape.width / (layout.tensor if layout.sequence else 1)
    norm = NORM_BYTES[kernels if shape.norm == "rmsnorm" else "fused"]
    parts = bool(block.mixers) + (block.ffn is not None)
    bytes_per_token = (block.norms(shape.norms_per_block) * norm + parts * RESIDUAL_BYTES[kernels]) * residual
    for mixer in block.mixers:
        if isinstance(mixer, Recurrence):
            continue
        heads = (mixer.query_width + mixer.keys_and_values / 2) / layout.tensor
        rotary = ROTARY_BYTES[kernels] if shape.positions == "rotary" else 0
        bytes_per_token += (rotary + (norm if mixer.norm_weights else 0)) * heads
    ffn = block.ffn
    if ffn is not None:
        activation = (SWIGLU_BYTES if ffn.gated else GELU_BYTES)[kernels]
        hidden = ffn.hidden
        if isinstance(ffn, Mixture):
            hidden = ffn.hidden * ffn.active + (0 if ffn.shared is None else ffn.shared.hidden)
        bytes_per_token += activation * hidden / layout.tensor
    if block.mixture is not None:
        bytes_per_token += _permutation_bytes(block.mixture, shape.width, layout)
    bytes_per_token *= rates.number_bytes / 2
    least = KERNELS_PER_BLOCK[kernels] * KERNEL_SECONDS
    waiting = MIXTURE_HOST_SECONDS if block.mixture is not None else 0.0
    return max(tokens * bytes_per_token / rates.memory_bytes_per_second, least) + waiting


def _permutation_bytes(mixture: Mixture, width: int, layout: Layout) -> float:
    """Bytes a token that sorting tokens by expert moves, in 16-bit numbers: read once, written for each active expert,
    and back. Where experts lie on several devices, what arrives is sorted once more on either way."""
    copies = 2 * mixture.active * (3 if layout.expert > 1 else 1)
    return 2 * (2 + copies) * (mixture.latent or width) * layout.expert_tensor / layout.tensor
