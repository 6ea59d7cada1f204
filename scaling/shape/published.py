"""Shapes of published models, by name.

Where a family pads its vocabulary or keeps spare position rows, the padded figure is used: it is what is stored,
multiplied and counted by the published weights. The context is that of most of pre-training, not what a later stage
stretched it to. `published_shape("llama-2-7b")` finds a model.
"""

import re
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from scaling.errors import UserError
from scaling.shape.families import (
    bert,
    bloom,
    falcon,
    flan_t5,
    gemma,
    gopher,
    gpt,
    llama,
    opt,
    palm,
    phi,
    pythia,
    qwen3,
    roberta,
    t5,
)
from scaling.shape.shape import LatentAttention, ModelShape

RELEASE = re.compile(r"-[0-9]{4}(?=-|$)")
"""A release's year and month, as in OLMo-2-1124-7B."""
VARIANT = re.compile(r"-(hf|instruct|chat|base|it|pt|deduped|uncased|preview|v[0-9.]+|[0-9]+k)$")
"""Ends of names that say how a model was tuned or released, not how large it is."""


def published_shape(name: str) -> ModelShape:
    """The shape of a published model; case, hyphens, spaces and an owner before a slash do not matter.

    `meta-llama/Llama-2-7b-chat-hf`, `Llama2 7B` and `llama-2-7b` are one: a name not known as it stands is tried
    without what names a variant. Raises `UserError` naming the nearest names when there is no such model.
    """
    key = name.strip().lower().rpartition("/")[2].replace("_", "-").replace(" ", "-")
    key = RELEASE.sub("", key)
    shorter = key
    while _squeezed(shorter) not in _by_squeezed_name():
        cut = VARIANT.sub("", shorter)
        if cut == shorter:
            raise UserError(f"model={name!r} is not a published model known here: {_hint(key)}")
        shorter = cut
    return PUBLISHED[_by_squeezed_name()[_squeezed(shorter)]]


def _squeezed(name: str) -> str:
    return name.replace("-", "")


@lru_cache
def _by_squeezed_name() -> dict[str, str]:
    return {_squeezed(name): name for name in PUBLISHED} | {
        _squeezed(alias): name for alias, name in ALIASES.items()
    }


def _hint(key: str) -> str:
    near = get_close_matches(key, [*PUBLISHED, *ALIASES], n=4, cutoff=0.5)
    if near:
        return f"did you mean {', '.join(near)}? Or describe it: model.width=… model.depth=…"
    known = [name for name in PUBLISHED if not re.fullmatch(r"chinchilla-[0-9]+m", name)]
    return f"known: {', '.join(known)}"


