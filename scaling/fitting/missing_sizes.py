"""Sizes that would show a sweep's missing minima: those that its ladder has, and the keys that ask for them."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from analysis.formats import compute
from analysis.isoflop import Valleys
from analysis.study import Refused
from analysis.valley import RefusedValley
from scaling.config.design import DesignConfig
from scaling.errors import UserError
from scaling.records.folder import STUDY_CONFIG
from scaling.shape.ladder import shape_for
from scaling.shape.params import count_params
from scaling.shape.rungs import shapes_at
from scaling.shape.shape import ModelShape

TEMPLATE = ("ffn", "vocab_size", "context", "tied_head", "qk_norm")
"""Columns of the records that the ladder leaves alone."""
MORE_SIZES = 12
"""Most sizes that are added to a design to reach those that are missing."""

Count = Callable[[ModelShape], int]
COUNTS: dict[str | None, Count] = {
    None: lambda shape: count_params(shape).total,
    "params_total": lambda shape: count_params(shape).total,
    "params_non_embedding": lambda shape: count_params(shape).non_embedding,
}
"""Column of the parameters, as the user named it → the count that it holds."""


@dataclass(frozen=True)
class Ladder:
    """The sizes that a sweep can train."""

    like: ModelShape
    design: DesignConfig | None
    """None: not known, so that no key can be named."""
    count: Count


def read_design(folder: Path) -> DesignConfig | None:
    """The design of the sweep in a folder; None where it holds none that can be read."""
    file = folder / STUDY_CONFIG
    if not file.is_file():
        return None
    try:
        design = yaml.safe_load(file.read_text(encoding="utf-8"))["design"]
        known = {item.name for item in fields(DesignConfig)}
        return DesignConfig(**{key: value for key, value in design.items() if key in known})
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError):
        return None  # the fit does not need the file: it then names no keys


def ladder_of(rows: pd.DataFrame, params: str | None, design: DesignConfig | None) -> Ladder | None:
    """The ladder of a sweep's records; None where they are of several kinds of models, or of none that is known.

    Args:
        rows: the records that are fitted.
        params: the column of the parameters, where the user named one.
        design: the sweep's design, where it is known.
    """
    like = template(rows)
    return None if like is None or params not in COUNTS else Ladder(like, design, COUNTS[params])


def propose_from_ladder(part: Valleys | Refused, ladder: Ladder) -> Valleys | Refused:
    """Valleys whose refused budgets name sizes of the ladder, and how to ask for them."""
    if isinstance(part, Refused):
        return part
    return replace(part, refused=tuple(propose(valley, ladder) for valley in part.refused))


def template(rows: pd.DataFrame) -> ModelShape | None:
    """A shape with all that the runs of a sweep share; None where these are no such runs."""
    if not set(TEMPLATE) <= set(rows.columns) or len(rows[list(TEMPLATE)].drop_duplicates()) != 1:
        return None
    first = rows.iloc[0]
    return ModelShape(
        width=8,
        depth=1,
        heads=1,
        kv_heads=1,
        head_width=8,
        ffn_width=8,
        ffn=first["ffn"],
        vocab_size=int(first["vocab_size"]),
        context=int(first["context"]),
        tied_head=bool(first["tied_head"]),
        qk_norm=bool(first["qk_norm"]),
    )


def propose(valley: RefusedValley, ladder: Ladder) -> RefusedValley:
    """A refused budget with sizes of the ladder, and the keys that ask for them, in place of sizes by calculation."""
    design = ladder.design
    if not valley.sizes_to_add:
        if design is None or "flat within its noise" not in valley.reason:
            return valley
        wider = f"design.sizes={design.sizes + 2} widens the sizes, design.seeds={design.seeds + 1} repeats the runs"
        return replace(valley, remedy=wider)
    tried = valley.points["params"].tolist()
    smaller = valley.sizes_to_add[0] < min(tried)

    def beyond(shapes: list[ModelShape]) -> list[int]:
        sizes = sorted({ladder.count(shape) for shape in shapes}, reverse=smaller)
        return [size for size in sizes if (size < min(tried) if smaller else size > max(tried))]

    if design is None:
        sizes = beyond([shape for size in valley.sizes_to_add for shape in nearest_shape(size, ladder.like)])
        return replace(valley, sizes_to_add=tuple(map(float, sizes)), remedy=no_more(sizes, ladder))
    sizes, asked = wider_design(design, valley.budget_flops, ladder.like, beyond, len(valley.sizes_to_add))
    if sizes:
        if asked == design:
            remedy = "they are planned but not trained: run the sweep again"
        else:
            remedy = f"ask for them with {keys_of(design, asked)}"
        return replace(valley, sizes_to_add=tuple(map(float, sizes)), remedy=remedy)
    return replace(valley, sizes_to_add=(), remedy=no_more(sizes, ladder) + larger_budget(design, valley))


def nearest_shape(params: float, like: ModelShape) -> list[ModelShape]:
    """The ladder's shape nearest to a size, none where that lies below the smallest."""
    try:
        return [shape_for(params, like)]
    except UserError:
        return []


def wider_design(
    design: DesignConfig,
    flops: float,
    like: ModelShape,
    beyond: Callable[[list[ModelShape]], list[int]],
    wanted: int,
) -> tuple[list[int], DesignConfig]:
    """The new sizes at a budget, as many as are wanted or exist, and the design with the fewest that has them.

    A design is passed over whose smallest budget would need a model smaller than the smallest: budgets below this one
    are then left out, until none is.
    """
    budgets = [float(budget) for budget in np.geomspace(design.min_flops, design.max_flops, design.budgets)]
    best: tuple[list[int], DesignConfig] = ([], design)
    below = [k for k, budget in enumerate(budgets) if budget <= flops * 1.001]
    for first in below:
        for more in range(MORE_SIZES + 1):
            wider = replace(
                design, min_flops=budgets[first], budgets=design.budgets - first, sizes=design.sizes + more
            )
            try:
                for budget in budgets[first:]:
                    shapes_at(wider, budget, like)
                sizes = beyond(shapes_at(wider, flops, like))
            except UserError:
                break
            if len(sizes) > len(best[0]):
                best = sizes, wider
            if len(sizes) >= wanted:
                return best
        if best[0]:
            return best
    return best


def keys_of(design: DesignConfig, asked: DesignConfig) -> str:
    """The keys in which two designs differ, as a command line gives them."""
    changed = [
        item.name for item in fields(DesignConfig) if getattr(design, item.name) != getattr(asked, item.name)
    ]
    return " ".join(f"design.{name}={getattr(asked, name):.6g}" for name in changed)


def no_more(sizes: list[int], ladder: Ladder) -> str:
    """That the ladder ends, where no size is left."""
    if sizes:
        return ""
    return f"no smaller model exists on the ladder with a vocabulary of {ladder.like.vocab_size}"


def larger_budget(design: DesignConfig, valley: RefusedValley) -> str:
    """How to trade a budget that is too small for the ladder for a larger one."""
    if valley.budget_flops > design.min_flops * 1.001 or design.budgets == 1:
        return "; a larger budget has a larger best size (design.min_flops, design.max_flops)"
    ratio = (design.max_flops / design.min_flops) ** (1 / (design.budgets - 1))
    return (
        "; a larger budget has a larger best size: leave this one out with "
        f"design.min_flops={compute(design.min_flops * ratio)} design.max_flops={compute(design.max_flops * ratio)}"
    )
