"""Attention that compares every token with those before it: full, in a window, in chunks, or through latents.

Each kind counts its own weights, its FLOPs and what it leaves in the cache of a served model. A mixer whose state does
not grow with the text is in `recurrence.py`.
"""

from dataclasses import dataclass
from typing import Literal

HeadNorms = Literal["none", "head", "whole"]
Gate = Literal["none", "head", "feature"]


@dataclass(frozen=True, kw_only=True)
class Attention:
    """Softmax attention over queries, keys and values (Vaswani et al. 2017; grouped queries: Ainslie et al. 2023)."""

    heads: int
    """Heads of queries."""
    kv_heads: int
    """Heads of keys and of values; a divisor of `heads`."""
    head_width: int
    """Features of a query or key head."""
    value_width: int | None = None
    """Features of a value head; None: `head_width`."""
    window: int | None = None
    """A token sees at most so many, itself included; None: all before it (Beltagy et al. 2020, arXiv:2004.05150)."""
    chunked: bool = False
    """The window does not slide: text is cut into chunks of `window` tokens, and a token sees its own (Llama 4)."""
    qkv_bias: bool = False
    """Queries, keys and values have biases."""
    key_bias: bool = True
    """Where `qkv_bias`, keys have one too; Whisper's and some later decoders' keys have none."""
    output_bias: bool = False
    head_norms: HeadNorms = "none"
    """Norms of queries and of keys: head_width weights that all heads share, or a weight for each feature (whole)."""
    head_norm_weights: int = 1
    """Numbers a feature of these norms: 0 without weights, 1 a weight, 2 a weight and a bias."""
    sinks: bool = False
    """One learned logit a head beside the scores (gpt-oss)."""
    gate: Gate = "none"
    """A sigmoid of the input that multiplies the output: one number a head, or one a feature (arXiv:2505.06708)."""
    relative_projection: bool = False
    """One more matrix, of relative positions (Transformer-XL, Gopher)."""
    shares_cache: bool = False
    """Reads keys and values of an earlier block in place of making its own (Brandon et al. 2024, arXiv:2405.12981)."""

    @property
    def query_width(self) -> int:
        """Features of all queries."""
        return self.heads * self.head_width

    @property
    def output_width(self) -> int:
        """Features that the output projection reads: of the values, one head for each of the queries'."""
        return self.heads * (self.value_width or self.head_width)

    @property
    def keys_and_values(self) -> int:
        """Features of all keys and all values."""
        return self.kv_heads * (self.head_width + (self.value_width or self.head_width))

    def kv_matrices(self, width: int) -> int:
        """Entries of the projections of keys and values; a device needs those of one head at least."""
        return 0 if self.shares_cache else width * self.keys_and_values

    def matrices(self, width: int) -> int:
        """Entries of all matrices that a token is multiplied with."""
        gate = {"none": 0, "head": self.heads, "feature": self.output_width}[self.gate]
        relative = self.query_width if self.relative_projection else 0
        return width * (self.query_width + gate + relative + self.output_width) + self.kv_matrices(width)

    def vectors(self, width: int) -> int:
        """Biases and sinks."""
        keys_and_values = 0 if self.shares_cache else self.keys_and_values
        if not self.key_bias and keys_and_values:
            keys_and_values -= self.kv_heads * self.head_width
        return (
            (self.query_width + keys_and_values) * self.qkv_bias
            + width * self.output_bias
            + self.heads * self.sinks
        )

    @property
    def norm_weights(self) -> int:
        """Weights of the norms inside."""
        keys = 0 if self.shares_cache else 1
        features = {
            "none": 0,
            "head": self.head_width * (1 + keys),
            "whole": self.query_width + keys * self.kv_heads * self.head_width,
        }[self.head_norms]
        return features * self.head_norm_weights

    @property
    def matrix_sides(self) -> int:
        """Features in and out of its matrices besides the residual width: what factored second moments keep."""
        return self.query_width + self.keys_and_values + self.output_width

    def positions(self, context: float, *, causal_half: bool) -> float:
        """Tokens that a token is compared with in a text of `context`, on average.

        Without `causal_half` a token is compared with its whole window, as a counter of matrix products sees it; with
        it only with those up to itself.
        """
        return positions_seen(context, self.window, chunked=self.chunked, causal_half=causal_half)

    def core_flops(self, context: float, *, causal_half: bool = False) -> float:
        """Forward FLOPs of a token in scores and weighted values, over a text of `context` tokens."""
        return 2 * (self.query_width + self.output_width) * self.positions(context, causal_half=causal_half)

    def cached_numbers(self, tokens: float) -> float:
        """Numbers in the cache after so many tokens: keys and values of those that can still be seen."""
        if self.shares_cache:
            return 0
        return self.keys_and_values * min(tokens, self.window or tokens)

    @property
    def state_numbers(self) -> int:
        """Numbers of a state that does not grow: none."""
        return 0

    def cache_split(self, tensor: int) -> int:
        """Devices over which tensor parallelism divides the cache: heads that are too few are repeated."""
        return min(tensor, self.kv_heads)