_LLAMA_3: dict[str, Any] = {"vocab_size": 128_256, "kv_heads": 8, "context": 8192}
_QWEN_25: dict[str, Any] = {"context": 4096, "biases": "qkv"}

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
    "gpt2": gpt(12, 768, 12, context=1024),
    "gpt2-medium": gpt(24, 1024, 16, context=1024),
    "gpt2-large": gpt(36, 1280, 20, context=1024),
    "gpt2-xl": gpt(48, 1600, 25, context=1024),
    # Brown et al. 2020 (arXiv:2005.14165), Table 2.1. Two of its entries contradict the parameters it prints beside
    # them: XL's 24 heads of 128 (its 1.3B needs 16) and 13B's width 5140 (its 40 heads of 128 make 5120).
    "gpt3-small": gpt(12, 768, 12, context=2048),
    "gpt3-medium": gpt(24, 1024, 16, context=2048),
    "gpt3-large": gpt(24, 1536, 16, context=2048),
    "gpt3-xl": gpt(24, 2048, 16, context=2048),
    "gpt3-2.7b": gpt(32, 2560, 32, context=2048),
    "gpt3-6.7b": gpt(32, 4096, 32, context=2048),
    "gpt3-13b": gpt(40, 5120, 40, context=2048),
    "gpt3-175b": gpt(96, 12_288, 96, context=2048),
    "distilgpt2": gpt(6, 768, 12, context=1024),
    # Smith et al. 2022 (arXiv:2201.11990), section 3.2: Megatron-Turing NLG
    "mt-nlg-530b": gpt(105, 20_480, 128, vocab_size=50_304, context=2048),
    # Black et al. 2021, Wang and Komatsuzaki 2021: released configurations
    **{
        f"gpt-neo-{size}": gpt(depth, width, heads, context=2048, biases="all_but_qkv")
        for size, depth, width, heads in (
            ("125m", 12, 768, 12),
            ("1.3b", 24, 2048, 16),
            ("2.7b", 32, 2560, 20),
        )
    },
    "gpt-j-6b": gpt(
        28,
        4096,
        16,
        vocab_size=50_400,
        context=2048,
        positions="rotary",
        norms_per_block=1,
        tied_head=False,
        biases="ffn",
        head_bias=True,
    ),
    # Dey et al. 2023 (arXiv:2304.03208), table 1: models of 20 tokens a parameter
    **{
        f"cerebras-gpt-{size}": gpt(depth, width, heads, context=2048)
        for size, depth, width, heads in (
            ("111m", 10, 768, 12),
            ("256m", 14, 1088, 17),
            ("590m", 18, 1536, 12),
            ("1.3b", 24, 2048, 16),
            ("2.7b", 32, 2560, 32),
            ("6.7b", 32, 4096, 32),
            ("13b", 40, 5120, 40),
        )
    },
    # OpenAI 2025 (arXiv:2508.10925), table 1, and the released configurations
    **{
        f"gpt-oss-{size}": llama(
            depth,
            2880,
            64,
            2880,
            vocab_size=201_088,
            context=4096,
            kv_heads=8,
            head_width=64,
            biases="all",
            experts=experts,
            experts_active=4,
            attention_sinks=True,
        )
        for size, depth, experts in (("20b", 24, 32), ("120b", 36, 128))
    },
    # Biderman et al. 2023 (arXiv:2304.01373), Table 1, and the released configurations
    "pythia-14m": pythia(6, 128, 4),
    "pythia-31m": pythia(6, 256, 8),
    "pythia-70m": pythia(6, 512, 8),
    "pythia-160m": pythia(12, 768, 12),
    "pythia-410m": pythia(24, 1024, 16),
    "pythia-1b": pythia(16, 2048, 8),
    "pythia-1.4b": pythia(24, 2048, 16),
    "pythia-2.8b": pythia(32, 2560, 32),
    "pythia-6.9b": pythia(32, 4096, 32, 50_432),
    "pythia-12b": pythia(36, 5120, 40, 50_688),
    # Black et al. 2022 (arXiv:2204.06745)
    "gpt-neox-20b": pythia(44, 6144, 64, 50_432),
    # Touvron et al. 2023 (arXiv:2302.13971), Table 2
    "llama-7b": llama(32, 4096, 32, 11_008, vocab_size=32_000, context=2048),
    "llama-13b": llama(40, 5120, 40, 13_824, vocab_size=32_000, context=2048),
    "llama-33b": llama(60, 6656, 52, 17_920, vocab_size=32_000, context=2048),
    "llama-65b": llama(80, 8192, 64, 22_016, vocab_size=32_000, context=2048),
    # Touvron et al. 2023 (arXiv:2307.09288), appendix A.2.1, and the released configurations
    "llama-2-7b": llama(32, 4096, 32, 11_008, vocab_size=32_000, context=4096),
    "llama-2-13b": llama(40, 5120, 40, 13_824, vocab_size=32_000, context=4096),
    "llama-2-70b": llama(80, 8192, 64, 28_672, vocab_size=32_000, context=4096, kv_heads=8),
    # Rozière et al. 2023 (arXiv:2308.12950), the released configurations; 7B to 13B are Llama 2 with 32,016 tokens
    "codellama-7b": llama(32, 4096, 32, 11_008, vocab_size=32_016, context=16_384),
    "codellama-34b": llama(48, 8192, 64, 22_016, vocab_size=32_000, context=16_384, kv_heads=8),
    # Dubey et al. 2024 (arXiv:2407.21783), Table 3, and the released configurations
    "llama-3-8b": llama(32, 4096, 32, 14_336, **_LLAMA_3),
    "llama-3-70b": llama(80, 8192, 64, 28_672, **_LLAMA_3),
    "llama-3.1-8b": llama(32, 4096, 32, 14_336, **_LLAMA_3),
    "llama-3.1-70b": llama(80, 8192, 64, 28_672, **_LLAMA_3),
    "llama-3.1-405b": llama(126, 16_384, 128, 53_248, **_LLAMA_3),
    "llama-3.2-1b": llama(16, 2048, 32, 8192, tied_head=True, **_LLAMA_3),
    "llama-3.2-3b": llama(28, 3072, 24, 8192, tied_head=True, **_LLAMA_3),
    # Meta 2025, released configurations of Llama 4, the language model alone. Maverick alternates dense blocks and
    # mixtures; for counts and costs it does not matter which come first.
    "llama-4-scout": llama(
        48,
        5120,
        40,
        8192,
        vocab_size=202_048,
        context=8192,
        kv_heads=8,
        head_width=128,
        experts=16,
        experts_active=1,
        shared_experts=1,
    ),
    "llama-4-maverick": llama(
        48,
        5120,
        40,
        16_384,
        vocab_size=202_048,
        context=8192,
        kv_heads=8,
        head_width=128,
        experts=128,
        experts_active=1,
        shared_experts=1,
        expert_width=8192,
        dense_depth=24,
    ),
    # Zhang et al. 2024 (arXiv:2401.02385)
    "tinyllama-1.1b": llama(22, 2048, 32, 5632, vocab_size=32_000, context=2048, kv_heads=4),
    # Jiang et al. 2023 (arXiv:2310.06825), Table 1; the sliding window does not enter
    "mistral-7b": llama(32, 4096, 32, 14_336, vocab_size=32_000, context=8192, kv_heads=8),
    "mistral-7b-v0.3": llama(32, 4096, 32, 14_336, vocab_size=32_768, context=8192, kv_heads=8),
    # Jiang et al. 2024 (arXiv:2401.04088), Table 1
    "mixtral-8x7b": llama(
        32, 4096, 32, 14_336, vocab_size=32_000, context=32_768, kv_heads=8, experts=8, experts_active=2
    ),
    "mixtral-8x22b": llama(
        56, 6144, 48, 16_384, vocab_size=32_768, context=65_536, kv_heads=8, experts=8, experts_active=2
    ),
    # Bai et al. 2023 (arXiv:2309.16609) and the released configurations of Qwen 1.5, of which 7B is Qwen 7B
    **{
        f"qwen1.5-{size}": llama(depth, width, heads, ffn, kv_heads=kv, **{**_QWEN_25, **rest})
        for size, depth, width, heads, kv, ffn, rest in (
            ("0.5b", 24, 1024, 16, 16, 2816, {"tied_head": True, "vocab_size": 151_936}),
            ("1.8b", 24, 2048, 16, 16, 5504, {"vocab_size": 151_936}),
            ("4b", 40, 2560, 20, 20, 6912, {"vocab_size": 151_936}),
            ("7b", 32, 4096, 32, 32, 11_008, {"vocab_size": 151_936}),
            ("14b", 40, 5120, 40, 40, 13_696, {"vocab_size": 152_064}),
            ("32b", 64, 5120, 40, 8, 27_392, {"vocab_size": 152_064}),
            ("72b", 80, 8192, 64, 64, 24_576, {"vocab_size": 152_064}),
            ("110b", 80, 8192, 64, 8, 49_152, {"vocab_size": 152_064}),
        )
    },
    # Qwen Team 2024 (arXiv:2412.15115) and the released configurations
    "qwen2.5-0.5b": llama(
        24, 896, 14, 4864, vocab_size=151_936, context=4096, kv_heads=2, tied_head=True, biases="qkv"
    ),
    "qwen2.5-7b": llama(28, 3584, 28, 18_944, vocab_size=152_064, context=4096, kv_heads=4, biases="qkv"),
    **{
        f"qwen2.5-{size}": llama(depth, width, heads, ffn, kv_heads=kv, **{**_QWEN_25, **rest})
        for size, depth, width, heads, kv, ffn, rest in (
            ("1.5b", 28, 1536, 12, 2, 8960, {"tied_head": True, "vocab_size": 151_936}),
            ("3b", 36, 2048, 16, 2, 11_008, {"tied_head": True, "vocab_size": 151_936}),
            ("14b", 48, 5120, 40, 8, 13_824, {"vocab_size": 152_064}),
            ("32b", 64, 5120, 40, 8, 27_648, {"vocab_size": 152_064}),
            ("72b", 80, 8192, 64, 8, 29_568, {"vocab_size": 152_064}),
        )
    },
    # Qwen Team 2025 (arXiv:2505.09388), tables 1 and 2, and the released configurations
    "qwen3-0.6b": qwen3(28, 1024, 16, 3072, tied_head=True),
    "qwen3-1.7b": qwen3(28, 2048, 16, 6144, tied_head=True),
    "qwen3-4b": qwen3(36, 2560, 32, 9728, tied_head=True),
    "qwen3-8b": qwen3(36, 4096, 32, 12_288),
    "qwen3-14b": qwen3(40, 5120, 40, 17_408),
    "qwen3-32b": qwen3(64, 5120, 64, 25_600),
    "qwen3-30b-a3b": qwen3(48, 2048, 32, 768, 4, experts=128, experts_active=8),
    "qwen3-235b-a22b": qwen3(94, 4096, 64, 1536, 4, experts=128, experts_active=8),
    "qwen3-coder-480b-a35b": qwen3(62, 6144, 96, 2560, experts=160, experts_active=8),
    # Mistral AI, released configurations
    "ministral-8b": llama(
        36, 4096, 32, 12_288, vocab_size=131_072, context=32_768, kv_heads=8, head_width=128
    ),
    "codestral-22b": llama(56, 6144, 48, 16_384, vocab_size=32_768, context=32_768, kv_heads=8),
    "mistral-nemo-12b": llama(
        40, 5120, 32, 14_336, vocab_size=131_072, context=131_072, kv_heads=8, head_width=128
    ),
    "mistral-small-24b": llama(
        40, 5120, 32, 32_768, vocab_size=131_072, context=32_768, kv_heads=8, head_width=128
    ),
    "mistral-large-123b": llama(88, 12_288, 96, 28_672, vocab_size=32_768, context=131_072, kv_heads=8),
    # 01.AI 2024 (arXiv:2403.04652), Table 2
    "yi-6b": llama(32, 4096, 32, 11_008, vocab_size=64_000, context=4096, kv_heads=4),
    "yi-34b": llama(60, 7168, 56, 20_480, vocab_size=64_000, context=4096, kv_heads=8),
    # Abdin et al. 2024 (arXiv:2404.14219), section 2
    "phi-3-mini": llama(32, 3072, 32, 8192, vocab_size=32_064, context=4096),
    "phi-3-medium": llama(40, 5120, 40, 17_920, vocab_size=32_064, context=4096, kv_heads=10),
    # Gunasekar et al. 2023 (arXiv:2306.11644), Javaheripi et al. 2023: released configurations
    "phi-1.5": phi(24, 2048, 32),
    "phi-2": phi(32, 2560, 32),
    # Abdin et al. 2024 (arXiv:2412.08905), Microsoft 2025 (arXiv:2503.01743), and the released configurations
    "phi-4": llama(40, 5120, 40, 17_920, vocab_size=100_352, context=4096, kv_heads=10),
    "phi-4-mini": llama(32, 3072, 24, 8192, vocab_size=200_064, context=4096, kv_heads=8, tied_head=True),
    # Ben Allal et al. 2025 (arXiv:2502.02737), and the released configurations
    "smollm2-135m": llama(30, 576, 9, 1536, vocab_size=49_152, context=8192, kv_heads=3, tied_head=True),
    "smollm2-360m": llama(32, 960, 15, 2560, vocab_size=49_152, context=8192, kv_heads=5, tied_head=True),
    "smollm2-1.7b": llama(24, 2048, 32, 8192, vocab_size=49_152, context=8192, tied_head=True),
    "smollm3-3b": llama(36, 2048, 16, 11_008, vocab_size=128_256, context=4096, kv_heads=4, tied_head=True),
    # OLMo Team 2025 (arXiv:2501.00656), table 1, and the released configurations: norms after attention and
    # feed-forward, and on all queries and keys together
    **{
        f"olmo-2-{size}": llama(
            depth,
            width,
            heads,
            ffn,
            kv_heads=kv,
            vocab_size=100_352,
            context=4096,
            qk_norm=True,
            qk_norm_whole=True,
        )
        for size, depth, width, heads, kv, ffn in (
            ("1b", 16, 2048, 16, 16, 8192),
            ("7b", 32, 4096, 32, 32, 11_008),
            ("13b", 40, 5120, 40, 40, 13_824),
            ("32b", 64, 5120, 40, 8, 27_648),
        )
    },
    # Muennighoff et al. 2024 (arXiv:2409.02060), table 1
    "olmoe-1b-7b": llama(
        16,
        2048,
        16,
        1024,
        vocab_size=50_304,
        context=4096,
        experts=64,
        experts_active=8,
        qk_norm=True,
        qk_norm_whole=True,
    ),
    # Groeneveld et al. 2024 (arXiv:2402.00838), Table 1
    "olmo-1b": replace(
        llama(16, 2048, 16, 8192, vocab_size=50_304, context=2048, tied_head=True),
        norm="layernorm_no_weights",
    ),
    "olmo-7b": replace(
        llama(32, 4096, 32, 11_008, vocab_size=50_304, context=2048), norm="layernorm_no_weights"
    ),
    # Almazrouei et al. 2023 (arXiv:2311.16867), Table 12, and the released configurations
    "falcon-7b": falcon(32, 4544, 71, 1, norms_per_block=1),
    "falcon-40b": falcon(60, 8192, 128, 8),
    "falcon-180b": falcon(80, 14_848, 232, 8, tied_head=False),
    "falcon3-7b": llama(28, 3072, 12, 23_040, vocab_size=131_072, context=8192, kv_heads=4, head_width=256),
    # Gemma Team 2025 (arXiv:2503.19786), table 1, and the released configurations, the language model alone
    **{
        f"gemma-3-{size}": replace(
            gemma(depth, width, heads, kv, head_width, ffn, 4),
            vocab_size=vocab,
            qk_norm=True,
            context=context,
        )
        for size, depth, width, heads, kv, head_width, ffn, vocab, context in (
            ("270m", 18, 640, 4, 1, 256, 2048, 262_144, 32_768),
            ("1b", 26, 1152, 4, 1, 256, 6912, 262_144, 32_768),
            ("4b", 34, 2560, 8, 4, 256, 10_240, 262_208, 32_768),
            ("12b", 48, 3840, 16, 8, 256, 15_360, 262_208, 32_768),
            ("27b", 62, 5376, 32, 16, 128, 21_504, 262_208, 32_768),
        )
    },
    # Gemma Team 2024 (arXiv:2403.08295, arXiv:2408.00118), Table 1
    "gemma-2b": gemma(18, 2048, 8, 1, 256, 16_384),
    "gemma-7b": gemma(28, 3072, 16, 16, 256, 24_576),
    "gemma-2-2b": gemma(26, 2304, 8, 4, 256, 9216, 4),
    "gemma-2-9b": gemma(42, 3584, 16, 8, 256, 14_336, 4),
    "gemma-2-27b": gemma(46, 4608, 32, 16, 128, 36_864, 4),
    # MosaicML 2023, released configuration: no biases, ALiBi
    "mpt-7b": gpt(
        32,
        4096,
        32,
        vocab_size=50_432,
        context=2048,
        biases="none",
        positions="alibi",
        norm="layernorm_no_bias",
    ),
    "mpt-30b": gpt(
        48,
        7168,
        64,
        vocab_size=50_432,
        context=8192,
        biases="none",
        positions="alibi",
        norm="layernorm_no_bias",
    ),
    # Databricks 2024, released configuration
    "dbrx": replace(
        llama(
            40, 6144, 48, 10_752, vocab_size=100_352, context=32_768, kv_heads=8, experts=16, experts_active=4
        ),
        norm="layernorm_no_bias",
    ),
    # Lozhkov et al. 2024 (arXiv:2402.19173), and the released configurations
    **{
        f"starcoder2-{size}": gpt(
            depth,
            width,
            heads,
            vocab_size=49_152,
            context=4096,
            kv_heads=kv,
            positions="rotary",
            tied_head=tied,
        )
        for size, depth, width, heads, kv, tied in (
            ("3b", 30, 3072, 24, 2, True),
            ("7b", 32, 4608, 36, 4, True),
            ("15b", 40, 6144, 48, 4, False),
        )
    },
    # Li et al. 2023 (arXiv:2305.06161), Table 9: multi-query attention
    "starcoder": gpt(40, 6144, 48, vocab_size=49_152, context=8192, kv_heads=1),
    # Hoffmann et al. 2022 (arXiv:2203.15556), Table 4
    "chinchilla": gopher(80, 8192, 64),
    **{
        f"chinchilla-{millions}m": gopher(depth, width, heads, head_width, ffn_width)
        for millions, width, ffn_width, head_width, heads, depth in CHINCHILLA_TABLE_A9
    },
    # Rae et al. 2021 (arXiv:2112.11446), Table 1
    "gopher-44m": gopher(8, 512, 16, 32),
    "gopher-117m": gopher(12, 768, 12, 64),
    "gopher-417m": gopher(12, 1536, 12),
    "gopher-1.4b": gopher(24, 2048, 16),
    "gopher-7.1b": gopher(32, 4096, 32),
    "gopher": gopher(80, 16_384, 128),
    # Chowdhery et al. 2022 (arXiv:2204.02311), Table 1
    "palm-8b": palm(32, 4096, 16),
    "palm-62b": palm(64, 8192, 32),
    "palm-540b": palm(118, 18_432, 48),
    # BigScience 2022 (arXiv:2211.05100), Table 3
    "bloom-560m": bloom(24, 1024, 16),
    "bloom-1b1": bloom(24, 1536, 16),
    "bloom-1b7": bloom(24, 2048, 16),
    "bloom-3b": bloom(30, 2560, 32),
    "bloom-7b1": bloom(30, 4096, 32),
    "bloom-176b": bloom(70, 14_336, 112),
    # Zhang et al. 2022 (arXiv:2205.01068), Table 1
    "opt-125m": opt(12, 768, 12),
    "opt-1.3b": opt(24, 2048, 32),
    "opt-2.7b": opt(32, 2560, 32),
    "opt-6.7b": opt(32, 4096, 32),
    "opt-13b": opt(40, 5120, 40),
    "opt-30b": opt(48, 7168, 56),
    "opt-66b": opt(64, 9216, 72),
    "opt-175b": opt(96, 12_288, 96),
    # Devlin et al. 2019 (arXiv:1810.04805), section 3; Liu et al. 2019 (arXiv:1907.11692), Table 9
    "bert-base": bert(12, 768, 12),
    "bert-large": bert(24, 1024, 16),
    "roberta-base": roberta(12, 768, 12),
    "roberta-large": roberta(24, 1024, 16),
    # Raffel et al. 2020 (arXiv:1910.10683), section 3.7
    "t5-small": t5(6, 512, 8, 2048),
    "t5-base": t5(12, 768, 12, 3072),
    "t5-large": t5(24, 1024, 16, 4096),
    "t5-3b": t5(24, 1024, 32, 16_384, 128),
    "t5-11b": t5(24, 1024, 128, 65_536, 128),
    # Chung et al. 2022 (arXiv:2210.11416), on the released T5 1.1 configurations
    "flan-t5-small": flan_t5(8, 512, 6, 1024),
    "flan-t5-base": flan_t5(12, 768, 12, 2048),
    "flan-t5-large": flan_t5(24, 1024, 16, 2816),
    "flan-t5-xl": flan_t5(24, 2048, 32, 5120),
    "flan-t5-xxl": flan_t5(24, 4096, 64, 10_240),
    # DeepSeek-AI 2024 (arXiv:2401.02954, table 2; arXiv:2401.06066, table 2), and the released configurations
    "deepseek-llm-7b": llama(30, 4096, 32, 11_008, vocab_size=102_400, context=4096),
    "deepseek-llm-67b": llama(95, 8192, 64, 22_016, vocab_size=102_400, context=4096, kv_heads=8),
    "deepseek-moe-16b": llama(
        28,
        2048,
        16,
        10_944,
        vocab_size=102_400,
        context=4096,
        experts=64,
        experts_active=6,
        shared_experts=2,
        expert_width=1408,
        dense_depth=1,
    ),
    # NVIDIA 2024 (arXiv:2406.11704), table 1: squared ReLU (counted as gelu's two matrices)
    "nemotron-4-340b": replace(
        llama(96, 18_432, 96, 73_728, vocab_size=256_000, context=4096, kv_heads=8),
        ffn="gelu",
        norm="layernorm",
    ),
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
    # Moonshot AI 2025 (arXiv:2507.20534), table 2
    "kimi-k2": ModelShape(
        width=7168,
        depth=61,
        heads=64,
        kv_heads=64,
        head_width=128,
        ffn_width=18_432,
        vocab_size=163_840,
        context=4096,
        experts=384,
        experts_active=8,
        shared_experts=1,
        expert_width=2048,
        dense_depth=1,
        latent=LatentAttention(query_rank=1536, kv_rank=512, rope_width=64, nope_width=128, value_width=128),
    ),
}
"""Every model known by name."""

