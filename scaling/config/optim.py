"""The keys `optim.…`: optimizer, learning rate and batch."""

from dataclasses import dataclass
from typing import Annotated

from scaling.config.ranges import COUNT, POSITIVE, Range, check_ranges


@dataclass(kw_only=True)
class OptimConfig:
    """The keys that every optimizer has. What null stands for is decided in `scaling/training/optim.py`."""

    kind: str
    """Name of the optimizer: adamw or muon. Part of every record, since the fitted law depends on it."""
    lr: Annotated[float | None, Range(above=0, at_most=1e6)] = None
    """Peak learning rate; null: lr_reference * (N / 1e5) ** -lr_exponent, with N total parameters."""
    lr_reference: Annotated[float, Range(above=0, at_most=1e6)]
    """Peak learning rate of a model of 1e5 parameters."""
    lr_exponent: Annotated[float, Range(at_least=-10, at_most=10)]
    """How fast the peak learning rate falls with the number of parameters."""
    batch_tokens: Annotated[int | None, COUNT] = None
    """Tokens in an optimizer step, the same throughout; null: the batch doubles as training goes on, and stays below
    batch_reference * (tokens seen / 1e6) ** batch_exponent."""
    batch_smallest: Annotated[int, COUNT] = 512
    """Tokens in a step at the start."""
    batch_reference: Annotated[int, COUNT] = 1024
    """Tokens in a step once 1e6 tokens have been seen."""
    batch_exponent: Annotated[float, Range(at_least=0, at_most=10)] = 0.75
    """How fast the batch grows with the tokens seen; 0: batch_reference throughout."""
    weight_decay: Annotated[float, Range(at_least=0, at_most=1e6)] = 0.1
    """Decoupled weight decay, on matrices only."""
    beta1: Annotated[float, Range(at_least=0, below=1)] = 0.9
    """AdamW: decay of the first moment."""
    beta2: Annotated[float, Range(at_least=0, below=1)] = 0.95
    """AdamW: decay of the second moment."""
    eps: Annotated[float, Range(at_least=0, at_most=1)] = 1e-8
    """AdamW: added to the denominator."""
    grad_clip: Annotated[float | None, POSITIVE] = 1.0
    """Largest global gradient norm; null: no clipping."""

    def __post_init__(self) -> None:
        check_ranges(self, "optim.")


@dataclass(kw_only=True)
class AdamWConfig(OptimConfig):
    """AdamW (Loshchilov and Hutter, 2019), fused."""

    kind: str = "adamw"
    lr_reference: Annotated[float, Range(above=0, at_most=1e6)] = 6e-3
    lr_exponent: Annotated[float, Range(at_least=-10, at_most=10)] = 0.25


@dataclass(kw_only=True)
class MuonConfig(OptimConfig):
    """Muon (Jordan, 2024) on the hidden matrices, AdamW on embedding, head and norms."""

    kind: str = "muon"
    lr_reference: Annotated[float, Range(above=0, at_most=1e6)] = 3.8e-3
    lr_exponent: Annotated[float, Range(at_least=-10, at_most=10)] = 0.35
    muon_lr_ratio: Annotated[float, Range(above=0, at_most=1e6)] = 3.0
    """Learning rate of the hidden matrices (orthogonalised updates) divided by that of all other weights."""
    momentum: Annotated[float, Range(at_least=0, below=1)] = 0.95
    """Nesterov momentum of the hidden matrices."""
