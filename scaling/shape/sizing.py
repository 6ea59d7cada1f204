"""A decoder for a parameter count that a budget asks for, in the proportions of the ladder (`scaling.shape.ladder`).

The ladder tries every shape, to make a study's sizes comparable. A budget's question needs one shape at once, up to
trillions of parameters, with heads that split over tensor-parallel devices: it is found by bisection, and the width of
the feed-forward makes up for what whole heads and whole blocks miss.
"""

from dataclasses import replace

from scaling.errors import UserError
from scaling.shape.ladder import distance_from_rule, head_width, usual_depth
from scaling.shape.params import count_params
from scaling.shape.shape import FFN_RATIO, ModelShape, usual_ffn_width

TENSOR_FRIENDLY_HEADS = ((1024, 1), (2048, 4))
"""(limit, heads): below this width the number of heads is a multiple of that; above, of 8, the devices of a node."""
TOLERANCE = 0.01
"""Shapes this near to the size asked for count as equal."""
FINE_FFN_MULTIPLE, COARSE_FFN_MULTIPLE = 8, 64
"""Feed-forward widths are multiples of the first below a width of 1024, of the second above (matrix tiles)."""


def shape_of_size(params: float, like: ModelShape) -> ModelShape:
    """The decoder of about `params` total parameters (within 1 % from 0.3M up), otherwise like `like`.

    Raises:
        UserError: when `params` cannot hold even the smallest decoder with that vocabulary.
    """
    smallest = _shape(8, 2, _ffn_multiple(8), like)
    least = count_params(smallest).total
    if params < least:
        raise UserError(
            f"{params:,.3g} parameters are too few for any model with a vocabulary of {like.vocab_size:,}: the "
            f"smallest has {least:,}; raise the budget or lower model.vocab_size (256 for bytes)"
        )
    low, high = 8, 16
    while _by_rule(high, like) < params:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _by_rule(middle, like) < params else (low, middle)
    # Widths of whole heads around the rule's; among those near enough in size, the best proportioned is taken.
    step = _width_step(high)
    widths = {max(8, step * (high // step + k)) for k in (-1, 0, 1, 2)}
    candidates = [_fitted(width, params, like) for width in sorted(widths)]
    errors = [abs(count_params(shape).total / params - 1) for shape in candidates]
    limit = max(TOLERANCE, min(errors))
    near = [shape for shape, error in zip(candidates, errors, strict=True) if error <= limit]
    return min(near, key=distance_from_rule)


def _fitted(width: int, params: float, like: ModelShape) -> ModelShape:
    """At a width: the depth whose size is nearest, and the feed-forward width that makes up for the rest."""
    hidden = usual_ffn_width(width, like.ffn)
    one_block = count_params(_shape(width, 1, hidden, like)).total
    block = count_params(_shape(width, 2, hidden, like)).total - one_block
    blocks = max(2, round((params - one_block) / block) + 1)
    missing = params - count_params(_shape(width, blocks, hidden, like)).total
    matrices = 3 if like.ffn == "swiglu" else 2
    multiple = _ffn_multiple(width)
    wanted = hidden + missing / (blocks * matrices * width)
    return _shape(width, blocks, max(multiple, round(wanted / multiple) * multiple), like)


def _shape(width: int, blocks: int, hidden: int, like: ModelShape) -> ModelShape:
    size = head_width(width)
    heads = max(1, width // size)
    return replace(
        like, width=width, depth=blocks, heads=heads, kv_heads=heads, head_width=size, ffn_width=hidden
    )


def _by_rule(width: int, like: ModelShape) -> float:
    """About the parameters that the ladder's rule gives a width; rises with it, as bisection needs."""
    tables = like.vocab_size * width * (1 if like.tied_head else 2)
    hidden = FFN_RATIO[like.ffn] * width * (3 if like.ffn == "swiglu" else 2)
    return tables + usual_depth(width) * width * (4 * width + hidden)


def _width_step(width: int) -> int:
    multiple = next((heads for limit, heads in TENSOR_FRIENDLY_HEADS if width < limit), 8)
    return head_width(width) * multiple


def _ffn_multiple(width: int) -> int:
    return FINE_FFN_MULTIPLE if width < 1024 else COARSE_FFN_MULTIPLE
