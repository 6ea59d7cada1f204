"""Bytes of a model that is served, or fine-tuned through low-rank adapters: weights in few bits, cache, adapters."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from scaling.accounting.activation_sizes import ActivationSizes
from scaling.accounting.kept_activations import part_passes
from scaling.accounting.layout import Layout, check_layout
from scaling.accounting.memory import ALLOCATOR_SLACK
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.states import DeviceParams, device_params, optimizer_bytes
from scaling.errors import UserError
from scaling.shape.shape import ModelShape

WeightFormat = Literal["fp32", "fp16", "bf16", "fp8", "int8", "int4", "nf4"]

WEIGHT_BITS: dict[WeightFormat, float] = {
    "fp32": 32,
    "fp16": 16,
    "bf16": 16,
    "fp8": 8,
    "int8": 8,
    # A 16-bit scale for each 128 weights (Frantar et al. 2023, GPTQ, arXiv:2210.17323, section 4, group size 128).
    "int4": 4 + 16 / 128,
    # Scales of 64 weights, quantised themselves: 0.127 bits (Dettmers et al. 2023, QLoRA, arXiv:2305.14314, section 3).
    "nf4": 4 + 8 / 64 + 32 / (64 * 256),
}
"""Bits of a stored matrix entry, scales included. Embedding, head and norms keep 16 bits where matrices have fewer."""

WIDE_BYTES = 2
"""A weight that quantisation leaves alone."""
LOGIT_BYTES = 4
"""Sampling works on float32 logits of the last position."""


@dataclass(frozen=True, kw_only=True)
class InferenceMemory:
    """Bytes on one device while serving."""

    weights: float
    kv_cache: float
    activations: float
    logits: float

    @property
    def peak_memory_bytes(self) -> float:
        return self.weights + self.kv_cache + self.activations + self.logits


@dataclass(frozen=True, kw_only=True)
class FineTuningMemory:
    """Bytes on one device while low-rank adapters are trained on frozen weights."""

    frozen_weights: float
    adapter_states: float
    """Weights, gradients and optimizer states of the adapters."""
    activations: float
    """Kept by all blocks, and the peak of one block or of the loss."""
    dequantised: float
    """The matrix under way, in the precision it is multiplied in."""
    allocator_slack_bytes: float
    adapter_params: int

    @property
    def peak_allocated_bytes(self) -> float:
        return self.frozen_weights + self.adapter_states + self.activations + self.dequantised

    @property
    def peak_memory_bytes(self) -> float:
        return self.peak_allocated_bytes + self.allocator_slack_bytes


def weight_bytes(
    shape: ModelShape, weight_format: WeightFormat, layout: Layout | None = None, stage: int = 0
) -> float:
    """Bytes of the weights on one device in a storage format."""
    _check_format("weights", weight_format)
    params = device_params(shape, layout or Layout(), stage)
    bits = WEIGHT_BITS[weight_format]
    outside = max(bits / 8, WIDE_BYTES)
    return (params.hidden + params.experts) * bits / 8 + (params.ends + params.replicated) * outside


def kv_cache_bytes_per_token(shape: ModelShape, cache_format: WeightFormat = "bf16") -> float:
    """Bytes that one token leaves in the cache: keys and values of every block, or latent attention's latents."""
    _check_format("cache", cache_format)
    latent = shape.latent
    numbers = 2 * shape.kv_width if latent is None else latent.kv_rank + latent.rope_width
    return shape.depth * numbers * WEIGHT_BITS[cache_format] / 8