ALIASES = {
    "gpt2-small": "gpt2",
    "gpt2-124m": "gpt2",
    "gpt2-355m": "gpt2-medium",
    "gpt2-774m": "gpt2-large",
    "gpt2-1.5b": "gpt2-xl",
    "gpt2-1558m": "gpt2-xl",
    "gpt3": "gpt3-175b",
    "gpt3-125m": "gpt3-small",
    "gpt3-350m": "gpt3-medium",
    "gpt3-760m": "gpt3-large",
    "gpt3-1.3b": "gpt3-xl",
    "davinci": "gpt3-175b",
    "gpt-j": "gpt-j-6b",
    "gpt-neox": "gpt-neox-20b",
    "megatron-turing-nlg-530b": "mt-nlg-530b",
    "megatron-turing-530b": "mt-nlg-530b",
    "chinchilla-70b": "chinchilla",
    "gopher-280b": "gopher",
    "palm": "palm-540b",
    "bloom": "bloom-176b",
    "opt": "opt-175b",
    "mixtral": "mixtral-8x7b",
    **{f"llama-1-{size}": f"llama-{size}" for size in ("7b", "13b", "33b", "65b")},
    "llama-30b": "llama-33b",
    "llama-3.3-70b": "llama-3.1-70b",
    "llama-4-scout-17b-16e": "llama-4-scout",
    "llama-4-maverick-17b-128e": "llama-4-maverick",
    "tinyllama": "tinyllama-1.1b",
    "mistral": "mistral-7b",
    "mistral-nemo": "mistral-nemo-12b",
    "mistral-large": "mistral-large-123b",
    "mistral-small": "mistral-small-24b",
    "qwen-1.8b": "qwen1.5-1.8b",
    "qwen-7b": "qwen1.5-7b",
    "qwen-14b": "qwen1.5-14b",
    # Qwen 2 and 2.5 have the same shapes at these sizes.
    **{f"qwen2-{size}": f"qwen2.5-{size}" for size in ("0.5b", "1.5b", "7b", "72b")},
    "phi-1": "phi-1.5",
    "phi-3.5-mini": "phi-3-mini",
    "phi-4-14b": "phi-4",
    **{f"smollm-{size}": f"smollm2-{size}" for size in ("135m", "360m", "1.7b")},
    "falcon": "falcon-40b",
    "starcoder-15b": "starcoder",
    "bert": "bert-base",
    "roberta": "roberta-base",
    **{f"t5-v1.1-{size}": f"flan-t5-{size}" for size in ("small", "base", "large", "xl", "xxl")},
    **{f"t5-v1-1-{size}": f"flan-t5-{size}" for size in ("small", "base", "large", "xl", "xxl")},
    "deepseek-67b": "deepseek-llm-67b",
    "deepseek-7b": "deepseek-llm-7b",
    "deepseek-v2.5": "deepseek-v2",
    "deepseek-v3-671b": "deepseek-v3",
    "deepseek-v3.1": "deepseek-v3",
    "deepseek-r1": "deepseek-v3",
    "kimi-k2-1t": "kimi-k2",
}
"""Other names in use, each for a name in `PUBLISHED`."""
