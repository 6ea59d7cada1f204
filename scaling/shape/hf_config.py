"""A model's shape from its Hugging Face config.json: any decoder, by the fields of the config.

    shape, notes = config_shape({"model_type": "qwen3", "hidden_size": 1024, …}, "config.json")

The parameters are those that transformers builds (5.24; heads of other tasks and modules for vision or sound are left
out). What the config leaves to code is in `hf_families.py`. Fields that nobody read and that could matter are named in
the notes, never passed over.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from scaling.config.nearest import nearest
from scaling.errors import UserError
from scaling.shape.attention import Attention, LatentAttention
from scaling.shape.block import Block, Mixer, Run, merged
from scaling.shape.feed_forward import FeedForward, Mixture
from scaling.shape.hf_blocks import Sizes, read_ffn, read_mixer, read_sizes, rwkv_mixer
from scaling.shape.hf_families import FAMILIES, LLAMA, Family
from scaling.shape.hf_fields import Fields, Value
from scaling.shape.hf_layers import mixing_of_layers, transforming_of_layers
from scaling.shape.shape import Biases, ModelShape

LANGUAGE_PARTS = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where configs of models that also see or hear keep the language model's."""
USUAL_CONTEXT, LONG_CONTEXT = 2048, 8192
"""Context of a model whose config names none, as recurrences need none; and the longest that needs no remark."""
NONE_BUT_MIXERS = ("mamba", "mamba2", "falcon_mamba")
"""Models whose blocks are a state-space mixer and nothing else."""


@dataclass(frozen=True, kw_only=True)
class ConfigModel:
    """A shape with what is to be said about how it was read."""

    shape: ModelShape
    notes: tuple[str, ...]


def load_config(name: str) -> ConfigModel:
    """The model of a config.json, of a folder that holds one, or of `hf:OWNER/NAME` in the local Hugging Face cache.

    Raises `UserError` naming the file that was looked for, or what is missing in it.
    """
    path = _cached(name.removeprefix("hf:")) if name.startswith("hf:") else Path(name)
    if path.is_dir():
        path = path / "config.json"
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"model={name}: there is no {path}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"model={name}: {path} cannot be read as JSON ({error})") from None
    if not isinstance(values, Mapping):
        raise UserError(
            f"model={name}: {path} holds no config: an object with model_type, hidden_size, … is needed"
        )
    return config_shape(values, str(path))


def names_a_config(name: str) -> bool:
    """Whether a model's name is a config: `hf:…`, a JSON file, or a folder."""
    return name.startswith("hf:") or name.endswith(".json") or Path(name).is_dir()


def _cached(name: str) -> Path:
    """The newest snapshot's config.json of a model in the local cache, laid out as huggingface_hub does."""
    home = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", "~/.cache/huggingface")) / "hub"
    root = Path(home).expanduser()
    folder = root / f"models--{name.replace('/', '--')}"
    found = sorted(folder.glob("snapshots/*/config.json"), key=lambda path: path.stat().st_mtime)
    if found:
        return found[-1]
    known = [p.name.removeprefix("models--").replace("--", "/") for p in root.glob("models--*")]
    hint = nearest(name, known, "nothing else is there") if known else "the cache is empty"
    raise UserError(
        f"model=hf:{name}: no config.json of it in {root} ({hint}); nothing is downloaded: fetch it with "
        f"`hf download {name} config.json`, or give the file's path"
    )


