"""The keys `design.…`: which runs a study trains."""

from dataclasses import dataclass
from math import inf

from scaling.config.checks import one_of, require


@dataclass(kw_only=True)
class DesignConfig:
    """Which runs a study trains: IsoFLOP budgets, and sizes around the optimum expected at each."""

    min_flops: float = 1e11
    """Smallest compute budget, in FLOPs."""
    max_flops: float = 2.7e12
    """Largest compute budget, in FLOPs; the report also predicts it from the smaller ones and prints the error."""
    budgets: int = 4
    """Number of budgets, evenly spaced in log compute from min_flops to max_flops."""
    sizes: int = 5
    """Number of model sizes at each budget."""
    size_ratio: float = 1.8
    """Parameters of one size divided by those of the next smaller size."""
    expected_params: float = 33e3
    """Total parameters expected to be best at `expected_at_flops`: the middle of the valley."""
    expected_at_flops: float = 3e11
    """Compute, in FLOPs, at which `expected_params` is expected to be best."""
    expected_exponent: float = 0.5
    """How the best size is expected to grow with compute: the exponent a of N ∝ C ** a."""
    convention: str = "6nd"
    """How a budget counts FLOPs: 6nd (six times total parameters times tokens) or exact (with attention and head)."""
    share_trunks: bool = True
    """Whether the budgets of one size share a trunk (wsd); otherwise every run is trained alone."""
    seeds: int = 1
    """Repetitions of every run, with seeds seed, seed + 1, …"""

    def __post_init__(self) -> None:
        require(0 < self.min_flops < inf, f"design.min_flops={self.min_flops:g}: must be finite and positive")
        require(
            self.min_flops <= self.max_flops < inf,
            f"design.max_flops={self.max_flops:g}: must be finite, and not below design.min_flops={self.min_flops:g}",
        )
        require(self.budgets >= 1, f"design.budgets={self.budgets}: must be at least 1")
        require(self.sizes >= 1, f"design.sizes={self.sizes}: must be at least 1")
        require(self.size_ratio > 1, f"design.size_ratio={self.size_ratio}: must be above 1")
        require(self.seeds >= 1, f"design.seeds={self.seeds}: must be at least 1")
        one_of("design.convention", self.convention, ("6nd", "exact"))
