"""Model states on one device: weights, gradients, master weights and optimizer states, under every kind of sharding."""

from dataclasses import dataclass, replace
from functools import lru_cache

from scaling.accounting.layout import Layout
from scaling.accounting.recipe import Optimizer, PrecisionBytes, TrainingRecipe
from scaling.shape.params import (
    attention_matrices,
    attention_weights,
    count_params,
    ffn_matrices,
    ffn_weights,
    router_weights,
)
from scaling.shape.shape import ModelShape

QUANTISATION_BLOCK = 256
"""Elements that share a float32 scale in 8-bit optimizer states (Dettmers et al. 2022 use 2048, arXiv:2110.02861;
bitsandbytes since 0.44 and torchao use 256)."""


@dataclass(frozen=True, kw_only=True)
class DeviceParams:
    """Parameters that one device holds before ZeRO shards them."""

    hidden: float
    """Matrices of blocks, split over the tensor-parallel devices."""
    experts: float
    """Matrices of routed experts, split over the expert-parallel devices too."""
    ends: float
    """Embedding and head, split over the tensor-parallel devices."""
    replicated: float
    """Norms, biases, routers and learned positions: whole on each tensor-parallel device."""
    block: float
    """Of all these, the largest block's."""
    factors: float
    """Rows plus columns of all matrices: what Adafactor keeps of their second moments."""

    @property
    def total(self) -> float:
        return self.hidden + self.experts + self.ends + self.replicated


@dataclass(frozen=True, kw_only=True)
class ModelStates:
    """Bytes of model states on one device."""

    weights: float
    master_weights: float
    gradients: float
    optimizer_states: float

    @property
    def total(self) -> float:
        return self.weights + self.master_weights + self.gradients + self.optimizer_states


def blocks_on_stage(depth: int, pipeline: int, stage: int) -> int:
    """Blocks of one pipeline stage; where they do not divide, earlier stages take one more."""
    return depth // pipeline + (stage < depth % pipeline)


def mixture_blocks_on_stage(shape: ModelShape, pipeline: int, stage: int) -> int:
    """Those of a stage's blocks whose feed-forward is a mixture; dense blocks come first in a model."""
    if not shape.experts:
        return 0
    first = sum(blocks_on_stage(shape.depth, pipeline, s) for s in range(stage))
    blocks = blocks_on_stage(shape.depth, pipeline, stage)
    return blocks - min(blocks, max(0, shape.dense_depth - first))


def device_params(shape: ModelShape, layout: Layout, stage: int = 0) -> DeviceParams:
    """Parameters on one device of a pipeline stage. A tied head on another stage than the embedding is a copy."""
    return _split_params(shape, layout.tensor, layout.pipeline, layout.expert, stage)


