"""The keys `model.…`: the shape of a decoder."""

from dataclasses import dataclass
from typing import Annotated

from scaling.config.checks import one_of
from scaling.config.ranges import LARGEST_PARAMS, Range, check_ranges


@dataclass(kw_only=True)
class ModelConfig:
    """A decoder's shape: given in full, or left to the ladder by `target_params`."""

    target_params: Annotated[float | None, Range(at_least=1000, at_most=LARGEST_PARAMS)] = None
    """Total parameters to aim at (embedding included); the ladder then chooses width, depth, heads and ffn_width."""
    width: Annotated[int, Range(at_least=1, at_most=10**6)] = 64
    """Residual stream width (d_model)."""
    depth: Annotated[int, Range(at_least=1, at_most=10**6)] = 3
    """Number of blocks."""
    heads: Annotated[int | None, Range(at_least=1, at_most=10**6)] = None
    """Query heads; null: width divided by the ladder's head width."""
    kv_heads: Annotated[int | None, Range(at_least=1, at_most=10**6)] = None
    """Key/value heads (grouped-query attention); null: as many as query heads."""
    ffn_width: Annotated[int | None, Range(at_least=1, at_most=10**7)] = None
    """Hidden width of the feed-forward network; null: 8/3 width for swiglu, 4 width for gelu."""
    ffn: str = "swiglu"
    """Feed-forward kind: swiglu (three matrices) or gelu (two)."""
    context: Annotated[int, Range(at_least=1, at_most=10**9)] = 128
    """Tokens in a sequence, in training and in validation."""
    tied_head: bool = True
    """Whether the output head shares the embedding's matrix."""
    qk_norm: bool = True
    """Whether queries and keys are RMS-normalised in each head; keeps training stable at high learning rates."""
    rope_base: Annotated[float, Range(at_least=1, at_most=1e15)] = 10_000.0
    """Base of the rotary embedding's frequencies."""

    def __post_init__(self) -> None:
        one_of("model.ffn", self.ffn, ("swiglu", "gelu"))
        check_ranges(self, "model.")
