"""From a target parameter count to a decoder's shape, by one fixed aspect rule.

The rule: width is a whole number of heads; depth is width / 24 (at least 2), deepening slowly as models grow;
the feed-forward network is about 8/3 as wide as the residual stream for SwiGLU (4 times for GELU), and absorbs
what whole heads and whole blocks leave over; where it cannot, one block more is allowed. Keeping proportions
fixed keeps size the only thing that changes along a study (Kaplan et al., 2020, section 3.1, found loss to
depend on them only weakly).
"""

from dataclasses import replace
from math import log

from scaling.errors import UserError
from scaling.shape.params import count_params
from scaling.shape.shape import FFN_MULTIPLE, FFN_RATIO, ModelShape

WIDTH_PER_BLOCK = 24  # residual width for each block of depth, up to MAX_ASPECT below
MIN_DEPTH = 2
# A head's width grows with the model, from 8 in the smallest to the customary 128.
HEAD_WIDTHS = ((32, 8), (128, 16), (512, 32), (2048, 64))
LARGEST_HEAD_WIDTH = 128
FFN_RATIO_SPAN = 1.5  # how far from FFN_RATIO the feed-forward width may be moved to hit the target
TOLERANCE = 0.02  # shapes this near to the target count as equal; the one nearest to the rule wins
MAX_ASPECT = 128  # width over depth of large models, as in GPT-3 175B (12288 / 96)


def head_width(width: int) -> int:
    """Width of one head at a residual width."""
    return next((size for limit, size in HEAD_WIDTHS if width < limit), LARGEST_HEAD_WIDTH)


def depth(width: int) -> int:
    """Blocks at a residual width: width / 24 while models are small, width / 128 at 12,288, in between by power law."""
    # The aspect (width over depth) grows from 24 at width 384 to 128 at width 12,288.
    aspect = WIDTH_PER_BLOCK * max(1.0, width / 384) ** (
        log(MAX_ASPECT / WIDTH_PER_BLOCK) / log(12_288 / 384)
    )
    return max(MIN_DEPTH, round(width / aspect))


def shape_for(target_params: float, like: ModelShape) -> ModelShape:
    """The shape on the ladder whose total parameters come nearest to a target.

    Args:
        target_params: total parameters, embedding included.
        like: what the ladder leaves alone: vocabulary, context, feed-forward kind, tied head, QK-norm.

    Raises:
        UserError: when even the smallest shape is more than twice the target.
    """
    # Total parameters rise with width, so the widths worth trying bracket the target.
    candidates = [shape for width in _widths(target_params, like) for shape in _at_width(width, like)]
    errors = [abs(log(count_params(shape).total / target_params)) for shape in candidates]
    best = min(errors)
    if best > log(2) and target_params < count_params(candidates[0]).total:
        smallest = min(count_params(shape).total for shape in candidates)
        raise UserError(
            f"{target_params:g} parameters are too few for a vocabulary of {like.vocab_size}: the smallest model "
            f"has {smallest:,}; ask for more or use a smaller vocabulary"
        )
    near = [s for s, error in zip(candidates, errors, strict=True) if error <= max(best, TOLERANCE)]
    return min(near, key=_departure)


def _departure(shape: ModelShape) -> float:
    """How far a shape stands from the rule: log ratios of its feed-forward width and its depth."""
    return abs(log(shape.ffn_width / (FFN_RATIO[shape.ffn] * shape.width))) + abs(
        log(shape.depth / depth(shape.width))
    )


def _widths(target_params: float, like: ModelShape) -> list[int]:
    """Widths whose smallest and largest shapes bracket the target; the first of all when none does."""
    widths: list[int] = []
    width = 8
    while True:
        shapes = _at_width(width, like)
        if count_params(shapes[0]).total > 1.1 * target_params:
            return widths or [width]
        if count_params(shapes[-1]).total > target_params / 1.1:
            widths.append(width)
        width += head_width(width)


def _at_width(width: int, like: ModelShape) -> list[ModelShape]:
    size = head_width(width)
    rule = FFN_RATIO[like.ffn] * width
    low = max(1, round(rule / FFN_RATIO_SPAN / FFN_MULTIPLE))
    high = max(low, round(rule * FFN_RATIO_SPAN / FFN_MULTIPLE))
    step = max(1, (high - low) // 32)
    heads = width // size
    return [
        replace(
            like,
            width=width,
            depth=blocks,
            heads=heads,
            kv_heads=heads,
            head_width=size,
            ffn_width=FFN_MULTIPLE * multiple,
        )
        for blocks in (depth(width), depth(width) + 1)
        for multiple in range(low, high + 1, step)
    ]