@lru_cache(maxsize=4096)
def _split_params(shape: ModelShape, tensor: int, pipeline: int, expert: int, stage: int) -> DeviceParams:
    counts = count_params(shape)
    first, last = stage == 0, stage == pipeline - 1
    blocks = blocks_on_stage(shape.depth, pipeline, stage)
    mixtures = mixture_blocks_on_stage(shape, pipeline, stage)
    per_layer = shape.depth + shape.encoder_depth + (shape.depth if shape.encoder_depth else 0)
    attention_layers = blocks + (per_layer - shape.depth if shape.encoder_depth and first else 0)
    dense_ffns = blocks - mixtures + (shape.encoder_depth if first else 0)

    hidden_expert = shape.expert_width or shape.ffn_width
    kv_matrices = 0 if shape.latent else 2 * shape.width * shape.kv_width
    kv_split = min(tensor, shape.kv_heads)
    attention = (attention_matrices(shape) - kv_matrices) / tensor + kv_matrices / kv_split
    dense_ffn = ffn_matrices(shape, shape.ffn_width) / tensor
    shared = shape.shared_experts * ffn_weights(shape, hidden_expert) / tensor
    experts = shape.experts * ffn_weights(shape, hidden_expert) / tensor / expert
    router = router_weights(shape)

    attention_bias = attention_weights(shape) - attention_matrices(shape)
    ffn_bias = ffn_weights(shape, shape.ffn_width) - ffn_matrices(shape, shape.ffn_width)
    vocabulary = shape.vocab_size * shape.width
    outside_blocks = 0.0
    if first:
        outside_blocks += counts.positions + shape.segment_types * shape.width
        outside_blocks += shape.width * (shape.width + 1) if shape.pooler else 0
    if last:
        outside_blocks += shape.vocab_size * shape.head_bias
    norm = counts.norms / max(shape.depth + shape.encoder_depth, 1)
    replicated = (
        outside_blocks + attention_layers * attention_bias + dense_ffns * ffn_bias + mixtures * router
    )
    replicated += norm * (blocks + (shape.encoder_depth if first else 0))
    head_here = last and not (shape.tied_head and first)
    ends = vocabulary / tensor * (int(first) + int(head_here))
    hidden = attention_layers * attention + dense_ffns * dense_ffn + mixtures * shared
    block_ffn = max(dense_ffn if blocks > mixtures else 0, shared + experts + router if mixtures else 0)
    side = shape.width
    sums = attention_layers * (4 * side + 2 * shape.attention_width + 2 * shape.kv_width)
    sums += dense_ffns * (3 if shape.ffn == "swiglu" else 2) * (side + shape.ffn_width)
    sums += mixtures * (shape.experts + shape.shared_experts) * 3 * (side + hidden_expert)
    sums += (shape.vocab_size + side) * (int(first) + int(head_here))
    return DeviceParams(
        hidden=hidden,
        experts=mixtures * experts,
        ends=ends,
        replicated=replicated,
        block=attention + block_ffn + norm + attention_bias + ffn_bias,
        factors=sums / tensor,
    )


def optimizer_bytes(optimizer: Optimizer, params: DeviceParams, table: PrecisionBytes) -> float:
    """Bytes of an optimizer's states for a device's parameters, before ZeRO."""
    matrices = params.hidden + params.experts + params.ends
    if optimizer == "adamw":
        return 2 * table.state * params.total
    if optimizer == "adamw_8bit":
        return 2 * (1 + 4 / QUANTISATION_BLOCK) * matrices + 2 * 4 * params.replicated
    if optimizer == "sgd":
        return 0.0
    if optimizer == "sgd_momentum":
        return table.state * params.total
    if optimizer == "muon":  # momentum for matrices of blocks, AdamW for the rest (Jordan 2024)
        return table.state * (params.hidden + params.experts + 2 * (params.ends + params.replicated))
    assert optimizer == "adafactor"  # Shazeer and Stern 2018 (arXiv:1804.04235), without momentum
    return 4 * (params.factors + params.replicated)


def model_states(shape: ModelShape, recipe: TrainingRecipe, layout: Layout, stage: int = 0) -> ModelStates:
    """Model states of one device: ZeRO 1 shards optimizer states, 2 gradients too, 3 weights too.

    Rajbhandari et al. 2020 (arXiv:1910.02054), section 5. Experts are sharded over the replicas that hold the same
    ones.
    """
    params = device_params(shape, layout, stage)
    group = layout.shard_group
    shared = replace(params, experts=0.0)
    routed = DeviceParams(hidden=0, experts=params.experts, ends=0, replicated=0, block=0, factors=0)
    table = recipe.bytes

    def spread(per_dense: float, per_expert: float, from_stage: int) -> float:
        if layout.zero_stage < from_stage:
            return per_dense + per_expert
        return per_dense / group + per_expert / (group / layout.expert)

    return ModelStates(
        weights=spread(table.weight * shared.total, table.weight * routed.total, 3),
        gradients=spread(table.gradient * shared.total, table.gradient * routed.total, 2),
        master_weights=spread(table.master * shared.total, table.master * routed.total, 1),
        optimizer_states=spread(
            optimizer_bytes(recipe.optimizer, shared, table),
            optimizer_bytes(recipe.optimizer, routed, table),
            1,
        ),
    )
