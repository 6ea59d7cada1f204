"""The shape of a model: the few integers from which parameters, FLOPs and bytes follow.

The defaults of `ModelShape` describe this project's decoder: pre-norm RMSNorm, rotary positions, no biases. The
remaining fields exist because published models differ in them (`scaling.shape.published_models`). Everything that
counts reads the blocks (`ModelShape.runs`), which follow from these fields, or are given one by one where a model's
blocks are of several kinds.
"""

from collections import Counter
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, get_args

from scaling.errors import UserError
from scaling.shape.attention import Attention, HeadNorms, LatentAttention
from scaling.shape.block import Block, Run, merged
from scaling.shape.feed_forward import FeedForward, Mixture

Ffn = Literal["swiglu", "gelu"]
Norm = Literal["rmsnorm", "layernorm", "layernorm_no_bias", "layernorm_no_weights"]
Biases = Literal["none", "qkv", "ffn", "all_but_qkv", "all"]
Positions = Literal["rotary", "learned", "alibi", "relative_projection", "relative_buckets"]

FFN_RATIO: dict[str, float] = {"swiglu": 8 / 3, "gelu": 4.0}
"""Feed-forward width over residual width: 4 as in GPT-2, and for swiglu's three matrices as many weights as gelu's two
have (Shazeer 2020, arXiv:2002.05202, section 3)."""
FFN_MULTIPLE = 8
"""Feed-forward widths are multiples of this: 16-bit matrix units want rows of 16 bytes (NVIDIA, Matrix Multiplication
Background)."""
RELATIVE_BUCKETS = 32
"""Rows of the bias table that T5 shares among the blocks of a stack (Raffel et al. 2020, section 2.1)."""


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """A transformer's shape. Counts and widths are positive integers; ill shapes raise `UserError`."""

    width: int
    """Features of the residual stream (d_model)."""
    depth: int
    """Decoder blocks."""
    heads: int
    """Heads of queries."""
    kv_heads: int
    """Key and value heads: `heads` is multi-head, 1 is multi-query, between is grouped-query attention."""
    head_width: int
    """Features of one head; heads × head_width need not equal width."""
    ffn_width: int
    """Hidden features of the feed-forward."""
    vocab_size: int
    """Rows of the embedding, padding included."""
    context: int
    """Tokens in a training sequence."""
    ffn: Ffn = "swiglu"
    """swiglu has three matrices (gate, up, down), gelu two (up, down)."""
    tied_head: bool = False
    """The output head is the embedding transposed, so it is counted once."""
    qk_norm: bool = False
    """A norm on queries and one on keys, in each block."""
    qk_norm_whole: bool = False
    """The norms of queries and keys span all heads together and have a weight for each feature (OLMo 2); otherwise each
    head is normed by itself, with the same head_width weights."""
    attention_sinks: bool = False
    """One learned logit a head beside the scores (gpt-oss)."""
    norm: Norm = "rmsnorm"
    """rmsnorm and layernorm_no_bias have a weight, layernorm a weight and a bias, layernorm_no_weights nothing."""
    norms_per_block: int = 2
    """2: one before attention and one before the feed-forward; 1: both share one (PaLM); 4: one before and one after
    each (Gemma 2)."""
    embedding_norm: bool = False
    """A norm right after the embedding (BLOOM, BERT)."""
    final_norm: bool = True
    """A norm after the last block; post-norm models (BERT) have none."""
    biases: Biases = "none"
    """Linear layers with a bias: none; queries, keys and values (qkv); the feed-forward's (ffn); the feed-forward's and
    the attention output (all_but_qkv); or all of these, and routers (all)."""
    head_bias: bool = False
    """A bias of the output head (GPT-J, Phi)."""
    positions: Positions = "rotary"
    """learned has its own table, relative_projection one more width × (heads·head_width) matrix a block
    (Transformer-XL, Gopher), relative_buckets a table of biases a stack (T5); the rest have no weights."""
    position_rows: int | None = None
    """Rows of a learned position table; by default `context`."""
    segment_types: int = 0
    """Rows of a segment embedding (BERT)."""
    pooler: bool = False
    """A width × width layer with bias on the first token (BERT)."""
    causal: bool = True
    """A token attends only to itself and those before it."""
    encoder_depth: int = 0
    """Encoder blocks; positive makes this an encoder-decoder whose decoder blocks attend to the encoder."""
    experts: int = 0
    """Routed experts a block; 0 is a dense feed-forward."""
    experts_active: int = 0
    """Routed experts that a token visits."""
    shared_experts: int = 0
    """Experts that every token visits beside the routed ones (DeepSeek)."""
    expert_width: int | None = None
    """Hidden features of one expert; by default `ffn_width`."""
    dense_depth: int = 0
    """Blocks with a dense feed-forward of `ffn_width` before the mixture begins (DeepSeek)."""
    latent: LatentAttention | None = None
    """Multi-head latent attention in place of grouped-query attention."""
    window: int | None = None
    """Tokens that attention sees at most, itself included; None: the whole text."""
    full_every: int | None = None
    """Each so-many-th block sees the whole text all the same (Gemma 3: 6); None: all blocks have the window."""
    chunked: bool = False
    """The window does not slide: a token sees its own chunk of `window` tokens (Llama 4)."""
    mtp_depth: int = 0
    """Modules that predict one more token each: a block, two norms and a 2·width × width matrix, on the same embedding
    and head (DeepSeek-V3, arXiv:2412.19437, section 2.2). They are trained with the model and left out of serving."""
    layers: tuple[Run, ...] = ()
    """The blocks in the order of the model, as (how many, block), where the fields above cannot say them: hybrids of
    attention and recurrences. Heads, ffn_width and experts are then those of its attention and feed-forwards."""

    def to_json(self) -> dict[str, Any]:  # JSON: numbers, texts and what holds them
        """Every field by name, for a record or a hash of it.

        A field that came to this class later stands in it only where it says something, so that what was written before
        is still the same shape.
        """
        facts = asdict(self)
        for later in ("window", "full_every", "chunked", "mtp_depth", "layers"):
            if not facts[later]:
                del facts[later]
        return facts

    def __post_init__(self) -> None:
        for name in (
            "width", "depth", "heads", "kv_heads", "head_width", "ffn_width", "vocab_size", "context"
        ):  # fmt: skip
            _require_whole(name, getattr(self, name), least=1)
        for name in (
            "encoder_depth", "experts", "experts_active", "shared_experts", "dense_depth", "segment_types", "mtp_depth"
        ):  # fmt: skip
            _require_whole(name, getattr(self, name), least=0)
        for name in ("position_rows", "expert_width", "window", "full_every"):
            if getattr(self, name) is not None:
                _require_whole(name, getattr(self, name), least=1)
        for name, allowed in (("ffn", Ffn), ("norm", Norm), ("biases", Biases), ("positions", Positions)):
            if getattr(self, name) not in get_args(allowed):
                raise UserError(
                    f"{name}={getattr(self, name)!r} is unknown: choose one of {', '.join(get_args(allowed))}"
                )
        if self.heads % self.kv_heads:
            raise UserError(
                f"kv_heads={self.kv_heads} does not divide heads={self.heads}: "
                f"choose one of {divisors(self.heads)}"
            )
        if self.positions == "rotary" and self.head_width % 2:
            raise UserError(
                f"head_width={self.head_width} is odd, but rotary positions turn features in pairs: "
                f"use {self.head_width + 1}, or change heads so that width/heads is even"
            )
        if self.norms_per_block not in (1, 2, 4):
            raise UserError(
                f"norms_per_block={self.norms_per_block} is not a block that exists: use 1, 2 or 4"
            )
        if self.experts and not 1 <= self.experts_active <= self.experts:
            raise UserError(
                f"experts_active={self.experts_active} with experts={self.experts}: "
                f"a token visits at least one and at most all {self.experts} experts"
            )
        if not self.experts and (
            self.experts_active or self.shared_experts or self.dense_depth or self.expert_width
        ):
            raise UserError(
                "experts_active, shared_experts, expert_width, dense_depth belong to a mixture: set experts"
            )
        if self.dense_depth > self.depth:
            raise UserError(
                f"dense_depth={self.dense_depth} exceeds depth={self.depth}: "
                f"at most {self.depth} blocks can be dense"
            )
        if (self.full_every or self.chunked) and self.window is None:
            raise UserError("full_every and chunked say which blocks have the window: set window")
        if self.window is not None and self.latent is not None:
            raise UserError("a window of latent attention is not modelled: leave out window")
        if self.latent is not None and self.latent.heads != self.heads:
            raise UserError(
                f"heads={self.heads}, but latent attention has {self.latent.heads}: give the same"
            )
        if self.layers and sum(count for count, _ in self.layers) != self.depth:
            raise UserError(
                f"depth={self.depth}, but its blocks are given one by one and are "
                f"{sum(count for count, _ in self.layers)}: a hybrid's depth follows from its blocks"
            )

    def __hash__(self) -> int:
        return self._hash  # a search looks up the same shape thousands of times

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, field.name) for field in fields(self)))

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The decoder's blocks in their order, as (how many, block)."""
        if self.layers:
            return self.layers
        dense, mixture = self.dense_ffn, self._mixture
        full, windowed = self.full_attention, self._windowed_attention
        if self.full_every is None and not self.dense_depth:  # all alike
            return ((self.depth, Block(mixers=(windowed or full,), ffn=mixture or dense)),)
        return merged(
            (1, Block(
                mixers=(full if windowed is None or (i + 1) % (self.full_every or i + 2) == 0 else windowed,),
                ffn=dense if mixture is None or i < self.dense_depth else mixture,
            ))
            for i in range(self.depth)
        )  # fmt: skip

    @cached_property
    def kinds(self) -> dict[Block, int]:
        """Blocks of each kind, in the order in which the kinds first appear."""
        kinds: Counter[Block] = Counter()
        for count, block in self.runs:
            kinds[block] += count
        return kinds

    @property
    def full_attention(self) -> Attention | LatentAttention:
        """Attention as the fields say it, over the whole text."""
        if self.latent is not None:
            return self.latent
        whole: HeadNorms = "whole" if self.qk_norm_whole else "head"
        return Attention(
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_width=self.head_width,
            qkv_bias=self.biases in ("qkv", "all"),
            output_bias=self.biases in ("all", "all_but_qkv"),
            head_norms=whole if self.qk_norm else "none",
            sinks=self.attention_sinks,
            relative_projection=self.positions == "relative_projection",
        )

    @property
    def dense_ffn(self) -> FeedForward:
        """The feed-forward of a block without experts."""
        return FeedForward(hidden=self.ffn_width, gated=self.ffn == "swiglu", bias=self._ffn_bias)

    @property
    def _ffn_bias(self) -> bool:
        return self.biases in ("ffn", "all", "all_but_qkv")

    @property
    def _mixture(self) -> Mixture | None:
        if not self.experts:
            return None
        hidden, gated = self.expert_width or self.ffn_width, self.ffn == "swiglu"
        shared = FeedForward(hidden=self.shared_experts * hidden, gated=gated, bias=self._ffn_bias)
        return Mixture(
            experts=self.experts,
            active=self.experts_active,
            hidden=hidden,
            gated=gated,
            bias=self._ffn_bias,
            router_bias=self.biases == "all",
            shared=shared if self.shared_experts else None,
        )

    @property
    def _windowed_attention(self) -> Attention | None:
        full = self.full_attention
        if self.window is None or isinstance(full, LatentAttention):
            return None
        return replace(full, window=self.window, chunked=self.chunked)

    @property
    def attention_width(self) -> int:
        """Features of all query heads together."""
        return self.heads * self.head_width

    @property
    def kv_width(self) -> int:
        """Features of all keys (or all values) together."""
        return self.kv_heads * self.head_width

    @property
    def moe_depth(self) -> int:
        """Blocks whose feed-forward is a mixture of experts."""
        return sum(count for block, count in self.kinds.items() if block.mixture is not None)


