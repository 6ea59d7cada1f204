"""The block that the models of a family share: what is left to say of one model is its size.

Every function takes depth, width and heads first, as the papers' tables do. `different` holds other fields of
`ModelShape` in which a model departs from its family.
"""

from dataclasses import replace
from typing import Any  # the types of fields given by name are checked by `ModelShape` itself

from scaling.shape.shape import ModelShape


def gpt(
    depth: int, width: int, heads: int, *, vocab_size: int = 50_257, context: int, **different: Any
) -> ModelShape:
    """GPT-2's block: LayerNorm, biases, learned positions, GELU of 4 × width, tied head."""
    family: dict[str, Any] = {
        "kv_heads": heads,
        "head_width": width // heads,
        "ffn_width": 4 * width,
        "ffn": "gelu",
        "tied_head": True,
        "norm": "layernorm",
        "biases": "all",
        "positions": "learned",
    }
    sizes = {"width": width, "depth": depth, "heads": heads, "vocab_size": vocab_size, "context": context}
    return ModelShape(**{**sizes, **family, **different})


def gpt_oss(depth: int, *, experts: int) -> ModelShape:
    """Llama's block with biases and sinks, every second in a window, and experts of which a token visits four."""
    return llama(
        depth, 2880, 64, 2880, vocab_size=201_088, context=4096, kv_heads=8, head_width=64, biases="all",
        experts=experts, experts_active=4, attention_sinks=True, window=128, full_every=2,
    )  # fmt: skip


def pythia(depth: int, width: int, heads: int, vocab_size: int = 50_304) -> ModelShape:
    """GPT-NeoX's block: parallel attention and feed-forward with a norm each, rotary positions, untied head."""
    return gpt(depth, width, heads, vocab_size=vocab_size, context=2048, positions="rotary", tied_head=False)


def phi(depth: int, width: int, heads: int) -> ModelShape:
    """Parallel attention and feed-forward of one LayerNorm, biases everywhere, rotary positions, untied head."""
    return gpt(
        depth, width, heads, vocab_size=51_200, context=2048,
        positions="rotary", tied_head=False, head_bias=True, norms_per_block=1,
    )  # fmt: skip


def bloom(depth: int, width: int, heads: int) -> ModelShape:
    """GPT-2's block with ALiBi positions and a norm after the embedding."""
    return gpt(depth, width, heads, vocab_size=250_880, context=2048, positions="alibi", embedding_norm=True)


def opt(depth: int, width: int, heads: int) -> ModelShape:
    """GPT-2's block; OPT keeps two position rows more than its context."""
    return gpt(depth, width, heads, vocab_size=50_272, context=2048, position_rows=2050)


def starcoder2(depth: int, width: int, heads: int, kv_heads: int, *, tied_head: bool) -> ModelShape:
    """GPT-2's block with rotary positions and grouped-query attention."""
    return gpt(
        depth, width, heads, vocab_size=49_152, context=4096,
        kv_heads=kv_heads, positions="rotary", tied_head=tied_head,
    )  # fmt: skip


def falcon(
    depth: int, width: int, heads: int, kv_heads: int, *, norms_per_block: int = 2, tied_head: bool = True
) -> ModelShape:
    """Falcon's parallel block: LayerNorm, no biases, rotary positions, GELU of 4 × width, heads of 64."""
    return gpt(
        depth, width, heads, vocab_size=65_024, context=2048,
        kv_heads=kv_heads, biases="none", positions="rotary", norms_per_block=norms_per_block, tied_head=tied_head,
    )  # fmt: skip


def bert(depth: int, width: int, heads: int) -> ModelShape:
    """The encoder with its pooler, uncased; without the masked-token head."""
    return gpt(
        depth, width, heads, vocab_size=30_522, context=512,
        segment_types=2, embedding_norm=True, final_norm=False, pooler=True, causal=False,
    )  # fmt: skip


def roberta(depth: int, width: int, heads: int) -> ModelShape:
    """BERT with another vocabulary, one kind of segment, and two position rows more than its context."""
    return replace(bert(depth, width, heads), vocab_size=50_265, segment_types=1, position_rows=514)


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
        **different,
    )