@dataclass(frozen=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention: low-rank queries, keys and values (DeepSeek-V2, arXiv:2405.04434, 2.1)."""

    heads: int
    query_rank: int | None
    """Width of the compressed query; None: queries are projected at once (DeepSeek-V2-Lite)."""
    kv_rank: int
    """Width of the compressed key and value; what the cache holds, beside the rotary key."""
    rope_width: int
    """Rotary features of a query or key; the rotary key is shared by all heads."""
    nope_width: int
    """Features of a query or key that carry no position."""
    value_width: int
    """Features of a value head."""
    bias: bool = False
    """The two projections down and the output have biases."""
    indexer: "Indexer | None" = None
    """Chooses the few tokens that a token is compared with (DeepSeek-V3.2); None: all."""

    @property
    def query_width(self) -> int:
        """Features of all queries, and of all keys once they are expanded."""
        return self.heads * (self.nope_width + self.rope_width)

    @property
    def output_width(self) -> int:
        """Features of all values."""
        return self.heads * self.value_width

    @property
    def keys_and_values(self) -> int:
        """What a token's keys and values are expanded from: their latent and the rotary key."""
        return self.kv_rank + self.rope_width

    def kv_matrices(self, width: int) -> int:
        """None are repeated: latents are counted with the rest."""
        return 0

    def matrices(self, width: int) -> int:
        """Down and up for queries, down and up for keys and values, output, and the indexer's."""
        expanded = self.query_width
        query = width * expanded if self.query_rank is None else self.query_rank * (width + expanded)
        kv_down = width * (self.kv_rank + self.rope_width)
        kv_up = self.kv_rank * self.heads * (self.nope_width + self.value_width)
        indexer = 0 if self.indexer is None else self.indexer.matrices(width, self.query_rank or width)
        return query + kv_down + kv_up + self.output_width * width + indexer

    def vectors(self, width: int) -> int:
        """Biases."""
        return self.bias * ((self.query_rank or 0) + self.keys_and_values + width)

    @property
    def norm_weights(self) -> int:
        """Weights of the norms of both latents, and of the indexer's keys (weight and bias)."""
        return (self.query_rank or 0) + self.kv_rank + (2 * self.indexer.width if self.indexer else 0)

    @property
    def matrix_sides(self) -> int:
        """Features in and out of its matrices besides the residual width."""
        return 2 * (self.query_rank or 0) + 2 * self.kv_rank + 2 * self.query_width + 2 * self.output_width

    def positions(self, context: float, *, causal_half: bool) -> float:
        """Tokens that a token is compared with in a text of `context`, on average."""
        chosen = None if self.indexer is None else self.indexer.top_tokens
        return positions_seen(context, chosen, chunked=False, causal_half=causal_half)

    def core_flops(self, context: float, *, causal_half: bool = False) -> float:
        """Forward FLOPs of a token in scores and weighted values, and in the indexer's own scores."""
        flops = 2 * (self.query_width + self.output_width) * self.positions(context, causal_half=causal_half)
        if self.indexer is not None:
            everything = positions_seen(context, None, chunked=False, causal_half=causal_half)
            flops += 2 * self.indexer.heads * self.indexer.width * everything
        return flops

    def cached_numbers(self, tokens: float) -> float:
        """Numbers in the cache after so many tokens: latents, rotary keys and the indexer's keys."""
        return tokens * (self.keys_and_values + (self.indexer.width if self.indexer else 0))

    @property
    def state_numbers(self) -> int:
        """Numbers of a state that does not grow: none."""
        return 0

    def cache_split(self, tensor: int) -> int:
        """Devices over which tensor parallelism divides the cache: latents are whole on each."""
        return 1


@dataclass(frozen=True, kw_only=True)
class Indexer:
    """A small attention whose scores choose the tokens that latent attention looks at (DeepSeek-V3.2, 2025)."""

    heads: int
    width: int
    """Features of a head of its queries, and of its one key."""
    top_tokens: int
    """Tokens that it chooses."""

    def matrices(self, width: int, query_rank: int) -> int:
        """Queries from the query latent; a key and a weight a head from the residual stream."""
        return query_rank * self.heads * self.width + width * (self.width + self.heads)


def positions_seen(context: float, window: int | None, *, chunked: bool, causal_half: bool) -> float:
    """Tokens that a token is compared with in a text of `context` tokens, on average over the text.

    `causal_half` counts only those up to the token itself: (T + 1)/2 of T without a window, and
    w − w(w − 1)/(2T) in a sliding one of w ≤ T; a chunk is a text of its own.
    """
    w = min(context, window or context)
    if not causal_half:
        return w
    if chunked:
        whole, rest = divmod(context, w)
        return (whole * w * (w + 1) + rest * (rest + 1)) / (2 * context)
    return w - w * (w - 1) / (2 * context)
