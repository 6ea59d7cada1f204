"""Which layer of a Hugging Face config is of which kind: its attention or recurrence, and its feed-forward.

Architectures write the same thing in a dozen ways: a list, a pattern of letters, a period and an offset, the first so
many. Each way is one line here; the first that the config has is taken.
"""

from typing import Literal

from scaling.errors import UserError
from scaling.shape.hf_fields import Fields

Mixing = Literal["full", "sliding", "chunked", "linear", "mamba", "conv", "recurrent", "none"]
Transforming = Literal["dense", "mixture", "none"]

WORDS: dict[str, Mixing] = {
    "full_attention": "full",
    "attention": "full",
    "*": "full",
    "indexed_attention": "full",
    "global": "full",
    "sliding_attention": "sliding",
    "local": "sliding",
    "chunked_attention": "chunked",
    "linear_attention": "linear",
    "mamba": "mamba",
    "M": "mamba",
    "conv": "conv",
    "recurrent": "recurrent",
    "mlp": "none",
    "moe": "none",
    "-": "none",
    "E": "none",
}
"""What a list or pattern calls a layer's mixer."""
OTHER_WAYS = (
    "attn_layer_period", "attn_layer_offset", "attn_layer_indices", "full_attn_idxs", "full_attention_interval",
    "attention_types", "attention_layers", "sliding_window_pattern", "no_rope_layers", "no_rope_layer_interval",
    "use_sliding_window", "max_window_layers", "sliding_window", "attention_window_size", "mtp_layers_block_type",
    "prefix_dense_sliding_window_pattern",
)  # fmt: skip
"""Fields that say less than a list of the layers' types does, where a config has one."""
SINGLE: dict[str, Transforming] = {"mlp": "dense", "-": "dense", "moe": "mixture", "E": "mixture"}
"""Layers of Nemotron-H, which either mix or transform."""


def mixing_of_layers(fields: Fields, depth: int) -> list[Mixing]:
    """The kind of mixer of each layer. Raises `UserError` for a kind that is not known here."""
    named = fields.get("layer_types", "layers_block_type", "block_types", "_block_types")
    pattern = fields.get("hybrid_override_pattern")
    if named is None and isinstance(pattern, str):
        named = list(pattern)
    if named is None:
        return _by_period(fields, depth)
    fields.get(*OTHER_WAYS)  # the list goes before them
    kinds = []
    for word in named:
        if word not in WORDS:
            raise UserError(
                f"{fields.where}: a layer of type {word!r} is not known here; known: {', '.join(WORDS)}"
            )
        kinds.append(WORDS[word])
    return [kinds[i % len(kinds)] for i in range(depth)]  # recurrent_gemma repeats its pattern


def _by_period(fields: Fields, depth: int) -> list[Mixing]:
    """Kinds by a period, an offset or a list of indices; all full attention where the config has none of these."""
    layers = range(depth)
    windowed: Mixing = "chunked" if "attention_chunk_size" in fields else "sliding"
    if "attn_layer_period" in fields:  # Jamba
        period, offset = fields.whole("attn_layer_period"), fields.whole("attn_layer_offset", default=0)
        return ["full" if i % period == offset else "mamba" for i in layers]
    if "attn_layer_indices" in fields:  # Bamba
        attend = set(fields.get("attn_layer_indices"))
        return ["full" if i in attend else "mamba" for i in layers]
    if "full_attn_idxs" in fields:  # LFM2
        attend = set(fields.get("full_attn_idxs"))
        return ["full" if i in attend else "conv" for i in layers]
    linear = fields.inside("linear_attn_config")
    if "full_attn_layers" in linear:  # Kimi Linear counts layers from 1
        attend = {i - 1 for i in linear.get("full_attn_layers")}
        return ["full" if i in attend else "linear" for i in layers]
    if "full_attention_interval" in fields:  # Qwen3-Next
        period = fields.whole("full_attention_interval")
        return ["full" if (i + 1) % period == 0 else "linear" for i in layers]
    if "attn_type_list" in fields:  # MiniMax-01
        return ["full" if kind else "linear" for kind in fields.get("attn_type_list")]
    if fields.get("model_type") == "bamba":
        return ["mamba"] * depth
    if "attention_types" in fields:  # GPT-Neo: [[["global", "local"], 12]]
        fields.get("attention_layers", "num_heads")
        words = [word for kinds, count in fields.get("attention_types") for word in kinds * count]
        return [WORDS[word] for word in words]
    if "attention_chunk_size" in fields:  # Llama 4: layers without rotary positions see the whole text
        rotary = fields.get("no_rope_layers") or []
        period = fields.whole("no_rope_layer_interval", default=4)
        if rotary:
            return [windowed if turned else "full" for turned in rotary]
        return [windowed if (i + 1) % period else "full" for i in layers]
    if "sliding_window" not in fields or not fields.flag("use_sliding_window", default=True):
        fields.get("sliding_window", "max_window_layers", "sliding_window_pattern")  # switched off
        return ["full"] * depth
    if "sliding_window_pattern" in fields:  # Gemma 3, Cohere 2, EXAONE 4: LLLG or a period
        pattern = fields.get("sliding_window_pattern")
        if isinstance(pattern, str):
            return ["full" if pattern[i % len(pattern)] == "G" else "sliding" for i in layers]
        return ["sliding" if (i + 1) % pattern else "full" for i in layers]
    if fields.get("model_type") in PERIODS:
        period = PERIODS[fields.get("model_type")]
        return ["sliding" if (i + 1) % period else "full" for i in layers]
    if fields.get("model_type") in ("qwen2", "qwen3", "qwen2_moe", "qwen3_moe"):
        first = fields.whole("max_window_layers", default=0)
        return ["sliding" if i >= first else "full" for i in layers]
    return ["sliding"] * depth


