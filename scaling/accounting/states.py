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
    """Parameters of the largest block among all these."""
    factors: float
    """Rows plus columns of all matrices: Adafactor keeps so many numbers in place of their second moments."""

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
    """Blocks of one pipeline stage; where `depth` does not divide, earlier stages have one more."""
    return depth // pipeline + (stage < depth % pipeline)


def mixture_blocks_on_stage(shape: ModelShape, pipeline: int, stage: int) -> int:
    """Blocks of a pipeline stage whose feed-forward is a mixture; the dense blocks of a model come first."""
    if not shape.experts:
        return 0
    first = sum(blocks_on_stage(shape.depth, pipeline, s) for s in range(stage))
    blocks = blocks_on_stage(shape.depth, pipeline, stage)
    return blocks - min(blocks, max(0, shape.dense_depth - first))


def device_params(shape: ModelShape, layout: Layout, stage: int = 0) -> DeviceParams:
    """Parameters on one device of a pipeline stage; a tied head on another stage than the embedding is a copy."""
    return _split_params(shape, layout.tensor, layout.pipeline, layout.expert, stage)


@lru_cache(maxsize=4096)
def _split_params(shape: ModelShape, tensor: int, pipeline: int, expert: int, stage: int) -> DeviceParams:
    is_first, is_last = stage == 0, stage == pipeline - 1
    blocks = blocks_on_stage(shape.depth, pipeline, stage)
    mixtures = mixture_blocks_on_stage(shape, pipeline, stage)
    encoder_blocks = shape.encoder_depth if is_first else 0
    cross_attentions = shape.depth if encoder_blocks else 0
    attentions = blocks + encoder_blocks + cross_attentions
    dense_ffns = blocks - mixtures + encoder_blocks
    head_is_a_matrix = is_last and not (shape.tied_head and is_first)
    vocabulary_matrices = int(is_first) + int(head_is_a_matrix)

    # One layer of each kind on this device.
    expert_width = shape.expert_width or shape.ffn_width
    attention = _split_attention_matrices(shape, tensor)
    attention_bias = attention_weights(shape) - attention_matrices(shape)
    dense_ffn = ffn_matrices(shape, shape.ffn_width) / tensor
    ffn_bias = ffn_weights(shape, shape.ffn_width) - ffn_matrices(shape, shape.ffn_width)
    shared_experts = shape.shared_experts * ffn_weights(shape, expert_width) / tensor
    experts = shape.experts * ffn_weights(shape, expert_width) / tensor / expert
    router = router_weights(shape)
    norms = count_params(shape).norms / max(shape.depth + shape.encoder_depth, 1)  # of an average block

    largest_ffn = max(
        dense_ffn if blocks > mixtures else 0, shared_experts + experts + router if mixtures else 0
    )
    replicated = _outside_blocks(shape, is_first=is_first, is_last=is_last)
    replicated += attentions * attention_bias + dense_ffns * ffn_bias + mixtures * router
    replicated += norms * (blocks + encoder_blocks)

    # Rows plus columns of every matrix.
    width = shape.width
    sides = attentions * (4 * width + 2 * shape.attention_width + 2 * shape.kv_width)
    sides += dense_ffns * (3 if shape.ffn == "swiglu" else 2) * (width + shape.ffn_width)
    sides += mixtures * (shape.experts + shape.shared_experts) * 3 * (width + expert_width)
    sides += (shape.vocab_size + width) * vocabulary_matrices
    return DeviceParams(
        hidden=attentions * attention + dense_ffns * dense_ffn + mixtures * shared_experts,
        experts=mixtures * experts,
        ends=shape.vocab_size * width / tensor * vocabulary_matrices,
        replicated=replicated,
        block=attention + largest_ffn + norms + attention_bias + ffn_bias,
        factors=sides / tensor,
    )


def _split_attention_matrices(shape: ModelShape, tensor: int) -> float:
    """Matrix entries of one attention layer on a device; heads of keys fewer than the devices are repeated."""
    keys_and_values = 0 if shape.latent else 2 * shape.width * shape.kv_width
    rest = attention_matrices(shape) - keys_and_values
    return rest / tensor + keys_and_values / min(tensor, shape.kv_heads)


def _outside_blocks(shape: ModelShape, *, is_first: bool, is_last: bool) -> float:
    """Parameters outside the blocks that every tensor-parallel device holds whole."""
    params = 0.0
    if is_first:
        params += count_params(shape).positions + shape.segment_types * shape.width
        params += shape.width * (shape.width + 1) if shape.pooler else 0
    if is_last:
        params += shape.vocab_size * shape.head_bias
    return params


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