def usual_ffn_width(width: int, ffn: str) -> int:
    """Feed-forward width at a residual width: FFN_RATIO times it, to the nearest multiple of FFN_MULTIPLE."""
    return max(FFN_MULTIPLE, round(FFN_RATIO[ffn] * width / FFN_MULTIPLE) * FFN_MULTIPLE)


def decoder_shape(
    *,
    width: int,
    depth: int,
    heads: int,
    vocab_size: int,
    context: int,
    kv_heads: int | None = None,
    head_width: int | None = None,
    ffn_width: int | None = None,
    ffn: Ffn = "swiglu",
    tied_head: bool = False,
    qk_norm: bool = False,
) -> ModelShape:
    """This project's decoder; what is not given follows from the rest.

    kv_heads is heads, head_width is width/heads, ffn_width is `usual_ffn_width`. Raises `UserError` when heads do not
    divide width, or a value cannot be used.
    """
    _require_whole("heads", heads, least=1)
    _require_whole("width", width, least=1)
    if head_width is None:
        if width % heads:
            raise UserError(
                f"heads={heads} does not divide width={width}: choose heads from {divisors(width)}, "
                f"width={-(-width // heads) * heads}, or give head_width"
            )
        head_width = width // heads
    if ffn_width is None:
        ffn_width = usual_ffn_width(width, ffn) if ffn in FFN_RATIO else width  # refused below
    return ModelShape(
        width=width,
        depth=depth,
        heads=heads,
        kv_heads=heads if kv_heads is None else kv_heads,
        head_width=head_width,
        ffn_width=ffn_width,
        vocab_size=vocab_size,
        context=context,
        ffn=ffn,
        tied_head=tied_head,
        qk_norm=qk_norm,
    )


def shape_field_names() -> tuple[str, ...]:
    """Names of the fields of `ModelShape`, in order."""
    return tuple(field.name for field in fields(ModelShape))


def _require_whole(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        what = "a positive whole number" if least else "a whole number, 0 or more"
        raise UserError(f"{name}={value!r} must be {what}")


def divisors(number: int, *, most: int | None = None) -> str:
    """The divisors of a number, up to `most`, as a message lists them: `1, 2, 4`."""
    return ", ".join(str(n) for n in range(1, min(number, most or number) + 1) if number % n == 0)


def is_our_decoder(shape: ModelShape) -> bool:
    """Whether `scaling/model/decoder.py` is of this architecture: RMSNorm, rotary positions, no biases, no experts."""
    return shape == ModelShape(
        width=shape.width,
        depth=shape.depth,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_width=shape.head_width,
        ffn_width=shape.ffn_width,
        vocab_size=shape.vocab_size,
        context=shape.context,
        ffn=shape.ffn,
        tied_head=shape.tied_head,
        qk_norm=shape.qk_norm,
    )
