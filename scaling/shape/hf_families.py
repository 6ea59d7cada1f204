"""What an architecture's code does that its config.json does not say: biases, norms, gates.

A config has sizes and switches; that Qwen 3 norms each head, or that Gemma 2 has four norms a block, stands only in
code (transformers 5, `modeling_*.py` of each `model_type`). Fields of the config go before what is said here. A
`model_type` that is not here is read as Llama's block, and the answer says so.
"""

from dataclasses import dataclass, replace
from typing import Literal

from scaling.shape.attention import Gate, HeadNorms
from scaling.shape.shape import Norm


@dataclass(frozen=True, kw_only=True)
class Family:
    """The conventions of one `model_type`; the defaults are Llama's."""

    gated: bool = True
    """The feed-forward has a gate matrix."""
    norm: Norm = "rmsnorm"
    norms_per_block: Literal[1, 2, 4] = 2
    final_norm: bool = True
    embedding_norm: bool = False
    head_norms: HeadNorms = "none"
    head_norm_weights: int = 1
    qkv_bias: bool = False
    output_bias: bool | None = None
    """None: as the queries'."""
    key_bias: bool = True
    ffn_bias: bool = False
    head_bias: bool = False
    tied: bool = False
    """Where the config does not say `tie_word_embeddings`."""
    learned_positions: bool = False
    extra_positions: int = 0
    """Rows of the position table beyond the context."""
    sinks: bool = False
    gate: Gate = "none"
    router_bias: bool = False
    expert_bias: bool = False
    shared_gate: bool = False
    expert_gated: bool | None = None
    """None: as the feed-forward's."""
    gated_norm: bool = True
    """Recurrences norm their output, with a weight a feature."""
    inner_norms: bool = False
    """Mamba's step size, B and C are normed."""
    mlp_vectors: int = 0
    """Learned numbers of each activation function."""
    sub_norms: bool = False
    """Norms of what the last projections of attention and feed-forward read (BitNet)."""
    mixing_vectors: int = 0
    """Learned vectors of a head's width beside attention (differential attention)."""


LLAMA = Family()
QK = replace(LLAMA, head_norms="head")
LAYERNORM = replace(LLAMA, norm="layernorm")
GPT = replace(
    LAYERNORM, gated=False, qkv_bias=True, ffn_bias=True, tied=True, learned_positions=True
)  # fmt: skip
GPT_ROTARY = replace(GPT, learned_positions=False, tied=False)
GEMMA = replace(LLAMA, tied=True)
GEMMA_2 = replace(GEMMA, norms_per_block=4)

