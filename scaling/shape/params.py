"""Parameters of a model, component by component, by every counting convention in use."""

from dataclasses import dataclass
from functools import lru_cache

from scaling.shape.shape import RELATIVE_BUCKETS, ModelShape


@dataclass(frozen=True, kw_only=True)
class ParamCounts:
    """Parameters by component. A tied head is part of `embedding` and leaves `head` 0."""

    embedding: int
    """Token embedding (and segment embedding)."""
    positions: int
    """Learned positions or relative-position biases."""
    attention: int
    ffn: int
    """Feed-forwards: every expert and router."""
    norms: int
    head: int
    """Output head when it is not tied (and BERT's pooler)."""
    ffn_inactive: int = 0
    """Part of `ffn` in routed experts that a token does not visit."""

    @property
    def total(self) -> int:
        """Every weight once."""
        return self.embedding + self.positions + self.attention + self.ffn + self.norms + self.head

    @property
    def non_embedding(self) -> int:
        """Without token and position embeddings and without an untied head (Kaplan et al. 2020, 2.1)."""
        return self.attention + self.ffn + self.norms

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
    blocks = shape.depth + shape.encoder_depth
    cross_attention = shape.depth if shape.encoder_depth else 0
    stacks = 2 if shape.encoder_depth else 1
    expert = ffn_weights(shape, shape.expert_width or shape.ffn_width)
    mixture = (shape.experts + shape.shared_experts) * expert + router_weights(shape)
    dense_blocks = blocks - shape.moe_depth
    norm = norm_weights(shape)
    position_rows = {"learned": shape.position_rows or shape.context, "relative_buckets": 0}.get(
        shape.positions, 0
    )
    return ParamCounts(
        embedding=(shape.vocab_size + shape.segment_types) * shape.width,
        positions=position_rows * shape.width
        + (stacks * RELATIVE_BUCKETS * shape.heads if shape.positions == "relative_buckets" else 0),
        attention=(blocks + cross_attention) * attention_weights(shape),
        ffn=dense_blocks * ffn_weights(shape, shape.ffn_width) + shape.moe_depth * mixture,
        norms=norm * (blocks * shape.norms_per_block + cross_attention)
        + norm * stacks * shape.final_norm
        + norm * shape.embedding_norm
        + (blocks + cross_attention) * head_norm_weights(shape),
        head=(0 if shape.tied_head else shape.vocab_size * shape.width)
        + shape.vocab_size * shape.head_bias
        + (shape.width * (shape.width + 1) if shape.pooler else 0),
        ffn_inactive=shape.moe_depth * (shape.experts - shape.experts_active) * expert,
    )


def attention_weights(shape: ModelShape) -> int:
    """Weights and biases of the projections of one attention layer, and its sinks."""
    if shape.latent is not None:
        return latent_attention_matrices(shape)
    qkv_bias = shape.attention_width + 2 * shape.kv_width if shape.biases in ("qkv", "all") else 0
    output_bias = shape.width if shape.biases in ("all", "all_but_qkv") else 0
    return attention_matrices(shape) + qkv_bias + output_bias + shape.heads * shape.attention_sinks


def attention_matrices(shape: ModelShape) -> int:
    """Entries of the matrices of one attention layer that a token is multiplied with."""
    if shape.latent is not None:
        return latent_attention_matrices(shape)
    projections = 2 * shape.width * shape.attention_width + 2 * shape.width * shape.kv_width
    return projections + (
        shape.width * shape.attention_width if shape.positions == "relative_projection" else 0
    )


def latent_attention_matrices(shape: ModelShape) -> int:
    """Matrices of latent attention: down and up for queries, down and up for keys and values, output."""
    latent = shape.latent
    assert latent is not None
    query_key_width = latent.nope_width + latent.rope_width
    query = latent.query_rank * (shape.width + shape.heads * query_key_width)
    kv_down = shape.width * (latent.kv_rank + latent.rope_width)
    kv_up = latent.kv_rank * shape.heads * (latent.nope_width + latent.value_width)
    return query + kv_down + kv_up + shape.heads * latent.value_width * shape.width


def ffn_weights(shape: ModelShape, hidden: int) -> int:
    """Weights and biases of one feed-forward (or one expert) of `hidden` features."""
    matrices = ffn_matrices(shape, hidden)
    if shape.biases not in ("ffn", "all", "all_but_qkv"):
        return matrices
    return matrices + shape.width + hidden * (2 if shape.ffn == "swiglu" else 1)


def ffn_matrices(shape: ModelShape, hidden: int) -> int:
    """Entries of the matrices of one feed-forward (or one expert) of `hidden` features."""
    return shape.width * hidden * (3 if shape.ffn == "swiglu" else 2)


def router_weights(shape: ModelShape) -> int:
    """Weights and biases of the router of one mixture."""
    return (shape.width + (shape.biases == "all")) * shape.experts


def norm_weights(shape: ModelShape) -> int:
    """Weights of one norm of the residual stream."""
    return shape.width * {"layernorm": 2, "layernorm_no_weights": 0}.get(shape.norm, 1)


def head_norm_weights(shape: ModelShape) -> int:
    """Weights of the norms inside one attention layer: on queries and keys, or on latents."""
    latent = 0 if shape.latent is None else shape.latent.query_rank + shape.latent.kv_rank
    features = shape.attention_width + shape.kv_width if shape.qk_norm_whole else 2 * shape.head_width
    return latent + (features if shape.qk_norm else 0)