def inference_memory(
    shape: ModelShape,
    *,
    sequences: int = 1,
    tokens: int | None = None,
    weights: WeightFormat = "bf16",
    cache: WeightFormat = "bf16",
    tensor: int = 1,
) -> InferenceMemory:
    """Memory to serve `sequences` of up to `tokens` (default: the context) at once, after a prefill of one of them.

    Raises `UserError` for counts below one, unknown formats and degrees that do not divide the heads.
    """
    tokens = shape.context if tokens is None else tokens
    for name, value in (("sequences", sequences), ("tokens", tokens)):
        if value < 1:
            raise UserError(f"{name}={value} must be a positive whole number")
    layout = Layout(tensor=tensor)
    check_layout(shape, layout)
    compute: Literal["32-true", "bf16-true"] = "32-true" if weights == "fp32" else "bf16-true"
    t = ActivationSizes(
        shape=replace(shape, context=tokens), recipe=TrainingRecipe(precision=compute), layout=layout
    )
    # Heads that are fewer than the tensor-parallel devices are repeated.
    share = 1 if shape.latent is not None else min(tensor, shape.kv_heads)
    mixture = "mixture" if shape.moe_depth else "dense"
    return InferenceMemory(
        weights=weight_bytes(shape, weights, layout),
        kv_cache=kv_cache_bytes_per_token(shape, cache) * sequences * tokens / share,
        activations=part_passes(t, mixture).forward_peak,
        logits=LOGIT_BYTES * sequences * shape.vocab_size / tensor,
    )


def lora_params(shape: ModelShape, rank: int, *, attention_only: bool = False) -> int:
    """Parameters of rank-`rank` adapters on every projection, or on queries and values only (Hu et al. 2021, 7.1)."""
    if rank < 1:
        raise UserError(f"rank={rank} must be a positive whole number")
    width = shape.width
    query = rank * (width + shape.attention_width)
    value = rank * (width + shape.kv_width)
    if attention_only:
        return shape.depth * (query + value)
    hidden = shape.expert_width or shape.ffn_width
    matrices = 3 if shape.ffn == "swiglu" else 2
    experts = (shape.experts + shape.shared_experts) if shape.experts else 1
    ffn = matrices * rank * (width + hidden) * experts
    return shape.depth * (2 * query + 2 * value + ffn)


def lora_memory(
    shape: ModelShape,
    recipe: TrainingRecipe,
    layout: Layout | None = None,
    *,
    rank: int = 16,
    weights: WeightFormat = "bf16",
    attention_only: bool = False,
) -> FineTuningMemory:
    """Memory to train adapters on frozen weights (LoRA); on 4-bit weights this is QLoRA.

    The adapters follow the recipe's precision; backward still needs every block's activations.
    """
    layout = layout or Layout()
    check_layout(shape, layout)
    _check_format("weights", weights)
    frozen = weight_bytes(shape, weights, layout)
    if layout.zero_stage == 3:
        frozen /= layout.shard_group
    adapters = lora_params(shape, rank, attention_only=attention_only)
    sharded = adapters / layout.pipeline / (layout.shard_group if layout.zero_stage == 3 else 1)
    held = DeviceParams(hidden=sharded, experts=0, ends=0, replicated=0, block=0, factors=sharded / rank)
    table = recipe.bytes
    states = (table.weight + table.master + table.gradient) * sharded + optimizer_bytes(
        recipe.optimizer, held, table
    )
    t = ActivationSizes(shape=shape, recipe=recipe, layout=replace(layout, zero_stage=3))
    part = "mixture" if shape.moe_depth else "dense"
    block, tail = part_passes(t, part), part_passes(t, "head_and_loss")
    blocks = shape.depth / layout.pipeline
    kept = blocks * block.kept_bytes
    activations = kept + max(block.backward_peak - block.kept_bytes, tail.forward_peak, tail.backward_peak)
    largest = shape.width * max(shape.ffn_width, shape.attention_width) / layout.tensor
    dequantised = t.number_bytes * largest if WEIGHT_BITS[weights] < 16 else 0.0
    return FineTuningMemory(
        frozen_weights=frozen,
        adapter_states=states,
        activations=activations,
        dequantised=dequantised,
        # Frozen weights are loaded once and lie without gaps.
        allocator_slack_bytes=ALLOCATOR_SLACK * (states + activations + dequantised)
        if recipe.runtime == "torch"
        else 0.0,
        adapter_params=adapters,
    )


def _check_format(name: str, value: str) -> None:
    if value not in get_args(WeightFormat):
        raise UserError(f"{name}={value!r} is unknown: choose one of {', '.join(get_args(WeightFormat))}")