def config_shape(config: Mapping[str, Value], where: str = "config.json") -> ConfigModel:
    """The shape that a config describes, and notes: what was taken for granted, and fields that were not understood.

    Raises `UserError` for an encoder, and where sizes are missing or impossible.
    """
    notes = []
    outer, part = config, next((p for p in LANGUAGE_PARTS if isinstance(config.get(p), Mapping)), None)
    if part is not None:
        config = {"tie_word_embeddings": outer.get("tie_word_embeddings"), **config[part]}
        notes.append(f"{where}: the language model alone, its {part}")
    for inner in ("attn_config", "ffn_config"):  # MPT and DBRX keep fields of a block in these
        if isinstance(config.get(inner), Mapping):
            config = {**config[inner], **{key: value for key, value in config.items() if key != inner}}
    fields = Fields(config, where)
    if fields.flag("is_encoder_decoder"):
        raise UserError(f"{where}: an encoder-decoder; only decoders are read from a config")
    kind = str(fields.get("model_type", default="?"))
    family = FAMILIES.get(kind)
    if family is None:
        family = LLAMA
        notes.append(
            f"{where}: model_type={kind} is not known here: read as Llama's block (RMSNorm twice a block, gated "
            "feed-forward, no biases but those the config names)"
        )
    shape = _shape(fields, kind, family)
    predicting = fields.get("num_nextn_predict_layers", "mtp_num_hidden_layers", default=0)
    unread = fields.unread()
    if unread:
        named = ", ".join(f"{name}={json.dumps(value)[:40]}" for name, value in sorted(unread.items()))
        notes.append(f"{where}: not understood, so not counted if it matters: {named}")
    if predicting:
        notes.append(
            f"{where}: the {predicting} module(s) of multi-token prediction are left out, as transformers does; "
            f"model.mtp_depth={predicting} counts them"
        )
    if shape.context > LONG_CONTEXT:
        notes.append(
            f"{where}: sequences of {shape.context:,} tokens, the longest that the config allows; pre-training "
            "mostly uses 4,096 or 8,192: model.context=…"
        )
    return ConfigModel(shape=shape, notes=tuple(notes))


def _shape(fields: Fields, kind: str, family: Family) -> ModelShape:
    sizes = read_sizes(fields)
    depth = fields.whole("num_hidden_layers", "n_layer", "n_layers", "num_layers", default=0)
    depth = depth or len(
        fields.get("layers_block_type", "hybrid_override_pattern", "layer_types", default=[])
    )
    if kind == "longcat_flash":
        depth *= 2
    runs = merged(_blocks(fields, kind, family, sizes, depth))
    context = fields.whole(
        "max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "seq_length", "model_max_length",
        "max_sequence_length", "context_length", default=USUAL_CONTEXT,
    )  # fmt: skip
    rows = context + family.extra_positions if family.learned_positions else None
    for stretched in (
        "rope_scaling",
        "rope_parameters",
    ):  # trained at this length before a later stage stretched it
        context = fields.inside(stretched).whole("original_max_position_embeddings", default=context)
    attention = next(
        (m for _, b in runs for m in b.mixers if not isinstance(m, Attention) or m.window is None), None
    )
    mixtures = [block.ffn for _, block in runs if isinstance(block.ffn, Mixture)]
    dense = [block.ffn for _, block in runs if isinstance(block.ffn, FeedForward)]
    norms = fields.get("num_ln_in_parallel_attn")
    if fields.get("word_embed_proj_dim") not in (None, sizes.width):
        raise UserError(
            f"{fields.where}: word_embed_proj_dim={fields.get('word_embed_proj_dim')}: embeddings of "
            f"another width than the model's {sizes.width} are not modelled"
        )
    shape = ModelShape(
        width=sizes.width,
        depth=depth,
        heads=sizes.heads,
        kv_heads=sizes.kv_heads,
        head_width=sizes.head_width + sizes.head_width % 2,
        ffn_width=max([f.hidden for f in dense] or [m.hidden for m in mixtures] or [sizes.ffn_width]),
        vocab_size=fields.whole("vocab_size", "padded_vocab_size"),
        context=context,
        ffn="swiglu" if family.gated else "gelu",
        tied_head=fields.flag("tie_word_embeddings", "tie_embedding", default=family.tied),
        norm=family.norm,
        norms_per_block=_norms_per_block(fields, kind, family) if norms is None else norms,
        embedding_norm=family.embedding_norm,
        final_norm=family.final_norm,
        head_bias=fields.flag("lm_head_bias", default=family.head_bias),
        positions="learned" if family.learned_positions else "rotary",
        position_rows=rows,
        experts=mixtures[0].experts if mixtures else 0,
        experts_active=mixtures[0].active if mixtures else 0,
        expert_width=mixtures[0].hidden if mixtures else None,
        latent=attention if isinstance(attention, LatentAttention) else None,
        layers=runs,
    )
    return simplest(shape)


