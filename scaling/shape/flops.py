"""FLOPs of a model, component by component, by every counting convention in use.

A multiply-add is two FLOPs. "Exact" counts every matrix product as `torch.utils.flop_counter.FlopCounterMode`
does: the head counts, attention counts all T×T scores although a causal mask discards half (of a window, T×window),
element-wise work does not count, and backward is twice forward.
"""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from scaling.errors import UserError
from scaling.shape.attention import Attention
from scaling.shape.block import Block
from scaling.shape.feed_forward import FeedForward
from scaling.shape.params import count_params, last_block
from scaling.shape.shape import ModelShape

PF_DAY_FLOPS = 1e15 * 86_400
"""FLOPs in a petaFLOP/s-day."""

Convention = Literal["6nd", "6nd_non_embedding", "exact", "exact_causal", "hardware", "palm", "chinchilla"]
Recompute = Literal["none", "selective", "selective_ops", "full"]


@dataclass(frozen=True, kw_only=True)
class ForwardFlops:
    """Forward FLOPs of one token, by component."""

    attention_projections: int
    """Queries, keys, values and output, and the projections of recurrences."""
    attention_scores: int
    """Queries times keys and weights times values, over all positions of the window or of `context`; the recurrences
    of linear attention."""
    ffn: int
    """Feed-forward, active experts and routers."""
    head: int
    """The output head, as often as it is used: once, and once for each further token that is predicted."""

    @property
    def total(self) -> int:
        return self.attention_projections + self.attention_scores + self.ffn + self.head


@lru_cache(maxsize=4096)
def forward_flops_per_token(shape: ModelShape, context: int | None = None) -> ForwardFlops:
    """Forward FLOPs of one token in a sequence of `context` tokens (default: the shape's own), by component.

    Raises `UserError` for an encoder-decoder, whose two streams have lengths of their own.
    """
    if shape.encoder_depth:
        raise UserError(
            f"encoder_depth={shape.encoder_depth}: exact FLOPs of an encoder-decoder depend on two "
            "sequence lengths; use convention=6nd, which counts half of its parameters a token"
        )
    width = shape.width
    blocks = trained_blocks(shape)
    joins = shape.mtp_depth * 2 * width * width
    return ForwardFlops(
        attention_projections=2 * sum(n * m.matrices(width) for b, n in blocks for m in b.mixers) + 2 * joins,
        attention_scores=round(core_flops_per_token(shape, context)),
        ffn=2 * sum(n * b.ffn.active_matrices(width) for b, n in blocks if b.ffn),
        head=2 * width * shape.vocab_size * (1 + shape.mtp_depth),
    )


def core_flops_per_token(
    shape: ModelShape, context: int | None = None, *, causal_half: bool = False
) -> float:
    """Forward FLOPs of one token in scores and weighted values, or in the recurrences, of all blocks.

    With `causal_half` a token is compared only with those up to itself; otherwise with its whole window.
    """
    context = _whole_context(shape, context)
    halved = causal_half and shape.causal
    return sum(
        count * mixer.core_flops(context, causal_half=halved)
        for block, count in trained_blocks(shape)
        for mixer in block.mixers
    )


def trained_blocks(shape: ModelShape) -> list[tuple[Block, int]]:
    """(block, how many) of all kinds, with those of multi-token prediction."""
    if not shape.mtp_depth:
        return list(shape.kinds.items())
    kinds = Counter(shape.kinds)
    kinds[last_block(shape)] += shape.mtp_depth
    return list(kinds.items())


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
    - `exact`: every matrix product, head and full T×T attention (T×window where there is one) included, and the
      recurrences of linear attention; backward = 2 × forward.
    - `exact_causal`: as `exact`, but a token attends to those up to itself, (T + 1)/2 on average without a window.
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
        seen = core_flops_per_token(shape, context, causal_half=True)
        return 3 * (forward.total - forward.attention_scores + seen)
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
    stored = 0
    for block, count in shape.kinds.items():
        mixer, ffn = (block.mixers or (None,))[0], block.ffn
        if not isinstance(mixer, Attention) or not isinstance(ffn, FeedForward) or len(block.mixers) > 1:
            raise UserError(
                "recompute=selective_ops is defined for dense blocks with query, key, value and output projections: "
                "use recompute=full or none"
            )
        # In their order: query, key, value, output; then gate, up, down (or up, down).
        matrix = shape.width * ffn.hidden
        key = mixer.kv_heads * mixer.head_width
        stored += count * (shape.width * (mixer.query_width + key) + (2 if ffn.gated else 1) * matrix)
    return forward.attention_scores + 2 * stored


def pf_days(flops: float) -> float:
    """FLOPs in petaFLOP/s-days."""
    return flops / PF_DAY_FLOPS


def _whole_context(shape: ModelShape, context: int | None) -> int:
    if context is None:
        return shape.context
    if context < 1:
        raise UserError(f"context={context} must be a positive whole number of tokens")
    return context
