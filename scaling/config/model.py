"""The keys `model.…`: the shape of a decoder."""

from dataclasses import dataclass

from scaling.config.checks import one_of, require


@dataclass(kw_only=True)
class ModelConfig:
    """A decoder's shape: given in full, or left to the ladder by `target_params`."""

    target_params: float | None = None
    """Total parameters to aim at (embedding included); the ladder then chooses width, depth, heads and ffn_width."""
    width: int = 64
    """Residual stream width (d_model)."""
    depth: int = 3
    """Number of blocks."""
    heads: int | None = None
    """Query heads; null: width divided by the ladder's head width."""
    kv_heads: int | None = None
    """Key/value heads (grouped-query attention); null: as many as query heads."""
    ffn_width: int | None = None
    """Hidden width of the feed-forward network; null: 8/3 width for swiglu, 4 width for gelu."""
    ffn: str = "swiglu"
    """Feed-forward kind: swiglu (three matrices) or gelu (two)."""
    context: int = 128
    """Tokens in a sequence, in training and in validation."""
    tied_head: bool = True
    """Whether the output head shares the embedding's matrix."""
    qk_norm: bool = True
    """Whether queries and keys are RMS-normalised in each head; keeps training stable at high learning rates."""
    rope_base: float = 10_000.0
    """Base of the rotary embedding's frequencies."""

    def __post_init__(self) -> None:
        one_of("model.ffn", self.ffn, ("swiglu", "gelu"))
        for key in ("width", "depth", "context"):
            require(getattr(self, key) >= 1, f"model.{key}={getattr(self, key)}: must be at least 1")
        if self.target_params is not None:
            require(
                self.target_params >= 1000,
                f"model.target_params={self.target_params:g}: the ladder starts at 1000 parameters",
            )