def _norms_per_block(fields: Fields, kind: str, family: Family) -> int:
    if kind == "falcon":
        parallel = fields.flag("parallel_attn", default=True)
        return 1 if parallel and not fields.flag("new_decoder_architecture") else 2
    if fields.flag("use_parallel_residual") and kind == "stablelm":
        return 1
    if fields.flag("use_post_norm") and kind == "hyperclovax":
        return 4
    return family.norms_per_block


def _blocks(fields: Fields, kind: str, family: Family, sizes: Sizes, depth: int) -> list[Run]:
    if kind in NONE_BUT_MIXERS:
        block = Block(mixers=(read_mixer("mamba", fields, family, sizes),), ffn=None)
        return [(depth, block)]
    if kind == "rwkv":
        hidden = fields.whole("intermediate_size", default=4 * sizes.width)
        mixing_channels = FeedForward(
            hidden=hidden, gated=False, receptance=True, vectors_beside=2 * sizes.width
        )
        return [(depth, Block(mixers=(rwkv_mixer(fields, sizes),), ffn=mixing_channels))]
    if kind == "longcat_flash":
        return _shortcut_blocks(fields, family, sizes, depth)
    mixing = mixing_of_layers(fields, depth)
    transforming = transforming_of_layers(fields, depth)
    shared_from = depth - fields.whole("num_kv_shared_layers", default=0)
    own_values = {int(index): own for index, own in fields.get("per_layer_config", default={}).items()}
    blocks = []
    for index, (mixes, transforms) in enumerate(zip(mixing, transforming, strict=True)):
        layer, own = fields, sizes
        if index in own_values:  # heads, or their width, that this layer has for itself
            layer = fields.changed(own_values[index])
            own = read_sizes(layer)
        mixers: tuple[Mixer, ...] = () if mixes == "none" else (read_mixer(mixes, layer, family, own),)
        if kind == "falcon_h1":
            mixers = (*mixers, read_mixer("mamba", layer, family, own))
        if index >= shared_from:
            mixers = tuple(replace(m, shares_cache=True) if isinstance(m, Attention) else m for m in mixers)
        ffn = read_ffn(transforms, layer, family, own)
        beside = family.mixing_vectors * own.head_width
        if family.sub_norms:
            beside += own.heads * own.head_width + own.ffn_width
        blocks.append((1, Block(mixers=mixers, ffn=ffn, vectors_beside=beside)))
    return blocks


def _shortcut_blocks(fields: Fields, family: Family, sizes: Sizes, depth: int) -> list[Run]:
    """A layer of LongCat: two blocks with a dense feed-forward each, and a mixture beside the second's."""
    mixer = read_mixer("full", fields, family, sizes)
    dense = FeedForward(hidden=fields.whole("ffn_hidden_size"))
    mixture = Mixture(
        experts=fields.whole("n_routed_experts"),
        active=fields.whole("moe_topk"),
        hidden=fields.whole("expert_ffn_hidden_size"),
        idle=fields.whole("zero_expert_num", default=0),
        router_bias=fields.flag("router_bias"),
        shared=dense,
    )
    layer = [(1, Block(mixers=(mixer,), ffn=dense)), (1, Block(mixers=(mixer,), ffn=mixture))]
    return layer * (depth // 2)


def simplest(shape: ModelShape) -> ModelShape:
    """The same model without `layers` where its flat fields say the same, so that its keys can be changed."""
    ((_, block), *others) = shape.runs
    (mixer, *beside) = block.mixers or (None,)
    if others or beside or not isinstance(mixer, Attention):
        return shape
    for biases in get_args(Biases):
        flat = replace(
            shape,
            layers=(),
            biases=biases,
            qk_norm=mixer.head_norms != "none",
            qk_norm_whole=mixer.head_norms == "whole",
            attention_sinks=mixer.sinks,
            window=mixer.window,
            chunked=mixer.chunked,
        )
        if flat.runs == shape.runs:
            return flat
    return shape