FAMILIES: dict[str, Family] = {
    # Llama's block as it stands
    **dict.fromkeys(
        ("llama", "mistral", "ministral", "ministral3", "mixtral", "smollm3", "internlm3", "helium", "phi3",
         "granite", "granitemoe", "granitemoeshared", "granitemoehybrid", "deepseek_v2", "deepseek_v3", "youtu",
         "minicpm3", "bamba", "longcat_flash", "sarvam_mla", "sarvam_moe", "exaone", "iquestcoder",
         "vaultgemma", "internlm2",
         "glm4_moe_lite", "aria_text", "csm", "cwm", "exaone_moe", "solar_open", "glm_moe_dsa", "deepseek_v32"),
        LLAMA,
    ),
    "gemma": GEMMA,
    "gemma2": GEMMA_2,
    "gemma3_text": replace(GEMMA_2, head_norms="head"),
    "gemma4_text": replace(GEMMA_2, head_norms="head"),
    "gemma4_unified_text": replace(GEMMA_2, head_norms="head"),
    "vaultgemma": replace(GEMMA, norms_per_block=2),
    "llama4_text": replace(QK, head_norm_weights=0),
    "granite_swa": replace(LLAMA, sinks=True),
    "granitemoe_swa": replace(LLAMA, sinks=True),
    "hyperclovax": LLAMA,
    "mellum": QK,
    "hy_v3": QK,
    "flint": replace(QK, sinks=True),
    "jais2": replace(LAYERNORM, gated=False),
    "arcee": replace(LLAMA, gated=False),
    "seed_oss": replace(LLAMA, qkv_bias=True, output_bias=False),
    "hunyuan_v1_dense": QK,
    "hunyuan_v1_moe": QK,
    "qwen2": replace(LLAMA, qkv_bias=True, output_bias=False),
    "qwen2_moe": replace(LLAMA, qkv_bias=True, output_bias=False, shared_gate=True),
    "qwen3": QK,
    "qwen3_moe": QK,
    "qwen3_next": replace(QK, gate="feature", shared_gate=True),
    "qwen3_5_text": replace(QK, gate="feature"),
    "qwen3_5_moe_text": replace(QK, gate="feature", shared_gate=True),
    "exaone4": QK,
    "exaone_moe": QK,
    "glm": replace(LLAMA, output_bias=False),
    "glm4": replace(LLAMA, output_bias=False, norms_per_block=4),
    "glm4_moe": replace(LLAMA, output_bias=False),
    "dots1": QK,
    "minimax_m2": replace(LLAMA, head_norms="whole"),
    "ernie4_5": replace(LLAMA, tied=True),
    "ernie4_5_moe": replace(LLAMA, tied=True, router_bias=True),
    "olmo": replace(LLAMA, norm="layernorm_no_weights"),
    "olmo2": replace(LLAMA, head_norms="whole"),
    "olmo3": replace(LLAMA, head_norms="whole"),
    "olmoe": replace(LLAMA, head_norms="whole"),
    "flex_olmo": replace(LLAMA, head_norms="whole"),
    "olmo_hybrid": replace(LLAMA, head_norms="whole"),
    "gpt_oss": replace(LLAMA, qkv_bias=True, sinks=True, router_bias=True, expert_bias=True),
    "apertus": replace(QK, gated=False, mlp_vectors=2),
    "nanochat": replace(QK, head_norm_weights=0, gated=False, norm="layernorm_no_weights"),
    "diffllama": replace(LLAMA, mixing_vectors=4),
    "afmoe": replace(QK, norms_per_block=4, gate="feature", router_bias=True),
    "bitnet": replace(LLAMA, sub_norms=True),
    "phimoe": replace(LLAMA, norm="layernorm"),
    "jetmoe": LLAMA,
    # LayerNorm
    "cohere": replace(LLAMA, norm="layernorm_no_bias", norms_per_block=1, head_norms="none", tied=True),
    "cohere2_moe": replace(LLAMA, norm="layernorm_no_bias", norms_per_block=1, tied=True),
    "cohere2": replace(LLAMA, norm="layernorm_no_bias", norms_per_block=1, tied=True),
    "dbrx": replace(LLAMA, norm="layernorm_no_bias"),
    "stablelm": replace(LAYERNORM, output_bias=False),
    "nemotron": replace(LAYERNORM, gated=False),
    "persimmon": replace(GPT_ROTARY, head_norms="head", head_norm_weights=2),
    "starcoder2": replace(GPT_ROTARY, tied=True),
    "phi": replace(GPT_ROTARY, norms_per_block=1, head_bias=True),
    "gpt2": GPT,
    "gpt_bigcode": GPT,
    "gpt_neo": replace(GPT, qkv_bias=False, output_bias=True),
    "gpt_neox": GPT_ROTARY,
    "gptj": replace(GPT_ROTARY, norms_per_block=1, head_bias=True, qkv_bias=False),
    "codegen": replace(GPT_ROTARY, norms_per_block=1, head_bias=True, qkv_bias=False),
    "opt": replace(GPT, extra_positions=2),
    "biogpt": replace(GPT, extra_positions=2),
    "xglm": replace(GPT, learned_positions=False),
    "bloom": replace(GPT, learned_positions=False, embedding_norm=True),
    "falcon": replace(GPT_ROTARY, qkv_bias=False, ffn_bias=False, tied=True),
    "mpt": replace(GPT, norm="layernorm_no_bias", learned_positions=False, qkv_bias=False, ffn_bias=False),
    # recurrences and hybrids
    "mamba": replace(LLAMA, tied=True, norms_per_block=2),
    "falcon_mamba": replace(LLAMA, tied=True),
    "mamba2": replace(LLAMA, tied=True),
    "jamba": replace(LLAMA, inner_norms=True),
    "nemotron_h": replace(LLAMA, gated=False),
    "falcon_h1": LLAMA,
    "lfm2": replace(QK, tied=True),
    "lfm2_moe": replace(QK, tied=True),
    "gpt-sw3": GPT,
    "openai-gpt": replace(GPT, final_norm=False),
    "gpt_neox_japanese": replace(GPT_ROTARY, qkv_bias=False, output_bias=False, ffn_bias=False),
    "recurrent_gemma": replace(GEMMA, ffn_bias=True, output_bias=True),
    "rwkv": replace(LAYERNORM, gated=False, embedding_norm=True),
    "minimax": LLAMA,
    "kimi_linear": LLAMA,
}  # fmt: skip
