"""Which rungs of the ladder a study trains at each compute budget."""

from functools import lru_cache
from math import log

from scaling.config.design import DesignConfig
from scaling.shape.ladder import shape_for
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape

_shape = lru_cache(maxsize=1024)(shape_for)
"""Budgets share rungs, and the search behind a shape grows with its width."""


def expected_params(design: DesignConfig, flops: float) -> float:
    """Total parameters expected to be best at a budget."""
    growth: float = (flops / design.expected_at_flops) ** design.expected_exponent
    return design.expected_params * growth


def shapes_at(design: DesignConfig, flops: float, like: ModelShape) -> list[ModelShape]:
    """The shapes that a study trains at a budget, by rising parameters, none twice.

    Args:
        design: budgets and sizes.
        flops: the budget.
        like: what the ladder leaves alone: vocabulary, context, feed-forward kind, tied head, QK-norm.

    Raises:
        UserError: a size lies below the smallest model of this vocabulary.
    """
    step = log(design.size_ratio)
    # Rungs are counted from the size expected at `expected_at_flops`, the same for every budget.
    middle = log(expected_params(design, flops) / design.expected_params) / step
    first = round(middle - (design.sizes - 1) / 2)
    shapes = [
        _shape(design.expected_params * design.size_ratio**rung, like)
        for rung in range(first, first + design.sizes)
    ]
    # Two targets can meet in one shape where integers leave no other: that run is planned once.
    return sorted(
        {count_params(shape).total: shape for shape in shapes}.values(), key=lambda s: count_params(s).total
    )
