"""One block of a Hugging Face config: its mixer and its feed-forward, from the fields and the family's conventions."""

from dataclasses import dataclass

from scaling.shape.attention import Attention, Indexer, LatentAttention
from scaling.shape.block import Mixer
from scaling.shape.feed_forward import FeedForward, Mixture
from scaling.shape.hf_families import Family
from scaling.shape.hf_fields import Fields, Value
from scaling.shape.hf_layers import EXPERTS, Mixing, Transforming
from scaling.shape.recurrence import (
    Recurrence,
    gated_delta,
    gated_lru,
    kimi_delta,
    lightning,
    mamba,
    mamba2,
    rwkv4,
    short_conv,
)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What every block of a config shares."""

    width: int
    heads: int
    kv_heads: int
    head_width: int
    ffn_width: int


def read_sizes(fields: Fields) -> Sizes:
    """Widths and heads. Raises `UserError` naming what is missing."""
    width = fields.whole("hidden_size", "n_embd", "d_model")
    heads = fields.whole("num_attention_heads", "n_head", "n_heads", "attention_heads", default=1)
    head_width = fields.get("head_dim", "attention_head_dim", "kv_channels", "v_head_dim")
    if head_width is None:
        head_width = width // max(heads, 1)  # rounded down, as transformers does
    kv_heads = fields.get(
        "num_key_value_heads", "num_kv_heads", "n_head_kv", "kv_n_heads", "num_query_groups"
    )
    kv_heads = heads if kv_heads is None else kv_heads
    if fields.flag("multi_query") and not fields.flag("new_decoder_architecture"):
        kv_heads = 1
    ffn = fields.get(
        "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "intermediate_size_mlp", default=None
    )
    if ffn is None:
        ffn = fields.get("expansion_ratio", default=4) * width
    ffn_width = _last(ffn)
    if fields.flag("block_auto_adjust_ff_dim"):  # LFM2: two thirds, up to a multiple
        ffn_width = int(fields.get("block_ffn_dim_multiplier", default=1) * int(2 * ffn_width / 3))
        multiple = fields.whole("block_multiple_of", default=1)
        ffn_width = -(-ffn_width // multiple) * multiple
    if fields.get("model_type") == "recurrent_gemma":  # gate and up together
        ffn_width //= 2
    return Sizes(
        width=width, heads=heads, kv_heads=int(kv_heads), head_width=int(head_width), ffn_width=ffn_width
    )


def _last(value: Value) -> int:
    """A number, or the last of a list of them."""
    return int(value[-1] if isinstance(value, list) else value)


def read_mixer(kind: Mixing, fields: Fields, family: Family, sizes: Sizes) -> Mixer:
    """The mixer of a layer of a kind."""
    if kind == "mamba":
        return _mamba(fields, family, sizes)
    if kind == "conv":
        bias = fields.flag("conv_bias")
        return short_conv(width=sizes.width, conv=fields.whole("conv_L_cache", default=3), bias=bias)
    if kind == "recurrent":
        inner = fields.whole("lru_width", default=sizes.width)
        conv = fields.whole("conv1d_width", default=4)
        return gated_lru(width=sizes.width, inner=inner, heads=sizes.heads, conv=conv)
    if kind == "linear":
        is_mamba = "mamba_n_heads" in fields or "mamba_num_heads" in fields
        return _mamba(fields, family, sizes) if is_mamba else _linear(fields, sizes)
    if "kv_lora_rank" in fields:
        return _latent(fields, sizes)
    return _attention(kind, fields, family, sizes)


def _attention(kind: Mixing, fields: Fields, family: Family, sizes: Sizes) -> Attention:
    window = None
    if kind == "sliding":
        window = fields.whole("sliding_window", "attention_window_size", "window_size")
    elif kind == "chunked":
        window = fields.whole("attention_chunk_size")
    qkv_bias = fields.get("attention_bias", "qkv_bias", "use_qkv_bias", "use_bias", "bias", "add_bias_linear",
                          "attention_qkv_bias", default=family.qkv_bias)  # fmt: skip
    qkv_bias = bool(qkv_bias) and not fields.flag("no_bias")
    output_bias = qkv_bias if family.output_bias is None else family.output_bias
    output_bias = bool(fields.get("attention_out_bias", default=output_bias))
    fields.get("num_heads", "no_bias", "enable_bias")
    head_norms = family.head_norms
    switch = fields.get("use_qk_norm", "qk_layernorm", "qk_norm", "use_query_key_norm")
    if switch is not None:
        whole = "whole" if family.head_norms == "whole" else "head"
        head_norms = whole if switch else "none"  # type: ignore[assignment]
    return Attention(
        heads=sizes.heads,
        value_width=fields.get("v_head_dim") if "head_dim" in fields else None,
        kv_heads=sizes.kv_heads,
        head_width=sizes.head_width,
        window=window,
        chunked=kind == "chunked",
        qkv_bias=qkv_bias,
        key_bias=family.key_bias,
        output_bias=output_bias,
        head_norms=head_norms,
        head_norm_weights=family.head_norm_weights,
        sinks=family.sinks,
        gate=family.gate,
    )


def _latent(fields: Fields, sizes: Sizes) -> LatentAttention:
    rank, _ = fields.get("q_lora_rank"), fields.get("qk_head_dim")
    indexer = None
    if "index_topk" in fields:
        indexer = Indexer(
            heads=fields.whole("index_n_heads"),
            width=fields.whole("index_head_dim"),
            top_tokens=fields.whole("index_topk"),
        )
    return LatentAttention(
        heads=sizes.heads,
        query_rank=None if not rank else int(rank),
        kv_rank=fields.whole("kv_lora_rank"),
        rope_width=fields.whole("qk_rope_head_dim"),
        nope_width=fields.whole("qk_nope_head_dim"),
        value_width=fields.whole("v_head_dim"),
        bias=fields.flag("attention_bias"),
        indexer=indexer,
    )


def _mamba(fields: Fields, family: Family, sizes: Sizes) -> Recurrence:
    expand = fields.get("mamba_expand", "expand", default=2)
    state = fields.whole("mamba_d_state", "ssm_state_size", "state_size", default=128)
    conv = fields.whole("mamba_d_conv", "conv_kernel", default=4)
    conv_bias = fields.flag("mamba_conv_bias", "use_conv_bias", default=True)
    bias = fields.flag("mamba_proj_bias", "use_bias")
    heads = fields.get("mamba_n_heads", "mamba_num_heads", "num_heads")
    if heads is not None and fields.get("model_type") != "jamba":
        given = fields.get("mamba_d_head", "mamba_head_dim", "head_dim", default="auto")
        inner = fields.get("mamba_d_ssm", default=int(expand * sizes.width))
        return mamba2(
            width=sizes.width,
            heads=int(heads),
            head_width=int(inner) // int(heads) if given == "auto" else int(given),
            groups=fields.whole("mamba_n_groups", "n_groups", default=1),
            state=state,
            conv=conv,
            conv_bias=conv_bias,
            bias=bias,
            gated_norm=fields.flag("mamba_rms_norm", default=family.gated_norm),
        )
    inner = fields.get("intermediate_size") if fields.get("model_type") != "jamba" else None
    rank = fields.get("mamba_dt_rank", "time_step_rank", default="auto")
    return mamba(
        width=sizes.width,
        inner=int(inner or expand * sizes.width),
        state=state,
        rank=-(-sizes.width // 16) if rank == "auto" else int(rank),
        conv=conv,
        conv_bias=conv_bias,
        bias=bias,
        inner_norms=family.inner_norms,
    )


def _linear(fields: Fields, sizes: Sizes) -> Recurrence:
    kimi = fields.inside("linear_attn_config")
    if "linear_num_value_heads" in fields:
        return gated_delta(
            key_heads=fields.whole("linear_num_key_heads"),
            key_width=fields.whole("linear_key_head_dim"),
            value_heads=fields.whole("linear_num_value_heads"),
            value_width=fields.whole("linear_value_head_dim"),
            conv=fields.whole("linear_conv_kernel_dim", default=4),
            gate=fields.flag("linear_use_gate", default=True),
        )
    if "head_dim" in kimi or "linear_head_dim" in fields:
        return kimi_delta(
            heads=kimi.get("num_heads", default=fields.get("linear_num_heads", default=sizes.heads)),
            head_width=kimi.get("head_dim", default=fields.get("linear_head_dim")),
            conv=kimi.get("short_conv_kernel_size", default=fields.get("linear_conv_kernel_dim", default=4)),
        )
    return lightning(heads=sizes.heads, head_width=sizes.head_width)


def rwkv_mixer(fields: Fields, sizes: Sizes) -> Recurrence:
    """RWKV-4's time mixing."""
    return rwkv4(width=sizes.width, inner=fields.whole("attention_hidden_size", default=sizes.width))


