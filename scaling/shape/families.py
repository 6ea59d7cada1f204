"""The block that the models of a family share: what is left to say of one is its size."""

from dataclasses import replace
from typing import Any

from scaling.shape.shape import Biases, ModelShape


def gpt(
    depth: int, width: int, heads: int, *, vocab_size: int = 50_257, context: int, **different: Any
) -> ModelShape:
    """GPT-2's block: LayerNorm, biases, learned positions, GELU of 4 × width, tied head."""
    shape: dict[str, Any] = {
        "kv_heads": heads,
        "head_width": width // heads,
        "ffn_width": 4 * width,
        "ffn": "gelu",
        "tied_head": True,
        "norm": "layernorm",
        "biases": "all",
        "positions": "learned",
    }
    return ModelShape(
        width=width,
        depth=depth,
        heads=heads,
        vocab_size=vocab_size,
        context=context,
        **{**shape, **different},
    )


def llama(
    depth: int,
    width: int,
    heads: int,
    ffn_width: int,
    *,
    vocab_size: int,
    context: int,
    kv_heads: int | None = None,
    head_width: int | None = None,
    tied_head: bool = False,
    biases: Biases = "none",
    **different: Any,
) -> ModelShape:
    """Llama's block: RMSNorm, no biases, rotary positions, SwiGLU, untied head."""
    return ModelShape(
        width=width,
        depth=depth,
        heads=heads,
        kv_heads=kv_heads or heads,
        head_width=head_width or width // heads,
        ffn_width=ffn_width,
        vocab_size=vocab_size,
        context=context,
        tied_head=tied_head,
        biases=biases,
        **different,
    )


def pythia(depth: int, width: int, heads: int, vocab_size: int = 50_304) -> ModelShape:
    """GPT-NeoX's block: parallel attention and feed-forward with a norm each, rotary positions, untied head."""
    return gpt(depth, width, heads, vocab_size=vocab_size, context=2048, positions="rotary", tied_head=False)


def phi(depth: int, width: int, heads: int) -> ModelShape:
    """Parallel attention and feed-forward of one LayerNorm, biases everywhere, rotary positions, untied head."""
    return gpt(
        depth, width, heads,
        vocab_size=51_200, context=2048,
        positions="rotary", tied_head=False, head_bias=True, norms_per_block=1,
    )  # fmt: skip


def bloom(depth: int, width: int, heads: int) -> ModelShape:
    return gpt(depth, width, heads, vocab_size=250_880, context=2048, positions="alibi", embedding_norm=True)


def opt(depth: int, width: int, heads: int) -> ModelShape:
    """OPT keeps two position rows more than its context."""
    return gpt(depth, width, heads, vocab_size=50_272, context=2048, position_rows=2050)


def bert(depth: int, width: int, heads: int) -> ModelShape:
    """The encoder with its pooler, uncased; without the masked-token head."""
    return gpt(
        depth,
        width,
        heads,
        vocab_size=30_522,
        context=512,
        segment_types=2,
        embedding_norm=True,
        final_norm=False,
        pooler=True,
        causal=False,
    )


def roberta(depth: int, width: int, heads: int) -> ModelShape:
    return gpt(
        depth,
        width,
        heads,
        vocab_size=50_265,
        context=512,
        position_rows=514,
        segment_types=1,
        embedding_norm=True,
        final_norm=False,
        pooler=True,
        causal=False,
    )


def t5(depth: int, width: int, heads: int, ffn_width: int, head_width: int = 64) -> ModelShape:
    """Encoder and decoder of `depth` blocks each; RMSNorm, no biases, ReLU (counted as gelu's two matrices)."""
    return ModelShape(
        width=width,
        depth=depth,
        encoder_depth=depth,
        heads=heads,
        kv_heads=heads,
        head_width=head_width,
        ffn_width=ffn_width,
        ffn="gelu",
        vocab_size=32_128,
        context=512,
        tied_head=True,
        positions="relative_buckets",
    )


def gopher(
    depth: int, width: int, heads: int, head_width: int = 128, ffn_width: int | None = None
) -> ModelShape:
    """Gopher's and Chinchilla's block: RMSNorm, relative positions of Transformer-XL, no biases counted."""
    return ModelShape(
        width=width,
        depth=depth,
        heads=heads,
        kv_heads=heads,
        head_width=head_width,
        ffn_width=ffn_width or 4 * width,
        ffn="gelu",
        vocab_size=32_000,
        context=2048,
        tied_head=True,
        positions="relative_projection",
    )


def palm(depth: int, width: int, heads: int) -> ModelShape:
    """Parallel block with one norm, multi-query attention, SwiGLU, tied head, no biases (arXiv:2204.02311, 2)."""
    return ModelShape(
        width=width,
        depth=depth,
        heads=heads,
        kv_heads=1,
        head_width=256,
        ffn_width=4 * width,
        vocab_size=256_000,
        context=2048,
        tied_head=True,
        norm="layernorm_no_bias",
        norms_per_block=1,
    )


def falcon(
    depth: int, width: int, heads: int, kv_heads: int, *, norms_per_block: int = 2, tied_head: bool = True
) -> ModelShape:
    """Falcon's parallel block: LayerNorm, no biases, rotary positions, GELU of 4 × width, heads of 64."""
    return gpt(
        depth, width, heads,
        vocab_size=65_024, context=2048,
        kv_heads=kv_heads, biases="none", positions="rotary", norms_per_block=norms_per_block, tied_head=tied_head,
    )  # fmt: skip


def gemma(
    depth: int,
    width: int,
    heads: int,
    kv_heads: int,
    head_width: int,
    ffn_width: int,
    norms_per_block: int = 2,
) -> ModelShape:
    """Gemma's block: RMSNorm, gated GELU (counted as swiglu's three matrices), tied head."""
    return ModelShape(
        width=width,
        depth=depth,
        heads=heads,
        kv_heads=kv_heads,
        head_width=head_width,
        ffn_width=ffn_width,
        vocab_size=256_000,
        context=8192,
        tied_head=True,
        norms_per_block=norms_per_block,
    )


def qwen3(
    depth: int, width: int, heads: int, ffn_width: int, kv_heads: int = 8, **different: Any
) -> ModelShape:
    """Llama's block with heads of 128 and a norm on each query and key head."""
    return ModelShape(
        width=width,
        depth=depth,
        heads=heads,
        kv_heads=kv_heads,
        head_width=128,
        ffn_width=ffn_width,
        vocab_size=151_936,
        context=4096,
        qk_norm=True,
        **different,
    )


def flan_t5(depth: int, width: int, heads: int, ffn_width: int) -> ModelShape:
    """T5 1.1 and its instruction-tuned FLAN: gated GELU (counted as swiglu's three matrices), untied head."""
    return replace(t5(depth, width, heads, ffn_width), ffn="swiglu", tied_head=False)
