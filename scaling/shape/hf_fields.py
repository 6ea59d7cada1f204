"""The fields of a Hugging Face config.json under their many names, and which of them nobody has read.

A field that is neither read nor known to leave counts alone could stand for weights or FLOPs that would go uncounted.
`Fields.unread` names those.
"""

import re
from collections.abc import Mapping
from typing import Any

from scaling.errors import UserError

Value = Any
"""A JSON value: a number, text, truth value, list or mapping."""

HARMLESS = re.compile(
    r"""^(
    # names, versions, and how the model is run or saved
    _.*|architectures|auto_map|model_type|name_or_path|transformers_version|torch_dtype|dtype|.*_dtype|use_cache
    |return_dict.*|output_.*|is_encoder_decoder|is_decoder|chunk_size_feed_forward|problem_type|id2label|label2id
    |finetuning_task|task_specific_params|quantization_config|compression_config|tokenizer_class|language|license
    |use_kernel.*|use_mamba_kernels|use_triton.*|attn_implementation|experts_implementation|use_flash.*|use_sdpa
    |gradient_checkpointing|pretraining_tp|tensor_parallel.*|ep_size|seq_aux|router_aux.*|aux_loss.*|.*_aux_loss.*
    |output_router_logits|router_z_loss.*|router_jitter.*|load_balanc.*|base_model_.*|unsloth.*|perm_.*
    # tokens
    |.*_token_id|.*_token_ids|.*_token_index|.*token_id$|num_labels|pad_token.*|suppress_tokens|begin_suppress.*
    # initialisation and dropout
    |initializer.*|init_.*|.*_init|.*_init_.*|.*_initializer.*|rescale_prenorm_residual|.*dropout.*|.*_pdrop|embd_pdrop
    |a_initializer.*|time_step.*|.*dt_(min|max|init|scale).*|mamba_dt_.*|A_initializer_range|w_init.*|.*_std
    # activation functions, scales and norms' constants have no weights
    |hidden_act|hidden_activation|activation_function|activation.*|.*_act|.*act_fn|.*_activation|afn
    |.*_eps|.*_epsilon|.*epsilon|eps|.*_multiplier|.*_multipliers|.*logit.*_softcapping|.*softcap.*|logit_scale.*
    |residual_scale|scale_.*|.*_scaling_factor|.*_scale|.*_scaling|swiglu_limit|clip_qkv|.*_limit|.*clamp.*
    |scale_attn.*|reorder_and_upcast_attn|attention_softmax.*|query_pre_attn_scalar|attention_multiplier
    |norm_topk_prob|topk_method|topk_group|n_group|num_expert_group.*|scoring_func|routed_scaling.*|norm_.*topk.*
    |routing_.*|score_func.*|score_function|route_.*|use_grouped_topk|moe_router_.*|.*capacity_factor.*|n_groups_.*
    |expert_bias_.*|normalize_.*|residual_in_fp32|residual_.*fp32|fp32_residual.*|.*fp32.*|mamba_chunk_size|chunk_size
    |moe_renormalize|use_expert_bias|attn_type|attn_pdrop|attn_impl|attn_uses_sequence_id|prefix_lm|moe_loss_weight
    |moe_jitter_eps|ffn_act_fn|do_layer_norm_before|layer_norm_elementwise_affine|ffn_type|moe_norm_min|.*_alpha|.*_(alpha|beta)_factor|use_associative_scan|num_logits_to_keep|rescale_every
    |mode|block_size|.*allow_neg.*|.*_log_max|enable_moe_fp32_combine|expert_selection_fn|moe_shared_expert_overlap
    |layer_rope_theta|dim_model_base|mamba_norm_before_gate|lambda_std_dev|embedding_fraction|logits_.*cap|global_attn_every.*
    |chunk_length|summary_.*|temperature.*|attn_temperature.*|floor_scale|attn_scale|attention_scale.*
    # positions that turn or bias, but hold no weights
    |rope.*|rotary.*|.*_rope_.*|.*rope_theta|.*rope_.*base.*|partial_rotary.*|position_embedding_type|alibi.*|use_rope.*
    |rotary_pct|rotary_emb.*|original_max_position.*|max_window_layers|mrope.*|yarn.*|no_rope.*|interleaved?_rope
    |max_seq_len.*|max_length|min_length|max_new_tokens|.*sample.*|num_beams.*|top_[kp]|bos.*|eos.*|sep_.*|cls_.*
    )$""",
    re.VERBOSE,
)
"""Names that change no count: nothing more is multiplied or stored for them."""


class Fields:
    """Values of a config by the first of several names that is there; remembers what has been asked for."""

    def __init__(self, values: Mapping[str, Value], where: str) -> None:
        self._values = values
        self._read: set[str] = set()
        self.where = where

    def get(self, *names: str, default: Value = None) -> Value:
        """The value of the first name that is there and not null; otherwise `default`."""
        self._read.update(names)
        for name in names:
            if self._values.get(name) is not None:
                return self._values[name]
        return default

    def whole(self, *names: str, default: int | None = None) -> int:
        """A whole number, 0 or more. Raises `UserError` where it is missing without a default, or is none."""
        value = self.get(*names, default=default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 0:
            said = "is missing" if value is None else f"is {value!r}, not a whole number"
            raise UserError(f"{self.where}: {' or '.join(names)} {said}: is it the config of a decoder?")
        return int(value)

    def flag(self, *names: str, default: bool = False) -> bool:
        """A truth value."""
        return bool(self.get(*names, default=default))

    def inside(self, name: str) -> "Fields":
        """The fields of a mapping inside this one; empty where it is not there."""
        value = self.get(name, default={})
        return Fields(value if isinstance(value, Mapping) else {}, f"{self.where}: {name}")

    def changed(self, values: Mapping[str, Value]) -> "Fields":
        """The same fields with some values in place of theirs; what is read of them counts as read of these."""
        other = Fields({**self._values, **values}, self.where)
        other._read = self._read
        return other

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def unread(self) -> dict[str, Value]:
        """Fields that nobody read and that could matter: set to something other than off, nothing or zero."""
        return {
            name: value
            for name, value in self._values.items()
            if name not in self._read
            and value not in (None, False, 0, "", [], {})
            and not HARMLESS.fullmatch(name)
        }
