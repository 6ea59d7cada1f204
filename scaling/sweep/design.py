"""From compute budgets to the runs worth training: an IsoFLOP design (Hoffmann et al., 2022, approach 2).

All budgets draw their sizes from one geometric ladder, so that neighbouring budgets share sizes and the budgets
of one size can share a trunk. At each budget the sizes lie evenly around the optimum expected there.
"""

from dataclasses import dataclass
from math import log

import numpy as np

from scaling.config.schema import DesignConfig
from scaling.shape.flops import train_flops_per_token
from scaling.shape.ladder import shape_for
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One run of a study, before it is trained."""

    shape: ModelShape
    tokens: float
    budget_flops: float
    seed: int

    @property
    def params_total(self) -> int:
        return count_params(self.shape).total


def budgets(design: DesignConfig) -> list[float]:
    """Compute budgets in FLOPs, evenly spaced in their logarithm."""
    if design.budgets == 1:
        return [design.max_flops]
    return [float(flops) for flops in np.geomspace(design.min_flops, design.max_flops, design.budgets)]


def expected_params(design: DesignConfig, flops: float) -> float:
    """Total parameters expected to be best at a budget."""
    growth: float = (flops / design.expected_at_flops) ** design.expected_exponent
    return design.expected_params * growth


def tokens_for(shape: ModelShape, flops: float, convention: str) -> float:
    """Tokens that spend a budget on a model, by the budget's FLOP convention."""
    if convention == "6nd":
        return flops / (6 * count_params(shape).total)
    return flops / train_flops_per_token(shape, "exact")


def plan(design: DesignConfig, like: ModelShape, seed: int) -> list[PlannedRun]:
    """The runs of an IsoFLOP study, by size, then budget, then seed.

    Args:
        design: budgets and sizes.
        like: what the ladder leaves alone: vocabulary, context, feed-forward kind, tied head, QK-norm.
        seed: the first seed.
    """
    step = log(design.size_ratio)
    chosen: dict[tuple[int, float], ModelShape] = {}
    for flops in budgets(design):
        # Rungs are counted from the size expected at `expected_at_flops`, the same for every budget.
        middle = log(expected_params(design, flops) / design.expected_params) / step
        first = round(middle - (design.sizes - 1) / 2)
        for rung in range(first, first + design.sizes):
            shape = shape_for(design.expected_params * design.size_ratio**rung, like)
            # Two targets can meet in one shape where integers leave no other: that run is planned once.
            chosen[(count_params(shape).total, flops)] = shape
    return [
        PlannedRun(
            shape=shape,
            tokens=tokens_for(shape, flops, design.convention),
            budget_flops=flops,
            seed=seed + replica,
        )
        for replica in range(design.seeds)
        for (_, flops), shape in sorted(chosen.items(), key=lambda item: item[0])
    ]


def jobs(runs: list[PlannedRun], share_trunks: bool) -> list[list[PlannedRun]]:
    """Runs grouped into training jobs: those of one shape and seed share a trunk, by rising tokens."""
    if not share_trunks:
        return [[run] for run in runs]
    groups: dict[tuple[ModelShape, int], list[PlannedRun]] = {}
    for run in runs:
        groups.setdefault((run.shape, run.seed), []).append(run)
    return [sorted(group, key=lambda run: run.tokens) for group in groups.values()]
