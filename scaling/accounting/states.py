"""Model states on one device: weights, gradients, master weights and optimizer states, under every kind of sharding."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache

from scaling.accounting.layout import Layout
from scaling.accounting.recipe import Optimizer, PrecisionBytes, TrainingRecipe
from scaling.shape.block import Block
from scaling.shape.feed_forward import FeedForward
from scaling.shape.params import block_norm_weights, count_params, last_block, norm_weights
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


@lru_cache(maxsize=4096)
def runs_on_stage(shape: ModelShape, pipeline: int, stage: int) -> dict[Block, int]:
    """Blocks of each kind on a pipeline stage, in the order in which the kinds appear there."""
    if pipeline == 1:
        return shape.kinds
    skip = sum(blocks_on_stage(shape.depth, pipeline, s) for s in range(stage))
    left = blocks_on_stage(shape.depth, pipeline, stage)
    here: Counter[Block] = Counter()
    for count, block in shape.runs:
        taken = min(max(count - skip, 0), left)
        if taken:
            here[block] += taken
        left -= taken
        skip = max(skip - count, 0)
    return here


def device_params(shape: ModelShape, layout: Layout, stage: int = 0) -> DeviceParams:
    """Parameters on one device of a pipeline stage; a tied head on another stage than the embedding is a copy."""
    return _split_params(shape, layout.tensor, layout.pipeline, layout.expert_devices, stage)


@lru_cache(maxsize=4096)
def _split_params(
    shape: ModelShape, tensor: int, pipeline: int, expert_devices: int, stage: int
) -> DeviceParams:
    is_first, is_last = stage == 0, stage == pipeline - 1
    width = shape.width
    kinds = Counter(runs_on_stage(shape, pipeline, stage))
    if is_last:
        kinds[last_block(shape)] += shape.mtp_depth
    parts = [
        (count, _block_parts(shape, block, tensor, expert_devices)) for block, count in kinds.items() if count
    ]
    hidden = sum(count * part.hidden for count, part in parts)
    experts = sum(count * part.experts for count, part in parts)
    replicated = _outside_blocks(shape, is_first=is_first, is_last=is_last)
    replicated += sum(count * part.replicated for count, part in parts)
    sides = sum(count * part.factors for count, part in parts)
    if is_last and shape.mtp_depth:
        hidden += shape.mtp_depth * 2 * width * width / tensor
        replicated += shape.mtp_depth * 3 * norm_weights(shape)
    if is_first and shape.encoder_depth:
        dense = _block_parts(shape, Block(mixers=(shape.full_attention,), ffn=shape.dense_ffn), tensor, 1)
        cross = _block_parts(shape, Block(mixers=(shape.full_attention,), ffn=None), tensor, 1)
        hidden += shape.encoder_depth * dense.hidden + shape.depth * cross.hidden
        replicated += shape.encoder_depth * dense.replicated + shape.depth * cross.replicated
        sides += shape.encoder_depth * dense.factors + shape.depth * cross.factors
    head_is_a_matrix = is_last and not (shape.tied_head and is_first)
    vocabulary_matrices = int(is_first) + int(head_is_a_matrix)
    sides += (shape.vocab_size + width) * vocabulary_matrices / tensor
    return DeviceParams(
        hidden=hidden,
        experts=experts,
        ends=shape.vocab_size * width / tensor * vocabulary_matrices,
        replicated=replicated,
        block=max(part.block for _, part in parts),
        factors=sides,
    )


@lru_cache(maxsize=4096)
def _block_parts(shape: ModelShape, block: Block, tensor: int, expert_devices: int) -> DeviceParams:
    """Parameters of one block on a device; heads of keys fewer than the devices are repeated."""
    width, mixture = shape.width, block.mixture
    hidden = replicated = sides = experts = 0.0
    for mixer in block.mixers:
        repeated = mixer.kv_matrices(width)
        hidden += (mixer.matrices(width) - repeated) / tensor + repeated / mixer.cache_split(tensor)
        replicated += mixer.vectors(width)
        sides += 4 * width + mixer.matrix_sides
    replicated += block_norm_weights(shape, block) + block.vectors_beside
    if mixture is not None:
        hidden += mixture.matrices_beside(width) / tensor
        experts = mixture.experts * mixture.expert(width) / expert_devices
        replicated += mixture.router(width) + mixture.vectors(width)
        shared = 0 if mixture.shared is None else mixture.shared.hidden
        matrices = 3 if mixture.gated else 2
        sides += matrices * mixture.experts * ((mixture.latent or width) + mixture.hidden)
        sides += matrices * (width + shared) * bool(shared)
    elif isinstance(block.ffn, FeedForward):
        hidden += block.ffn.matrices(width) / tensor
        replicated += block.ffn.vectors(width)
        sides += (3 if block.ffn.gated else 2) * (width + block.ffn.hidden)
    return DeviceParams(
        hidden=hidden,
        experts=experts,
        ends=0,
        replicated=replicated,
        block=hidden + experts + replicated,
        factors=sides / tensor,
    )


def _outside_blocks(shape: ModelShape, *, is_first: bool, is_last: bool) -> float:
    """Parameters outside the blocks that every tensor-parallel device holds whole."""
    params = 0.0
    if is_first:
        params += count_params(shape).positions + shape.segment_types * shape.width
        params += norm_weights(shape) * (
            shape.embedding_norm + (shape.final_norm if shape.encoder_depth else 0)
        )
        params += shape.width * (shape.width + 1) if shape.pooler else 0
    if is_last:
        params += shape.vocab_size * shape.head_bias + norm_weights(shape) * shape.final_norm
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
        return per_dense / group + per_expert / (group * layout.tensor / layout.expert_devices)

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
