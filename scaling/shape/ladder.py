"""The ladder of sizes: from a target parameter count to a decoder's shape, by one fixed rule of proportions.

Width is a whole number of heads. Depth is width / 24 (at least 2) for small models; wider models have fewer blocks for
their width. The feed-forward is about 8/3 as wide as the residual stream for SwiGLU (4 times for GELU); its width, and
one block more, make up for what whole heads and whole blocks miss of the target. With fixed proportions, size is the
only thing that changes along a study (Kaplan et al. 2020, section 3.1, found loss to depend on them only weakly).
"""

from dataclasses import replace
from math import log

from scaling.errors import UserError
from scaling.shape.params import count_params
from scaling.shape.shape import FFN_MULTIPLE, FFN_RATIO, ModelShape

SMALL_ASPECT, SMALL_WIDTH = 24, 384
"""Width over depth of models up to this width: 16 blocks at a width of 384."""
LARGE_ASPECT, LARGE_WIDTH = 128, 12_288
"""Width over depth at this width, as in GPT-3 175B (12,288 / 96: Brown et al. 2020, table 2.1)."""
MIN_DEPTH = 2
"""Blocks of the smallest models."""
HEAD_WIDTHS = ((32, 8), (128, 16), (512, 32), (2048, 64))
"""(limit, width of a head below that residual width); from the last limit on it is the customary 128."""
LARGEST_HEAD_WIDTH = 128
"""Width of a head in large models, as in GPT-3 and Llama."""
FFN_RATIO_SPAN = 1.5
"""The feed-forward width may be this many times wider or narrower than the rule's to come near the target."""
TOLERANCE = 0.02
"""Sizes within this share of the target count as equal; among them the shape nearest to the rule is taken."""


def head_width(width: int) -> int:
    """Width of one head at a residual width."""
    return next((size for limit, size in HEAD_WIDTHS if width < limit), LARGEST_HEAD_WIDTH)


def usual_depth(width: int) -> int:
    """Blocks at a residual width: width / 24 up to 384, width / 128 at 12,288, in between by a power law."""
    exponent = log(LARGE_ASPECT / SMALL_ASPECT) / log(LARGE_WIDTH / SMALL_WIDTH)
    aspect = SMALL_ASPECT * float(max(1.0, width / SMALL_WIDTH) ** exponent)
    return max(MIN_DEPTH, round(width / aspect))


def distance_from_rule(shape: ModelShape) -> float:
    """How far a shape's proportions are from the rule: log ratios of its feed-forward width and of its depth."""
    ffn_ratio = shape.ffn_width / (FFN_RATIO[shape.ffn] * shape.width)
    return abs(log(shape.depth / usual_depth(shape.width))) + abs(log(ffn_ratio))


def shape_for(target_params: float, like: ModelShape) -> ModelShape:
    """The shape on the ladder whose total parameters are nearest to a target (within 2 % any of them counts).

    Args:
        target_params: total parameters, embedding included.
        like: gives what the ladder does not choose: vocabulary, context, feed-forward kind, tied head, QK-norm.

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
    return min(near, key=distance_from_rule)


def _widths(target_params: float, like: ModelShape) -> list[int]:
    """Widths whose smallest and largest shapes bracket the target; the smallest width when none does."""
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
    """Shapes of a width, from the fewest parameters to the most."""
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
        for blocks in (usual_depth(width), usual_depth(width) + 1)
        for multiple in range(low, high + 1, step)
    ]
