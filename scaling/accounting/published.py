"""Shapes of published models, by name.

Where a family pads its vocabulary or keeps spare position rows, the padded figure is used: it is what is stored,
multiplied and counted by the published weights. `published_shape("llama-2-7b")` finds one.
"""

from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from scaling.accounting.shape import Biases, LatentAttention, ModelShape


def published_shape(name: str) -> ModelShape:
    """The shape of a published model; case, underscores and spaces do not matter.

    Raises `ValueError` naming the nearest names when there is no such model.
    """
    key = name.strip().lower().replace("_", "-").replace(" ", "-")
    key = ALIASES.get(key, key)
    if key in PUBLISHED:
        return PUBLISHED[key]
    near = get_close_matches(key, [*PUBLISHED, *ALIASES], n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(PUBLISHED)}"
    raise ValueError(f"model={name!r} is not a published model known here: {hint}")


def _gpt(
    depth: int,
    width: int,
    heads: int,
    *,
    vocab_size: int = 50_257,
    context: int,
    **different: Any,
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


def _llama(
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
    **mixture: int,
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
        **mixture,  # type: ignore[arg-type]
    )


def _pythia(depth: int, width: int, heads: int, vocab_size: int = 50_304) -> ModelShape:
    """GPT-NeoX's block: parallel attention and feed-forward with a norm each, rotary positions, untied head."""
    return _gpt(depth, width, heads, vocab_size=vocab_size, context=2048, positions="rotary", tied_head=False)


def _bloom(depth: int, width: int, heads: int) -> ModelShape:
    return _gpt(depth, width, heads, vocab_size=250_880, context=2048, positions="alibi", embedding_norm=True)


def _opt(depth: int, width: int, heads: int) -> ModelShape:
    """OPT keeps two position rows more than its context."""
    return _gpt(depth, width, heads, vocab_size=50_272, context=2048, position_rows=2050)


def _bert(depth: int, width: int, heads: int) -> ModelShape:
    """The encoder with its pooler, uncased; without the masked-token head."""
    return _gpt(
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


def _roberta(depth: int, width: int, heads: int) -> ModelShape:
    return _gpt(
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


def _t5(depth: int, width: int, heads: int, ffn_width: int, head_width: int = 64) -> ModelShape:
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


def _gopher(
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


def _palm(depth: int, width: int, heads: int) -> ModelShape:
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


def _falcon(
    depth: int, width: int, heads: int, kv_heads: int, *, norms_per_block: int = 2, tied_head: bool = True
) -> ModelShape:
    """Falcon's parallel block: LayerNorm, no biases, rotary positions, GELU of 4 × width, heads of 64."""
    return _gpt(
        depth, width, heads,
        vocab_size=65_024, context=2048,
        kv_heads=kv_heads, biases="none", positions="rotary", norms_per_block=norms_per_block, tied_head=tied_head,
    )  # fmt: skip


def _gemma(
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


def _qwen3(
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
        context=40_960,
        qk_norm=True,
        **different,
    )


def _flan_t5(depth: int, width: int, heads: int, ffn_width: int) -> ModelShape:
    """T5 1.1 and its instruction-tuned FLAN: gated GELU (counted as swiglu's three matrices), untied head."""
    return replace(_t5(depth, width, heads, ffn_width), ffn="swiglu", tied_head=False)


# Llama 3.1 differs from Llama 3 in its context.
_LLAMA_31: dict[str, Any] = {"vocab_size": 128_256, "kv_heads": 8, "context": 131_072}
_QWEN_25: dict[str, Any] = {"context": 32_768, "biases": "qkv"}
_LLAMA_3: dict[str, Any] = {**_LLAMA_31, "context": 8192}

# Hoffmann et al. 2022 (arXiv:2203.15556), Table A9: millions of parameters as printed, width, ffn_width, head_width,
# heads, depth.
CHINCHILLA_TABLE_A9 = (
    (44, 512, 2048, 64, 8, 8),
    (57, 576, 2304, 64, 9, 9),
    (74, 640, 2560, 64, 10, 10),
    (90, 640, 2560, 64, 10, 13),
    (106, 640, 2560, 64, 10, 16),
    (117, 768, 3072, 64, 12, 12),
    (140, 768, 3072, 64, 12, 15),
    (163, 768, 3072, 64, 12, 18),
    (175, 896, 3584, 64, 14, 14),
    (196, 896, 3584, 64, 14, 16),
    (217, 896, 3584, 64, 14, 18),
    (251, 1024, 4096, 64, 16, 16),
    (278, 1024, 4096, 64, 16, 18),
    (306, 1024, 4096, 64, 16, 20),
    (425, 1280, 5120, 128, 10, 18),
    (489, 1280, 5120, 128, 10, 21),
    (509, 1408, 5632, 128, 11, 18),
    (552, 1280, 5120, 128, 10, 24),
    (587, 1408, 5632, 128, 11, 21),
    (632, 1536, 6144, 128, 12, 19),
    (664, 1408, 5632, 128, 11, 24),
    (724, 1536, 6144, 128, 12, 22),
    (816, 1536, 6144, 128, 12, 25),
    (893, 1792, 7168, 128, 14, 20),
    (1018, 1792, 7168, 128, 14, 23),
    (1143, 1792, 7168, 128, 14, 26),
    (1266, 2048, 8192, 128, 16, 22),
    (1424, 2176, 8704, 128, 17, 22),
    (1429, 2048, 8192, 128, 16, 25),
    (1593, 2048, 8192, 128, 16, 28),
    (1609, 2176, 8704, 128, 17, 25),
    (1731, 2304, 9216, 128, 18, 24),
    (1794, 2176, 8704, 128, 17, 28),
    (2007, 2304, 9216, 128, 18, 28),
    (2283, 2304, 9216, 128, 18, 32),
    (2298, 2560, 10_240, 128, 20, 26),
    (2639, 2560, 10_240, 128, 20, 30),
    (2980, 2560, 10_240, 128, 20, 34),
    (3530, 2688, 10_752, 128, 22, 36),
    (3802, 2816, 11_264, 128, 22, 36),
    (4084, 2944, 11_776, 128, 22, 36),
    (4516, 3072, 12_288, 128, 24, 36),
    (6796, 3584, 14_336, 128, 28, 40),
    (9293, 4096, 16_384, 128, 32, 42),
    (11_452, 4352, 17_408, 128, 32, 47),
    (12_295, 4608, 18_432, 128, 36, 44),
    (12_569, 4608, 18_432, 128, 32, 47),
    (13_735, 4864, 19_456, 128, 32, 47),
    (14_940, 4992, 19_968, 128, 32, 49),
    (16_183, 5120, 20_480, 128, 40, 47),
)
"""Every model of the Chinchilla study; named `chinchilla-44m` and so on after the millions printed."""

PUBLISHED: dict[str, ModelShape] = {
    # Radford et al. 2019, Table 2; depths and vocabulary as released
    "gpt2": _gpt(12, 768, 12, context=1024),
    "gpt2-medium": _gpt(24, 1024, 16, context=1024),
    "gpt2-large": _gpt(36, 1280, 20, context=1024),
    "gpt2-xl": _gpt(48, 1600, 25, context=1024),
    # Brown et al. 2020 (arXiv:2005.14165), Table 2.1. Two of its entries contradict the parameters it prints beside
    # them: XL's 24 heads of 128 (its 1.3B needs 16) and 13B's width 5140 (its 40 heads of 128 make 5120).
    "gpt3-small": _gpt(12, 768, 12, context=2048),
    "gpt3-medium": _gpt(24, 1024, 16, context=2048),
    "gpt3-large": _gpt(24, 1536, 16, context=2048),
    "gpt3-xl": _gpt(24, 2048, 16, context=2048),
    "gpt3-2.7b": _gpt(32, 2560, 32, context=2048),
    "gpt3-6.7b": _gpt(32, 4096, 32, context=2048),
    "gpt3-13b": _gpt(40, 5120, 40, context=2048),
    "gpt3-175b": _gpt(96, 12_288, 96, context=2048),
    # Biderman et al. 2023 (arXiv:2304.01373), Table 1, and the released configurations
    "pythia-14m": _pythia(6, 128, 4),
    "pythia-31m": _pythia(6, 256, 8),
    "pythia-70m": _pythia(6, 512, 8),
    "pythia-160m": _pythia(12, 768, 12),
    "pythia-410m": _pythia(24, 1024, 16),
    "pythia-1b": _pythia(16, 2048, 8),
    "pythia-1.4b": _pythia(24, 2048, 16),
    "pythia-2.8b": _pythia(32, 2560, 32),
    "pythia-6.9b": _pythia(32, 4096, 32, 50_432),
    "pythia-12b": _pythia(36, 5120, 40, 50_688),
    # Black et al. 2022 (arXiv:2204.06745)
    "gpt-neox-20b": _pythia(44, 6144, 64, 50_432),
    # Touvron et al. 2023 (arXiv:2302.13971), Table 2
    "llama-7b": _llama(32, 4096, 32, 11_008, vocab_size=32_000, context=2048),
    "llama-13b": _llama(40, 5120, 40, 13_824, vocab_size=32_000, context=2048),
    "llama-33b": _llama(60, 6656, 52, 17_920, vocab_size=32_000, context=2048),
    "llama-65b": _llama(80, 8192, 64, 22_016, vocab_size=32_000, context=2048),
    # Touvron et al. 2023 (arXiv:2307.09288), appendix A.2.1, and the released configurations
    "llama-2-7b": _llama(32, 4096, 32, 11_008, vocab_size=32_000, context=4096),
    "llama-2-13b": _llama(40, 5120, 40, 13_824, vocab_size=32_000, context=4096),
    "llama-2-70b": _llama(80, 8192, 64, 28_672, vocab_size=32_000, context=4096, kv_heads=8),
    # Dubey et al. 2024 (arXiv:2407.21783), Table 3, and the released configurations
    "llama-3-8b": _llama(32, 4096, 32, 14_336, **_LLAMA_3),
    "llama-3-70b": _llama(80, 8192, 64, 28_672, **_LLAMA_3),
    "llama-3.1-8b": _llama(32, 4096, 32, 14_336, **_LLAMA_31),
    "llama-3.1-70b": _llama(80, 8192, 64, 28_672, **_LLAMA_31),
    "llama-3.1-405b": _llama(126, 16_384, 128, 53_248, **_LLAMA_31),
    "llama-3.2-1b": _llama(16, 2048, 32, 8192, tied_head=True, **_LLAMA_31),
    "llama-3.2-3b": _llama(28, 3072, 24, 8192, tied_head=True, **_LLAMA_31),
    # Zhang et al. 2024 (arXiv:2401.02385)
    "tinyllama-1.1b": _llama(22, 2048, 32, 5632, vocab_size=32_000, context=2048, kv_heads=4),
    # Jiang et al. 2023 (arXiv:2310.06825), Table 1; the sliding window does not enter
    "mistral-7b": _llama(32, 4096, 32, 14_336, vocab_size=32_000, context=8192, kv_heads=8),
    # Jiang et al. 2024 (arXiv:2401.04088), Table 1
    "mixtral-8x7b": _llama(
        32, 4096, 32, 14_336, vocab_size=32_000, context=32_768, kv_heads=8, experts=8, experts_active=2
    ),
    "mixtral-8x22b": _llama(
        56, 6144, 48, 16_384, vocab_size=32_768, context=65_536, kv_heads=8, experts=8, experts_active=2
    ),
    # Qwen Team 2024 (arXiv:2412.15115) and the released configurations
    "qwen2.5-0.5b": _llama(
        24, 896, 14, 4864, vocab_size=151_936, context=32_768, kv_heads=2, tied_head=True, biases="qkv"
    ),
    "qwen2.5-7b": _llama(28, 3584, 28, 18_944, vocab_size=152_064, context=131_072, kv_heads=4, biases="qkv"),
    **{
        f"qwen2.5-{size}": _llama(depth, width, heads, ffn, kv_heads=kv, **{**_QWEN_25, **rest})
        for size, depth, width, heads, kv, ffn, rest in (
            ("1.5b", 28, 1536, 12, 2, 8960, {"tied_head": True, "vocab_size": 151_936}),
            ("3b", 36, 2048, 16, 2, 11_008, {"tied_head": True, "vocab_size": 151_936}),
            ("14b", 48, 5120, 40, 8, 13_824, {"vocab_size": 152_064}),
            ("32b", 64, 5120, 40, 8, 27_648, {"vocab_size": 152_064}),
            ("72b", 80, 8192, 64, 8, 29_568, {"vocab_size": 152_064}),
        )
    },
    # Qwen Team 2025 (arXiv:2505.09388), tables 1 and 2, and the released configurations
    "qwen3-0.6b": _qwen3(28, 1024, 16, 3072, tied_head=True),
    "qwen3-1.7b": _qwen3(28, 2048, 16, 6144, tied_head=True),
    "qwen3-4b": _qwen3(36, 2560, 32, 9728, tied_head=True),
    "qwen3-8b": _qwen3(36, 4096, 32, 12_288),
    "qwen3-14b": _qwen3(40, 5120, 40, 17_408),
    "qwen3-32b": _qwen3(64, 5120, 64, 25_600),
    "qwen3-30b-a3b": _qwen3(48, 2048, 32, 768, 4, experts=128, experts_active=8),
    "qwen3-235b-a22b": _qwen3(94, 4096, 64, 1536, 4, experts=128, experts_active=8),
    # Mistral AI, released configurations
    "mistral-nemo-12b": _llama(
        40, 5120, 32, 14_336, vocab_size=131_072, context=131_072, kv_heads=8, head_width=128
    ),
    "mistral-small-24b": _llama(
        40, 5120, 32, 32_768, vocab_size=131_072, context=32_768, kv_heads=8, head_width=128
    ),
    "mistral-large-123b": _llama(88, 12_288, 96, 28_672, vocab_size=32_768, context=131_072, kv_heads=8),
    # 01.AI 2024 (arXiv:2403.04652), Table 2
    "yi-6b": _llama(32, 4096, 32, 11_008, vocab_size=64_000, context=4096, kv_heads=4),
    "yi-34b": _llama(60, 7168, 56, 20_480, vocab_size=64_000, context=4096, kv_heads=8),
    # Abdin et al. 2024 (arXiv:2404.14219), section 2
    "phi-3-mini": _llama(32, 3072, 32, 8192, vocab_size=32_064, context=4096),
    "phi-3-medium": _llama(40, 5120, 40, 17_920, vocab_size=32_064, context=4096, kv_heads=10),
    # Ben Allal et al. 2025 (arXiv:2502.02737), and the released configurations
    "smollm2-135m": _llama(30, 576, 9, 1536, vocab_size=49_152, context=8192, kv_heads=3, tied_head=True),
    "smollm2-360m": _llama(32, 960, 15, 2560, vocab_size=49_152, context=8192, kv_heads=5, tied_head=True),
    "smollm2-1.7b": _llama(24, 2048, 32, 8192, vocab_size=49_152, context=8192, tied_head=True),
    # Groeneveld et al. 2024 (arXiv:2402.00838), Table 1
    "olmo-1b": replace(
        _llama(16, 2048, 16, 8192, vocab_size=50_304, context=2048, tied_head=True),
        norm="layernorm_no_weights",
    ),
    "olmo-7b": replace(
        _llama(32, 4096, 32, 11_008, vocab_size=50_304, context=2048), norm="layernorm_no_weights"
    ),
    # Almazrouei et al. 2023 (arXiv:2311.16867), Table 12, and the released configurations
    "falcon-7b": _falcon(32, 4544, 71, 1, norms_per_block=1),
    "falcon-40b": _falcon(60, 8192, 128, 8),
    "falcon-180b": _falcon(80, 14_848, 232, 8, tied_head=False),
    # Gemma Team 2024 (arXiv:2403.08295, arXiv:2408.00118), Table 1
    "gemma-2b": _gemma(18, 2048, 8, 1, 256, 16_384),
    "gemma-7b": _gemma(28, 3072, 16, 16, 256, 24_576),
    "gemma-2-2b": _gemma(26, 2304, 8, 4, 256, 9216, 4),
    "gemma-2-9b": _gemma(42, 3584, 16, 8, 256, 14_336, 4),
    "gemma-2-27b": _gemma(46, 4608, 32, 16, 128, 36_864, 4),
    # MosaicML 2023, released configuration: no biases, ALiBi
    "mpt-7b": _gpt(
        32,
        4096,
        32,
        vocab_size=50_432,
        context=2048,
        biases="none",
        positions="alibi",
        norm="layernorm_no_bias",
    ),
    # Li et al. 2023 (arXiv:2305.06161), Table 9: multi-query attention
    "starcoder": _gpt(40, 6144, 48, vocab_size=49_152, context=8192, kv_heads=1),
    # Hoffmann et al. 2022 (arXiv:2203.15556), Table 4
    "chinchilla": _gopher(80, 8192, 64),
    **{
        f"chinchilla-{millions}m": _gopher(depth, width, heads, head_width, ffn_width)
        for millions, width, ffn_width, head_width, heads, depth in CHINCHILLA_TABLE_A9
    },
    # Rae et al. 2021 (arXiv:2112.11446), Table 1
    "gopher-44m": _gopher(8, 512, 16, 32),
    "gopher-117m": _gopher(12, 768, 12, 64),
    "gopher-417m": _gopher(12, 1536, 12),
    "gopher-1.4b": _gopher(24, 2048, 16),
    "gopher-7.1b": _gopher(32, 4096, 32),
    "gopher": _gopher(80, 16_384, 128),
    # Chowdhery et al. 2022 (arXiv:2204.02311), Table 1
    "palm-8b": _palm(32, 4096, 16),
    "palm-62b": _palm(64, 8192, 32),
    "palm-540b": _palm(118, 18_432, 48),
    # BigScience 2022 (arXiv:2211.05100), Table 3
    "bloom-560m": _bloom(24, 1024, 16),
    "bloom-1b1": _bloom(24, 1536, 16),
    "bloom-1b7": _bloom(24, 2048, 16),
    "bloom-3b": _bloom(30, 2560, 32),
    "bloom-7b1": _bloom(30, 4096, 32),
    "bloom-176b": _bloom(70, 14_336, 112),
    # Zhang et al. 2022 (arXiv:2205.01068), Table 1
    "opt-125m": _opt(12, 768, 12),
    "opt-1.3b": _opt(24, 2048, 32),
    "opt-2.7b": _opt(32, 2560, 32),
    "opt-6.7b": _opt(32, 4096, 32),
    "opt-13b": _opt(40, 5120, 40),
    "opt-30b": _opt(48, 7168, 56),
    "opt-66b": _opt(64, 9216, 72),
    "opt-175b": _opt(96, 12_288, 96),
    # Devlin et al. 2019 (arXiv:1810.04805), section 3; Liu et al. 2019 (arXiv:1907.11692), Table 9
    "bert-base": _bert(12, 768, 12),
    "bert-large": _bert(24, 1024, 16),
    "roberta-base": _roberta(12, 768, 12),
    "roberta-large": _roberta(24, 1024, 16),
    # Raffel et al. 2020 (arXiv:1910.10683), section 3.7
    "t5-small": _t5(6, 512, 8, 2048),
    "t5-base": _t5(12, 768, 12, 3072),
    "t5-large": _t5(24, 1024, 16, 4096),
    "t5-3b": _t5(24, 1024, 32, 16_384, 128),
    "t5-11b": _t5(24, 1024, 128, 65_536, 128),
    # Chung et al. 2022 (arXiv:2210.11416), on the released T5 1.1 configurations
    "flan-t5-small": _flan_t5(8, 512, 6, 1024),
    "flan-t5-base": _flan_t5(12, 768, 12, 2048),
    "flan-t5-large": _flan_t5(24, 1024, 16, 2816),
    "flan-t5-xl": _flan_t5(24, 2048, 32, 5120),
    "flan-t5-xxl": _flan_t5(24, 4096, 64, 10_240),
    # DeepSeek-AI 2024 (arXiv:2405.04434), section 3.1.2
    "deepseek-v2": ModelShape(
        width=5120,
        depth=60,
        heads=128,
        kv_heads=128,
        head_width=128,
        ffn_width=12_288,
        vocab_size=102_400,
        context=4096,
        experts=160,
        experts_active=6,
        shared_experts=2,
        expert_width=1536,
        dense_depth=1,
        latent=LatentAttention(query_rank=1536, kv_rank=512, rope_width=64, nope_width=128, value_width=128),
    ),
    # DeepSeek-AI 2024 (arXiv:2412.19437), section 4.2; without the multi-token-prediction module
    "deepseek-v3": ModelShape(
        width=7168,
        depth=61,
        heads=128,
        kv_heads=128,
        head_width=128,
        ffn_width=18_432,
        vocab_size=129_280,
        context=4096,
        experts=256,
        experts_active=8,
        shared_experts=1,
        expert_width=2048,
        dense_depth=3,
        latent=LatentAttention(query_rank=1536, kv_rank=512, rope_width=64, nope_width=128, value_width=128),
    ),
}
"""Every model known by name."""

ALIASES = {
    "gpt2-small": "gpt2",
    "gpt2-124m": "gpt2",
    "gpt3": "gpt3-175b",
    "gpt-3": "gpt3-175b",
    **{name.replace("gpt3", "gpt-3", 1): name for name in PUBLISHED if name.startswith("gpt3")},
    **{name.replace("gpt2", "gpt-2", 1): name for name in PUBLISHED if name.startswith("gpt2")},
    "chinchilla-70b": "chinchilla",
    "gopher-280b": "gopher",
    "palm": "palm-540b",
    "bloom": "bloom-176b",
    "mixtral": "mixtral-8x7b",
    **{
        name.replace("llama-", "llama-1-", 1): name for name in PUBLISHED if name in ("llama-7b", "llama-13b")
    },
    "llama-1-33b": "llama-33b",
    "llama-1-65b": "llama-65b",
    "llama-30b": "llama-33b",
    "llama-3.3-70b": "llama-3.1-70b",
    "deepseek-r1": "deepseek-v3",
    "falcon": "falcon-40b",
    "mistral": "mistral-7b",
}
"""Other names in use, each for a name in `PUBLISHED`."""