PERIODS = {"gemma2": 2, "gemma3_text": 6, "cohere2": 4, "gpt_oss": 2, "olmo3": 4}
"""Each so-many-th layer of these sees the whole text, where the config has a window and no pattern."""


def transforming_of_layers(fields: Fields, depth: int) -> list[Transforming]:
    """Whether each layer's feed-forward is dense or a mixture of experts."""
    layers = range(depth)
    named = fields.get("mlp_layer_types")
    if named is not None:
        fields.get("first_k_dense_replace", "num_dense_layers", "moe_layer_freq", "decoder_sparse_step")
        return ["mixture" if word in ("sparse", "moe") else "dense" for word in named]
    single = fields.get("layers_block_type", "layer_types", "hybrid_override_pattern")
    if single is not None and fields.get("model_type") == "nemotron_h":
        return [SINGLE.get(word, "none") for word in single]
    if not any(name in fields for name in EXPERTS) or not fields.whole(*EXPERTS):
        return ["dense"] * depth
    if fields.whole(*EXPERTS) == 1 and fields.get("model_type") == "jamba":
        return ["dense"] * depth

    def mixtures(condition: list[bool]) -> list[Transforming]:
        return ["mixture" if mixed else "dense" for mixed in condition]

    if "expert_layer_period" in fields:  # Jamba
        period, offset = fields.whole("expert_layer_period"), fields.whole("expert_layer_offset", default=0)
        return mixtures([i % period == offset for i in layers])
    if "interleave_moe_layer_step" in fields or "moe_layers" in fields:  # Llama 4
        listed = fields.get("moe_layers")
        step = fields.whole("interleave_moe_layer_step", default=1)
        return mixtures([i in listed if listed else (i + 1) % step == 0 for i in layers])
    if "moe_layer_start_index" in fields:  # ERNIE 4.5
        start, period = fields.whole("moe_layer_start_index"), fields.whole("moe_layer_interval", default=1)
        end = fields.get("moe_layer_end_index", default=depth - 1)
        end = depth - 1 if end == -1 else end
        return mixtures([start <= i <= end and (i + 1) % period == 0 for i in layers])
    if "decoder_sparse_step" in fields:  # Qwen 2 and 3
        dense, step = set(fields.get("mlp_only_layers", default=[])), fields.whole("decoder_sparse_step")
        return mixtures([i not in dense and (i + 1) % step == 0 for i in layers])
    first = fields.whole("first_k_dense_replace", "num_dense_layers", "first_k_dense", default=0)
    period = fields.get("moe_layer_freq", default=1)
    if isinstance(period, list):
        return mixtures([bool(mixed) for mixed in period])
    return mixtures([i >= first and i % period == 0 for i in layers])


EXPERTS = (
    "num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "moe_n_routed_experts",
)  # fmt: skip
"""Names of the number of routed experts."""
