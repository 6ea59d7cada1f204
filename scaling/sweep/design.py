"""From compute budgets to the runs worth training: an IsoFLOP design (Hoffmann et al., 2022, approach 2).

All budgets draw their sizes from one geometric ladder, so that neighbouring budgets share sizes and the budgets
of one size can share a trunk. At each budget the sizes lie evenly around the optimum expected there.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import nan

import numpy as np

from scaling.config.schema import DesignConfig
from scaling.shape.flops import train_flops_per_token
from scaling.shape.ladder import TOLERANCE, shape_for
from scaling.shape.params import count_params
from scaling.shape.rungs import shapes_at
from scaling.shape.shape import ModelShape


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One run of a study, before it is trained."""

    shape: ModelShape
    tokens: float
    budget_flops: float
    """The IsoFLOP budget that it belongs to; NaN: none."""
    seed: int

    @property
    def params_total(self) -> int:
        return count_params(self.shape).total


def budgets(design: DesignConfig) -> list[float]:
    """Compute budgets in FLOPs, evenly spaced in their logarithm."""
    if design.budgets == 1:
        return [design.max_flops]
    return [float(flops) for flops in np.geomspace(design.min_flops, design.max_flops, design.budgets)]


def tokens_for(shape: ModelShape, flops: float, convention: str) -> float:
    """Tokens that spend a budget on a model, by the budget's FLOP convention."""
    if convention == "6nd":
        return flops / (6 * count_params(shape).total)
    return flops / train_flops_per_token(shape, "exact")


def planned_runs(design: DesignConfig, like: ModelShape, seed: int) -> list[PlannedRun]:
    """The runs of an IsoFLOP study, by size, then budget, then seed; or those that are listed, as they stand.

    Args:
        design: budgets and sizes.
        like: what the ladder leaves alone: vocabulary, context, feed-forward kind, tied head, QK-norm.
        seed: the first seed.
    """
    if design.runs:
        return [
            PlannedRun(
                shape=listed_shape(run.params, like),
                tokens=run.tokens,
                budget_flops=nan if run.budget_flops is None else run.budget_flops,
                seed=seed if run.seed is None else run.seed,
            )
            for run in design.runs
        ]
    chosen = {
        (count_params(shape).total, flops): shape
        for flops in budgets(design)
        for shape in shapes_at(design, flops, like)
    }
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


@lru_cache(maxsize=1024)
def listed_shape(params: float, like: ModelShape) -> ModelShape:
    """The ladder's shape of a listed run: the one of exactly so many parameters, where the ladder has it.

    A list names sizes that the ladder gave for other targets, and the ladder takes any shape within its tolerance for
    equal; so targets around the size are tried as well.
    """
    nearest = shape_for(params, like)
    for offset in np.linspace(-2 * TOLERANCE, 2 * TOLERANCE, 41):
        if count_params(nearest).total == round(params):
            break
        shape = shape_for(params * (1 + offset), like)
        if count_params(shape).total == round(params):
            nearest = shape
    return nearest


def jobs(runs: list[PlannedRun], share_trunks: bool) -> list[list[PlannedRun]]:
    """Runs grouped into training jobs: those of one shape and seed share a trunk, by rising tokens."""
    if not share_trunks:
        return [[run] for run in runs]
    groups: dict[tuple[ModelShape, int], list[PlannedRun]] = {}
    for run in runs:
        groups.setdefault((run.shape, run.seed), []).append(run)
    return [sorted(group, key=lambda run: run.tokens) for group in groups.values()]
