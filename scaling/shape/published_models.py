"""Shapes of published models: a table of data, family by family, each with its source.

Where a family pads its vocabulary or keeps spare position rows, the padded figure is used: it is what is stored,
multiplied and counted by the published weights. The context is that of most of pre-training, not what a later stage
stretched it to. `scaling.shape.published` finds a model by name.
"""

from dataclasses import replace
from typing import Any

from scaling.shape.attention import LatentAttention
from scaling.shape.families import (
    bert,
    bloom,
    falcon,
    flan_t5,
    gemma,
    gemma3,
    gopher,
    gpt,
    gpt_oss,
    llama,
    olmo2,
    opt,
    palm,
    phi,
    pythia,
    qwen2,
    qwen3,
    roberta,
    starcoder2,
    t5,
)
from scaling.shape.shape import ModelShape

_GEMMA_2: dict[str, Any] = {"norms_per_block": 4, "window": 4096, "full_every": 2}
_LLAMA_4: dict[str, Any] = {"vocab_size": 202_048, "context": 8192, "kv_heads": 8, "head_width": 128, "window": 8192,
    "full_every": 4, "chunked": True}  # fmt: skip
_LLAMA_3: dict[str, Any] = {"vocab_size": 128_256, "kv_heads": 8, "context": 8192}

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
    "gpt-neo-125m": gpt(12, 768, 12, context=2048, biases="all_but_qkv", window=256, full_every=2),
    "gpt-neo-1.3b": gpt(24, 2048, 16, context=2048, biases="all_but_qkv", window=256, full_every=2),
    "gpt-neo-2.7b": gpt(32, 2560, 20, context=2048, biases="all_but_qkv", window=256, full_every=2),
    "gpt-j-6b": gpt(28, 4096, 16, vocab_size=50_400, context=2048, positions="rotary", norms_per_block=1,
        tied_head=False, biases="ffn", head_bias=True),
    # Dey et al. 2023 (arXiv:2304.03208), table 1: models of 20 tokens a parameter
    "cerebras-gpt-111m": gpt(10, 768, 12, context=2048),
    "cerebras-gpt-256m": gpt(14, 1088, 17, context=2048),
    "cerebras-gpt-590m": gpt(18, 1536, 12, context=2048),
    "cerebras-gpt-1.3b": gpt(24, 2048, 16, context=2048),
    "cerebras-gpt-2.7b": gpt(32, 2560, 32, context=2048),
    "cerebras-gpt-6.7b": gpt(32, 4096, 32, context=2048),
    "cerebras-gpt-13b": gpt(40, 5120, 40, context=2048),
    # OpenAI 2025 (arXiv:2508.10925), table 1, and the released configurations
    "gpt-oss-20b": gpt_oss(24, experts=32),
    "gpt-oss-120b": gpt_oss(36, experts=128),
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
    "llama-4-scout": llama(48, 5120, 40, 8192, **_LLAMA_4, experts=16, experts_active=1, shared_experts=1),
    "llama-4-maverick": llama(48, 5120, 40, 16_384, **_LLAMA_4, experts=128, experts_active=1,
        shared_experts=1, expert_width=8192, dense_depth=24),
    # Zhang et al. 2024 (arXiv:2401.02385)
    "tinyllama-1.1b": llama(22, 2048, 32, 5632, vocab_size=32_000, context=2048, kv_heads=4),
    # Jiang et al. 2023 (arXiv:2310.06825), Table 1; later releases have no window
    "mistral-7b": llama(32, 4096, 32, 14_336, vocab_size=32_000, context=8192, kv_heads=8, window=4096),
    "mistral-7b-v0.2": llama(32, 4096, 32, 14_336, vocab_size=32_000, context=32_768, kv_heads=8),
    "mistral-7b-v0.3": llama(32, 4096, 32, 14_336, vocab_size=32_768, context=8192, kv_heads=8),
    # Jiang et al. 2024 (arXiv:2401.04088), Table 1
    "mixtral-8x7b": llama(32, 4096, 32, 14_336, vocab_size=32_000, context=32_768, kv_heads=8, experts=8,
        experts_active=2),
    "mixtral-8x22b": llama(56, 6144, 48, 16_384, vocab_size=32_768, context=65_536, kv_heads=8, experts=8,
        experts_active=2),
    # Bai et al. 2023 (arXiv:2309.16609) and the released configurations of Qwen 1.5, of which 7B is Qwen 7B
    "qwen1.5-0.5b": qwen2(24, 1024, 16, 2816, 16, tied_head=True),
    "qwen1.5-1.8b": qwen2(24, 2048, 16, 5504, 16),
    "qwen1.5-4b": qwen2(40, 2560, 20, 6912, 20),
    "qwen1.5-7b": qwen2(32, 4096, 32, 11_008, 32),
    "qwen1.5-14b": qwen2(40, 5120, 40, 13_696, 40, vocab_size=152_064),
    "qwen1.5-32b": qwen2(64, 5120, 40, 27_392, 8, vocab_size=152_064),
    "qwen1.5-72b": qwen2(80, 8192, 64, 24_576, 64, vocab_size=152_064),
    "qwen1.5-110b": qwen2(80, 8192, 64, 49_152, 8, vocab_size=152_064),
    # Qwen Team 2024 (arXiv:2412.15115) and the released configurations
    "qwen2.5-0.5b": qwen2(24, 896, 14, 4864, 2, tied_head=True),
    "qwen2.5-1.5b": qwen2(28, 1536, 12, 8960, 2, tied_head=True),
    "qwen2.5-3b": qwen2(36, 2048, 16, 11_008, 2, tied_head=True),
    "qwen2.5-7b": qwen2(28, 3584, 28, 18_944, 4, vocab_size=152_064),
    "qwen2.5-14b": qwen2(48, 5120, 40, 13_824, 8, vocab_size=152_064),
    "qwen2.5-32b": qwen2(64, 5120, 40, 27_648, 8, vocab_size=152_064),
    "qwen2.5-72b": qwen2(80, 8192, 64, 29_568, 8, vocab_size=152_064),
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
    "ministral-8b": llama(36, 4096, 32, 12_288, vocab_size=131_072, context=32_768, kv_heads=8,
        head_width=128, window=32_768, full_every=4),
    "codestral-22b": llama(56, 6144, 48, 16_384, vocab_size=32_768, context=32_768, kv_heads=8),
    "mistral-nemo-12b": llama(40, 5120, 32, 14_336, vocab_size=131_072, context=131_072, kv_heads=8,
        head_width=128),
    "mistral-small-24b": llama(40, 5120, 32, 32_768, vocab_size=131_072, context=32_768, kv_heads=8,
        head_width=128),
    "mistral-large-123b": llama(88, 12_288, 96, 28_672, vocab_size=32_768, context=131_072, kv_heads=8),
    # 01.AI 2024 (arXiv:2403.04652), Table 2
    "yi-6b": llama(32, 4096, 32, 11_008, vocab_size=64_000, context=4096, kv_heads=4),
    "yi-34b": llama(60, 7168, 56, 20_480, vocab_size=64_000, context=4096, kv_heads=8),
    # Abdin et al. 2024 (arXiv:2404.14219), section 2
    "phi-3-mini": llama(32, 3072, 32, 8192, vocab_size=32_064, context=4096, window=2047),
    "phi-3-medium": llama(40, 5120, 40, 17_920, vocab_size=32_064, context=4096, kv_heads=10, window=2047),
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
    "olmo-2-1b": olmo2(16, 2048, 16, 8192, 16),
    "olmo-2-7b": olmo2(32, 4096, 32, 11_008, 32),
    "olmo-2-13b": olmo2(40, 5120, 40, 13_824, 40),
    "olmo-2-32b": olmo2(64, 5120, 40, 27_648, 8),
    # Muennighoff et al. 2024 (arXiv:2409.02060), table 1
    "olmoe-1b-7b": llama(16, 2048, 16, 1024, vocab_size=50_304, context=4096, experts=64, experts_active=8,
        qk_norm=True, qk_norm_whole=True),
    # Groeneveld et al. 2024 (arXiv:2402.00838), Table 1
    "olmo-1b": replace(llama(16, 2048, 16, 8192, vocab_size=50_304, context=2048, tied_head=True),
        norm="layernorm_no_weights"),
    "olmo-7b": replace(llama(32, 4096, 32, 11_008, vocab_size=50_304, context=2048),
        norm="layernorm_no_weights"),
    # Almazrouei et al. 2023 (arXiv:2311.16867), Table 12, and the released configurations
    "falcon-7b": falcon(32, 4544, 71, 1, norms_per_block=1),
    "falcon-40b": falcon(60, 8192, 128, 8),
    "falcon-180b": falcon(80, 14_848, 232, 8, tied_head=False),
    "falcon3-7b": llama(28, 3072, 12, 23_040, vocab_size=131_072, context=8192, kv_heads=4, head_width=256),
    # Gemma Team 2025 (arXiv:2503.19786), table 1, and the released configurations, the language model alone
    "gemma-3-270m": gemma3(18, 640, 4, 1, 256, 2048, vocab_size=262_144, window=512),
    "gemma-3-1b": gemma3(26, 1152, 4, 1, 256, 6912, vocab_size=262_144, window=512),
    "gemma-3-4b": gemma3(34, 2560, 8, 4, 256, 10_240, vocab_size=262_208),
    "gemma-3-12b": gemma3(48, 3840, 16, 8, 256, 15_360, vocab_size=262_208),
    "gemma-3-27b": gemma3(62, 5376, 32, 16, 128, 21_504, vocab_size=262_208),
    # Gemma Team 2024 (arXiv:2403.08295, arXiv:2408.00118), Table 1
    "gemma-2b": gemma(18, 2048, 8, 1, 256, 16_384),
    "gemma-7b": gemma(28, 3072, 16, 16, 256, 24_576),
    "gemma-2-2b": gemma(26, 2304, 8, 4, 256, 9216, **_GEMMA_2),
    "gemma-2-9b": gemma(42, 3584, 16, 8, 256, 14_336, **_GEMMA_2),
    "gemma-2-27b": gemma(46, 4608, 32, 16, 128, 36_864, **_GEMMA_2),
    # MosaicML 2023, released configuration: no biases, ALiBi
    "mpt-7b": gpt(32, 4096, 32, vocab_size=50_432, context=2048, biases="none", positions="alibi",
        norm="layernorm_no_bias"),
    "mpt-30b": gpt(48, 7168, 64, vocab_size=50_432, context=8192, biases="none", positions="alibi",
        norm="layernorm_no_bias"),
    # Databricks 2024, released configuration
    "dbrx": replace(llama(40, 6144, 48, 10_752, vocab_size=100_352, context=32_768, kv_heads=8, experts=16,
        experts_active=4), norm="layernorm_no_bias"),
    # Lozhkov et al. 2024 (arXiv:2402.19173), and the released configurations
    "starcoder2-3b": starcoder2(30, 3072, 24, 2, tied_head=True),
    "starcoder2-7b": starcoder2(32, 4608, 36, 4, tied_head=True),
    "starcoder2-15b": starcoder2(40, 6144, 48, 4, tied_head=False),
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
    "deepseek-moe-16b": llama(28, 2048, 16, 10_944, vocab_size=102_400, context=4096, experts=64,
        experts_active=6, shared_experts=2, expert_width=1408, dense_depth=1),
    # NVIDIA 2024 (arXiv:2406.11704), table 1: squared ReLU (counted as gelu's two matrices)
    "nemotron-4-340b": replace(llama(96, 18_432, 96, 73_728, vocab_size=256_000, context=4096, kv_heads=8),
        ffn="gelu", norm="layernorm"),
    # DeepSeek-AI 2024 (arXiv:2405.04434), section 3.1.2
    "deepseek-v2": ModelShape(width=5120, depth=60, heads=128, kv_heads=128, head_width=128, ffn_width=12_288,
        vocab_size=102_400, context=4096, experts=160, experts_active=6, shared_experts=2, expert_width=1536,
        dense_depth=1, latent=LatentAttention(heads=128, query_rank=1536, kv_rank=512, rope_width=64, nope_width=128,
        value_width=128)),
    # DeepSeek-AI 2024 (arXiv:2412.19437), section 4.2; without the multi-token-prediction module
    "deepseek-v3": ModelShape(width=7168, depth=61, heads=128, kv_heads=128, head_width=128, ffn_width=18_432,
        vocab_size=129_280, context=4096, experts=256, experts_active=8, shared_experts=1, expert_width=2048,
        dense_depth=3, latent=LatentAttention(heads=128, query_rank=1536, kv_rank=512, rope_width=64, nope_width=128,
        value_width=128)),
    # Moonshot AI 2025 (arXiv:2507.20534), table 2
    "kimi-k2": ModelShape(width=7168, depth=61, heads=64, kv_heads=64, head_width=128, ffn_width=18_432,
        vocab_size=163_840, context=4096, experts=384, experts_active=8, shared_experts=1, expert_width=2048,
        dense_depth=1, latent=LatentAttention(heads=64, query_rank=1536, kv_rank=512, rope_width=64, nope_width=128,
        value_width=128)),
}  # fmt: skip
"""Every model known by name."""
