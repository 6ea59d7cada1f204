"""The keys `optim.…`: optimizer, learning rate and batch."""

from dataclasses import dataclass

from scaling.config.checks import require


@dataclass(kw_only=True)
class OptimConfig:
    """The keys that every optimizer has. What null stands for is decided in `scaling/training/optim.py`."""

    kind: str
    """Name of the optimizer: adamw or muon. Part of every record, since the fitted law depends on it."""
    lr: float | None = None
    """Peak learning rate; null: lr_reference * (N / 1e5) ** -lr_exponent, with N total parameters."""
    lr_reference: float
    """Peak learning rate of a model of 1e5 parameters."""
    lr_exponent: float
    """How fast the peak learning rate falls with the number of parameters."""
    batch_tokens: int | None = None
    """Tokens in an optimizer step, the same throughout; null: the batch doubles as training goes on, and stays below
    batch_reference * (tokens seen / 1e6) ** batch_exponent."""
    batch_smallest: int = 512
    """Tokens in a step at the start."""
    batch_reference: int = 1024
    """Tokens in a step once 1e6 tokens have been seen."""
    batch_exponent: float = 0.75
    """How fast the batch grows with the tokens seen; 0: batch_reference throughout."""
    weight_decay: float = 0.1
    """Decoupled weight decay, on matrices only."""
    beta1: float = 0.9
    """AdamW: decay of the first moment."""
    beta2: float = 0.95
    """AdamW: decay of the second moment."""
    eps: float = 1e-8
    """AdamW: added to the denominator."""
    grad_clip: float | None = 1.0
    """Largest global gradient norm; null: no clipping."""

    def __post_init__(self) -> None:
        for key in ("lr", "lr_reference", "batch_tokens", "batch_smallest", "batch_reference", "grad_clip"):
            value = getattr(self, key)
            require(value is None or value > 0, f"optim.{key}={value}: must be positive")
        for key in ("beta1", "beta2"):
            value = getattr(self, key)
            require(0 <= value < 1, f"optim.{key}={value}: must lie in [0, 1)")
        require(self.batch_exponent >= 0, f"optim.batch_exponent={self.batch_exponent}: must not be negative")
        require(self.weight_decay >= 0, f"optim.weight_decay={self.weight_decay}: must not be negative")


@dataclass(kw_only=True)
class AdamWConfig(OptimConfig):
    """AdamW (Loshchilov and Hutter, 2019), fused."""

    kind: str = "adamw"
    lr_reference: float = 6e-3
    lr_exponent: float = 0.25


@dataclass(kw_only=True)
class MuonConfig(OptimConfig):
    """Muon (Jordan, 2024) on the hidden matrices, AdamW on embedding, head and norms."""

    kind: str = "muon"
    lr_reference: float = 3.8e-3
    lr_exponent: float = 0.35
    muon_lr_ratio: float = 3.0
    """Learning rate of the hidden matrices (orthogonalised updates) divided by that of all other weights."""
    momentum: float = 0.95
    """Nesterov momentum of the hidden matrices."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.muon_lr_ratio > 0, f"optim.muon_lr_ratio={self.muon_lr_ratio}: must be positive")
        require(0 <= self.momentum < 1, f"optim.momentum={self.momentum}: must lie in [0, 1)")
