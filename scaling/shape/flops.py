"""FLOPs of a model, component by component, by every counting convention in use.

A multiply-add is two FLOPs. "Exact" counts every matrix product as `torch.utils.flop_counter.FlopCounterMode`
does: the head counts, attention counts all T×T scores although a causal mask discards half, element-wise work
does not count, and backward is twice forward.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from scaling.errors import UserError
from scaling.shape.params import attention_matrices, count_params, ffn_matrices
from scaling.shape.shape import ModelShape

PF_DAY_FLOPS = 1e15 * 86_400
"""FLOPs in a petaFLOP/s-day."""

Convention = Literal["6nd", "6nd_non_embedding", "exact", "exact_causal", "hardware", "palm", "chinchilla"]
Recompute = Literal["none", "selective", "selective_ops", "full"]


@dataclass(frozen=True, kw_only=True)
class ForwardFlops:
    """Forward FLOPs of one token, by component."""

    attention_projections: int
    """Queries, keys, values and output."""
    attention_scores: int
    """Queries times keys and weights times values, over all `context` positions."""
    ffn: int
    """Feed-forward, active experts and routers."""
    head: int

    @property
    def total(self) -> int:
        return self.attention_projections + self.attention_scores + self.ffn + self.head


def forward_flops_per_token(shape: ModelShape, context: int | None = None) -> ForwardFlops:
    """Forward FLOPs of one token in a sequence of `context` tokens (default: the shape's own), by component.

    Raises `UserError` for an encoder-decoder, whose two streams have lengths of their own.
    """
    if shape.encoder_depth:
        raise UserError(
            f"encoder_depth={shape.encoder_depth}: exact FLOPs of an encoder-decoder depend on two "
            "sequence lengths; use convention=6nd, which counts half of its parameters a token"
        )
    context = _whole_context(shape, context)
    hidden = shape.expert_width or shape.ffn_width
    active_experts = shape.experts_active + shape.shared_experts
    mixture = active_experts * ffn_matrices(shape, hidden) + shape.width * shape.experts
    dense_depth = shape.depth - shape.moe_depth
    return ForwardFlops(
        attention_projections=2 * shape.depth * attention_matrices(shape),
        attention_scores=2 * shape.depth * context * score_width(shape),
        ffn=2 * (dense_depth * ffn_matrices(shape, shape.ffn_width) + shape.moe_depth * mixture),
        head=2 * shape.width * shape.vocab_size,
    )


def train_flops_per_token(
    shape: ModelShape,
    convention: Convention = "exact",
    *,
    context: int | None = None,
    recompute: Recompute = "none",
) -> float:
    """Training FLOPs of one token (forward and backward) by a counting convention.

    - `6nd`: 6 × parameters (active ones in a mixture; half of an encoder-decoder's, as in the GPT-3 paper's
      Table D.1).
    - `6nd_non_embedding`: 6 × non-embedding parameters (Kaplan et al. 2020).
    - `exact`: every matrix product, head and full T×T attention included, backward = 2 × forward.
    - `exact_causal`: as `exact`, but a token attends to (T + 1)/2 positions on average.
    - `hardware`: as `exact`, and what `recompute` runs a second time: `selective` the attention scores
      (Korthikanti et al. 2022, arXiv:2205.05198), `selective_ops` every second matrix product of a block
      (torchtitan's policy, arXiv:2410.06511), `full` every block, but never the head.
    - `palm`: 6 × (parameters without positions) + 12 · depth · attention width · T
      (Chowdhery et al. 2022, appendix B).
    - `chinchilla`: as `exact`, and the embedding as a matrix product and 3 FLOPs a softmax entry
      (Hoffmann et al. 2022, appendix F; the ratios in their Table A4 leave embedding and logits out).
    """
    params = count_params(shape)
    if convention == "6nd":
        return (3 if shape.encoder_depth else 6) * params.active
    if convention == "6nd_non_embedding":
        return (3 if shape.encoder_depth else 6) * params.active_non_embedding
    forward = forward_flops_per_token(shape, context)
    context = _whole_context(shape, context)
    if convention == "exact":
        return 3 * forward.total
    if convention == "exact_causal":
        seen = (context + 1) / (2 * context) if shape.causal else 1.0
        return 3 * (forward.total - forward.attention_scores * (1 - seen))
    if convention == "hardware":
        return 3 * forward.total + recomputed_flops_per_token(shape, recompute, context)
    if convention == "palm":
        return 6 * (params.active - params.positions) + 3 * forward.attention_scores
    if convention == "chinchilla":
        embedding = 2 * shape.vocab_size * shape.width
        softmax = 3 * shape.heads * context * shape.depth
        return 3 * (forward.total + embedding + softmax)
    raise UserError(f"convention={convention!r} is unknown: choose one of {', '.join(get_args(Convention))}")


def recomputed_flops_per_token(shape: ModelShape, recompute: Recompute, context: int | None = None) -> int:
    """FLOPs of one token that backward runs a second time under a recomputation mode."""
    forward = forward_flops_per_token(shape, context)
    if recompute == "none":
        return 0
    if recompute == "selective":
        return forward.attention_scores
    if recompute == "selective_ops":
        return forward.total - forward.head - _stored_by_policy_flops(shape, forward)
    if recompute == "full":
        return forward.total - forward.head
    raise UserError(f"recompute={recompute!r} is unknown: choose one of {', '.join(get_args(Recompute))}")


def _stored_by_policy_flops(shape: ModelShape, forward: ForwardFlops) -> int:
    """Forward FLOPs of what `selective_ops` stores: the attention scores and every second product of a block.

    Raises `UserError` for latent attention and mixtures, whose products the policy was not written for.
    """
    if shape.latent is not None or shape.experts:
        raise UserError(
            "recompute=selective_ops is defined for dense blocks with query, key, value and output projections: "
            "use recompute=full or none"
        )
    matrix = shape.width * shape.ffn_width
    # In their order: query, key, value, output; then gate, up, down (or up, down).
    stored = shape.width * (shape.attention_width + shape.kv_width) + (
        2 * matrix if shape.ffn == "swiglu" else matrix
    )
    return forward.attention_scores + 2 * shape.depth * stored


def score_width(shape: ModelShape) -> int:
    """Products of one query-key pair in one block: a head, head_width for the score and for the value."""
    if shape.latent is not None:
        return shape.heads * (shape.latent.nope_width + shape.latent.rope_width + shape.latent.value_width)
    return 2 * shape.attention_width


def pf_days(flops: float) -> float:
    """FLOPs in petaFLOP/s-days."""
    return flops / PF_DAY_FLOPS


def _whole_context(shape: ModelShape, context: int | None) -> int:
    if context is None:
        return shape.context
    if context < 1:
        raise UserError(f"context={context} must be a positive whole number of tokens")
    return context