def read_ffn(
    kind: Transforming, fields: Fields, family: Family, sizes: Sizes
) -> FeedForward | Mixture | None:
    """The feed-forward of a layer of a kind."""
    if kind == "none":
        return None
    bias = fields.get(
        "mlp_bias", "use_mlp_bias", "use_bias", "bias", "add_bias_linear", default=family.ffn_bias
    )
    bias = bool(bias) and not fields.flag("no_bias")
    if kind == "dense":
        hidden = sizes.ffn_width
        if "intermediate_size_mlp" in fields:  # Llama 4's dense layers
            hidden = fields.whole("intermediate_size_mlp")
        return FeedForward(hidden=hidden, gated=family.gated, bias=bias, vectors_beside=family.mlp_vectors)
    gated = family.gated if family.expert_gated is None else family.expert_gated
    hidden = _last(fields.get(
        "moe_intermediate_size", "expert_ffn_hidden_size", "ffn_hidden_size", default=sizes.ffn_width
    ))  # fmt: skip
    return Mixture(
        experts=fields.whole(*EXPERTS),
        active=_last(fields.get(
            "num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k", "moe_k", "top_k_experts",
            "topk", "top_k",
            default=1,
        )),
        hidden=hidden,
        gated=gated,
        bias=family.expert_bias,
        router_bias=family.router_bias,
        shared=_shared(fields, hidden, gated, bias),
        shared_gate=family.shared_gate,
        latent=fields.get("moe_latent_size"),
    )  # fmt: skip


def _shared(fields: Fields, hidden: int, gated: bool, bias: bool) -> FeedForward | None:
    """What every token visits beside the routed experts: of a width of its own, or so many experts' worth."""
    own = fields.get(
        "shared_expert_intermediate_size", "moe_shared_expert_intermediate_size", "shared_intermediate_size"
    )
    count = fields.get(
        "n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert",
        default=1 if own else 0,
    )  # fmt: skip
    if fields.get("model_type") == "llama4_text":
        own, count = fields.whole("intermediate_size"), 1
    width = _last(count) * (int(own) if own else hidden)
    return FeedForward(hidden=width, gated=gated, bias=bias) if width else None
