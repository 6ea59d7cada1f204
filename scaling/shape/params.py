"""Parameters of a model, component by component, by every counting convention in use."""

from dataclasses import dataclass
from functools import lru_cache

from scaling.shape.block import Block
from scaling.shape.shape import RELATIVE_BUCKETS, ModelShape


@dataclass(frozen=True, kw_only=True)
class ParamCounts:
    """Parameters by component. A tied head is part of `embedding` and leaves `head` 0."""

    embedding: int
    """Token embedding (and segment embedding)."""
    positions: int
    """Learned positions or relative-position biases."""
    attention: int
    """What mixes tokens: attention, or the recurrences that stand in its place."""
    ffn: int
    """Feed-forwards: every expert and router."""
    norms: int
    head: int
    """Output head when it is not tied (and BERT's pooler)."""
    multi_token: int = 0
    """Modules of multi-token prediction, experts and norms included."""
    ffn_inactive: int = 0
    """Part of `ffn` and `multi_token` in routed experts that a token does not visit."""

    @property
    def total(self) -> int:
        """Every weight once."""
        return self.embedding + self.positions + self.non_embedding + self.head

    @property
    def non_embedding(self) -> int:
        """Without token and position embeddings and without an untied head (Kaplan et al. 2020, 2.1)."""
        return self.attention + self.ffn + self.norms + self.multi_token

    @property
    def active(self) -> int:
        """Weights that one token uses: `total` less the routed experts it does not visit."""
        return self.total - self.ffn_inactive

    @property
    def active_non_embedding(self) -> int:
        """`non_embedding` less the routed experts that a token does not visit."""
        return self.non_embedding - self.ffn_inactive


@lru_cache(maxsize=4096)
def count_params(shape: ModelShape) -> ParamCounts:
    """Count every weight of a model, component by component."""
    width, blocks = shape.width, list(shape.kinds.items())
    encoder_attentions = shape.encoder_depth + (
        shape.depth if shape.encoder_depth else 0
    )  # and cross-attention
    encoder_ffn = shape.encoder_depth * shape.dense_ffn.weights(width)
    stacks = 2 if shape.encoder_depth else 1
    norm = norm_weights(shape)
    position_rows = (shape.position_rows or shape.context) if shape.positions == "learned" else 0
    return ParamCounts(
        embedding=(shape.vocab_size + shape.segment_types) * width,
        positions=position_rows * width
        + (stacks * RELATIVE_BUCKETS * shape.heads if shape.positions == "relative_buckets" else 0),
        attention=sum(count * mixer_weights(block, width) for block, count in blocks)
        + encoder_attentions * (shape.full_attention.matrices(width) + shape.full_attention.vectors(width)),
        ffn=sum(count * block.ffn.weights(width) for block, count in blocks if block.ffn) + encoder_ffn,
        norms=sum(count * block_norm_weights(shape, block) for block, count in blocks)
        + shape.encoder_depth * (norm * shape.norms_per_block)
        + encoder_attentions * shape.full_attention.norm_weights
        + (shape.depth * norm if shape.encoder_depth else 0)
        + norm * stacks * shape.final_norm
        + norm * shape.embedding_norm,
        head=(0 if shape.tied_head else shape.vocab_size * width)
        + shape.vocab_size * shape.head_bias
        + (width * (width + 1) if shape.pooler else 0),
        multi_token=shape.mtp_depth * mtp_weights(shape),
        ffn_inactive=sum(
            count * block.ffn.inactive(width)
            for block, count in [*blocks, (last_block(shape), shape.mtp_depth)]
            if block.ffn
        ),
    )


def mixer_weights(block: Block, width: int) -> int:
    """Weights of what mixes tokens in a block, without its norms; and those beside both parts of the block."""
    return sum(m.matrices(width) + m.vectors(width) for m in block.mixers) + block.vectors_beside


def block_norm_weights(shape: ModelShape, block: Block) -> int:
    """Weights of a block's norms: of the residual stream, and inside its mixers."""
    inside = sum(mixer.norm_weights for mixer in block.mixers)
    return block.norms(shape.norms_per_block) * norm_weights(shape) + inside


def norm_weights(shape: ModelShape) -> int:
    """Weights of one norm of the residual stream."""
    return shape.width * {"layernorm": 2, "layernorm_no_weights": 0}.get(shape.norm, 1)


def last_block(shape: ModelShape) -> Block:
    """The block of which multi-token prediction has one more."""
    return shape.runs[-1][1]


def mtp_weights(shape: ModelShape) -> int:
    """Weights of one module of multi-token prediction: a block, a matrix that joins two streams, and three norms."""
    block = last_block(shape)
    ffn = block.ffn.weights(shape.width) if block.ffn else 0
    own = mixer_weights(block, shape.width) + ffn + block_norm_weights(shape, block)
    return own + 2 * shape.width**2 + 3 * norm_weights(shape)