def qwen2(
    depth: int, width: int, heads: int, ffn_width: int, kv_heads: int, *, vocab_size: int = 151_936,
    tied_head: bool = False,
) -> ModelShape:  # fmt: skip
    """Llama's block with biases of queries, keys and values: Qwen 1.5 to 2.5."""
    return llama(
        depth, width, heads, ffn_width, vocab_size=vocab_size, context=4096,
        kv_heads=kv_heads, biases="qkv", tied_head=tied_head,
    )  # fmt: skip


def qwen3(
    depth: int, width: int, heads: int, ffn_width: int, kv_heads: int = 8, **different: Any
) -> ModelShape:
    """Llama's block with heads of 128 and a norm on each query and key head."""
    return llama(
        depth, width, heads, ffn_width, vocab_size=151_936, context=4096,
        kv_heads=kv_heads, head_width=128, qk_norm=True, **different,
    )  # fmt: skip


def olmo2(depth: int, width: int, heads: int, ffn_width: int, kv_heads: int) -> ModelShape:
    """Llama's block with norms after attention and feed-forward, and on all queries and all keys together."""
    return llama(
        depth, width, heads, ffn_width, vocab_size=100_352, context=4096,
        kv_heads=kv_heads, qk_norm=True, qk_norm_whole=True,
    )  # fmt: skip


def gemma(
    depth: int, width: int, heads: int, kv_heads: int, head_width: int, ffn_width: int, **different: Any
) -> ModelShape:
    """Gemma's block: RMSNorm, gated GELU (counted as swiglu's three matrices), tied head."""
    sizes = {"vocab_size": 256_000, "context": 8192}
    return llama(
        depth, width, heads, ffn_width,
        **{**sizes, "kv_heads": kv_heads, "head_width": head_width, "tied_head": True, **different},
    )  # fmt: skip


def gemma3(
    depth: int,
    width: int,
    heads: int,
    kv_heads: int,
    head_width: int,
    ffn_width: int,
    *,
    vocab_size: int,
    window: int = 1024,
) -> ModelShape:
    """Gemma's block with norms around attention and feed-forward and on each head; each sixth sees the whole text."""
    return gemma(
        depth, width, heads, kv_heads, head_width, ffn_width,
        vocab_size=vocab_size, context=32_768, norms_per_block=4, qk_norm=True, window=window, full_every=6,
    )  # fmt: skip


def palm(depth: int, width: int, heads: int) -> ModelShape:
    """Parallel block with one norm, multi-query attention, SwiGLU, tied head, no biases (arXiv:2204.02311, 2)."""
    return llama(
        depth, width, heads, 4 * width, vocab_size=256_000, context=2048,
        kv_heads=1, head_width=256, tied_head=True, norm="layernorm_no_bias", norms_per_block=1,
    )  # fmt: skip


def gopher(
    depth: int, width: int, heads: int, head_width: int = 128, ffn_width: int | None = None
) -> ModelShape:
    """Gopher's and Chinchilla's block: RMSNorm, relative positions of Transformer-XL, no biases counted."""
    return llama(
        depth, width, heads, ffn_width or 4 * width, vocab_size=32_000, context=2048,
        head_width=head_width, ffn="gelu", tied_head=True, positions="relative_projection",
    )  # fmt: skip


def t5(depth: int, width: int, heads: int, ffn_width: int, head_width: int = 64) -> ModelShape:
    """Encoder and decoder of `depth` blocks each; RMSNorm, no biases, ReLU (counted as gelu's two matrices)."""
    return llama(
        depth, width, heads, ffn_width, vocab_size=32_128, context=512,
        encoder_depth=depth, head_width=head_width, ffn="gelu", tied_head=True, positions="relative_buckets",
    )  # fmt: skip


def flan_t5(depth: int, width: int, heads: int, ffn_width: int) -> ModelShape:
    """T5 1.1 and its instruction-tuned FLAN: gated GELU (counted as swiglu's three matrices), untied head."""
    return replace(t5(depth, width, heads, ffn_width), ffn="swiglu", tied_head=False)
