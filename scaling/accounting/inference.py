"""Bytes of a model that is served: weights in a storage format, key-value cache, activations and logits."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from scaling.accounting.activation_sizes import ActivationSizes
from scaling.accounting.kept_activations import part_passes
from scaling.accounting.layout import Layout, check_layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.states import device_params
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
"""Bytes of a weight that quantisation leaves alone: those of bfloat16."""
STATE_BYTES = 4
"""States of recurrences stay in float32, as their errors add up over a text (Qwen3-Next's `mamba_ssm_dtype`)."""
LOGIT_BYTES = 4
"""Sampling reads the float32 logits of the last position."""


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


def weight_bytes(
    shape: ModelShape, weight_format: WeightFormat, layout: Layout | None = None, stage: int = 0
) -> float:
    """Bytes of the weights on one device in a storage format."""
    check_format("weights", weight_format)
    params = device_params(shape, layout or Layout(), stage)
    bits = WEIGHT_BITS[weight_format]
    outside = max(bits / 8, WIDE_BYTES)
    return (params.hidden + params.experts) * bits / 8 + (params.ends + params.replicated) * outside


def kv_cache_bytes(
    shape: ModelShape, tokens: float, cache_format: WeightFormat = "bf16", *, tensor: int = 1
) -> float:
    """Bytes on one device that a sequence of `tokens` tokens takes in the cache.

    Keys and values of the tokens that can still be seen (all, or a window's), latents, inputs that a convolution waits
    with, and the states of recurrences, which do not grow. Heads that are fewer than the tensor-parallel devices, and
    latents, are repeated.
    """
    check_format("cache", cache_format)
    number_bytes = WEIGHT_BITS[cache_format] / 8
    return sum(
        count
        * (mixer.cached_numbers(tokens) * number_bytes + mixer.state_numbers * STATE_BYTES)
        / mixer.cache_split(tensor)
        for block, count in shape.kinds.items()
        for mixer in block.mixers
    )


def inference_memory(
    shape: ModelShape,
    *,
    sequences: int = 1,
    tokens: int | None = None,
    weights: WeightFormat = "bf16",
    cache: WeightFormat = "bf16",
    tensor: int = 1,
) -> InferenceMemory:
    """Memory to serve `sequences` of up to `tokens` tokens (default: the context) at once, read one after the other.

    Raises `UserError` for counts below one, unknown formats and degrees that do not divide the heads.
    """
    tokens = shape.context if tokens is None else tokens
    for name, value in (("sequences", sequences), ("tokens", tokens)):
        if value < 1:
            raise UserError(f"{name}={value} must be a positive whole number")
    layout = Layout(tensor=tensor)
    check_layout(shape, layout)
    recipe = TrainingRecipe(precision="32-true" if weights == "fp32" else "bf16-true")
    sizes = ActivationSizes(shape=replace(shape, context=tokens), recipe=recipe, layout=layout)
    return InferenceMemory(
        weights=weight_bytes(shape, weights, layout),
        kv_cache=sequences * kv_cache_bytes(shape, tokens, cache, tensor=tensor),
        activations=max(part_passes(sizes, block).forward_peak for block in shape.kinds),
        logits=LOGIT_BYTES * sequences * shape.vocab_size / tensor,
    )


def check_format(name: str, value: str) -> None:
    """Refuse an unknown storage format, given under a name."""
    if value not in get_args(WeightFormat):
        raise UserError(f"{name}={value!r} is unknown: choose one of {', '.join(get_args(WeightFormat))}")
