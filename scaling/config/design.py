"""The keys `design.…`: which runs a study trains."""

from dataclasses import dataclass, field
from typing import Annotated

from scaling.config.checks import one_of, require
from scaling.config.ranges import FLOPS, PARAMS, SEED, SHARE, TOKENS, Range, check_ranges


@dataclass(kw_only=True)
class ListedRun:
    """One run that is named by itself, as `scaling simulate` chooses them."""

    params: Annotated[float, PARAMS]
    """Total parameters: the ladder's nearest shape is trained."""
    tokens: Annotated[float, TOKENS]
    """Tokens that it is trained on."""
    seed: Annotated[int | None, SEED] = None
    """Its seed; null: the study's."""
    budget_flops: Annotated[float | None, FLOPS] = None
    """The IsoFLOP budget that it belongs to, in FLOPs; null: none."""

    def __post_init__(self) -> None:
        check_ranges(self, "design.runs: ")


@dataclass(kw_only=True)
class DesignConfig:
    """Which runs a study trains: IsoFLOP budgets, and sizes around the optimum expected at each; or a list of runs."""

    runs: list[ListedRun] = field(default_factory=list)
    """Runs named one by one, in place of budgets and sizes; design=FILE reads them from a YAML or CSV file."""

    min_flops: Annotated[float, FLOPS] = 1e11
    """Smallest compute budget, in FLOPs."""
    max_flops: Annotated[float, FLOPS] = 2.7e12
    """Largest compute budget, in FLOPs; the report also predicts it from the smaller ones and prints the error."""
    budgets: Annotated[int, Range(at_least=1, at_most=10_000)] = 4
    """Number of budgets, evenly spaced in log compute from min_flops to max_flops."""
    sizes: Annotated[int, Range(at_least=1, at_most=10_000)] = 5
    """Number of model sizes at each budget."""
    size_ratio: Annotated[float, Range(above=1, at_most=1e6)] = 1.8
    """Parameters of one size divided by those of the next smaller size."""
    expected_params: Annotated[float, PARAMS] = 33e3
    """Total parameters expected to be best at `expected_at_flops`: the middle of the valley."""
    expected_at_flops: Annotated[float, FLOPS] = 3e11
    """Compute, in FLOPs, at which `expected_params` is expected to be best."""
    expected_exponent: Annotated[float, SHARE] = 0.5
    """How the best size is expected to grow with compute: the exponent a of N ∝ C ** a."""
    convention: str = "6nd"
    """How a budget counts FLOPs: 6nd (six times total parameters times tokens) or exact (with attention and head)."""
    share_trunks: bool = True
    """Whether the budgets of one size share a trunk (wsd); otherwise every run is trained alone."""
    seeds: Annotated[int, Range(at_least=1, at_most=10_000)] = 1
    """Repetitions of every run, with seeds seed, seed + 1, …"""

    def __post_init__(self) -> None:
        check_ranges(self, "design.")
        require(
            self.min_flops <= self.max_flops,
            f"design.max_flops={self.max_flops:g}: must not be below design.min_flops={self.min_flops:g}",
        )
        one_of("design.convention", self.convention, ("6nd", "exact"))
