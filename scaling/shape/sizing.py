"""A decoder for a parameter count that a budget asks for, in the proportions of the ladder (`scaling.shape.ladder`).

The ladder tries every shape, to make a study's sizes comparable. A budget's question needs one shape at once, up to
trillions of parameters, with heads that split over tensor-parallel devices: it is found by bisection, and the width of
the feed-forward makes up for what whole heads and whole blocks miss.
"""

from collections.abc import Callable
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


def shape_of_size(params: float, like: ModelShape, *, active: bool = False) -> ModelShape:
    """The decoder of about `params` total parameters (within 1 % from 0.3M up), otherwise like `like`.

    With `active` the parameters are those that a token uses. Experts are as wide as the ladder's feed-forward, unless
    `like` gives their width; then nothing makes up for what whole blocks miss, and sizes are further off.

    Raises:
        UserError: when `params` cannot hold even the smallest decoder with that vocabulary.
    """

    def size(shape: ModelShape) -> int:
        counts = count_params(shape)
        return counts.active if active else counts.total

    smallest = _shape(8, 2, _ffn_multiple(8), like)
    least = size(smallest)
    if params < least:
        raise UserError(
            f"{params:,.3g} parameters are too few for any model with a vocabulary of {like.vocab_size:,}: the "
            f"smallest has {least:,}; raise the budget or lower model.vocab_size (256 for bytes)"
        )
    copies = ffn_copies(like, active=active)
    low, high = 8, 16
    while _by_rule(high, like, copies) < params:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _by_rule(middle, like, copies) < params else (low, middle)
    # Widths of whole heads around the rule's; among those near enough in size, the best proportioned is taken.
    step = _width_step(high)
    widths = {max(8, step * (high // step + k)) for k in (-1, 0, 1, 2)}
    candidates = [_fitted(width, params, like, size, copies) for width in sorted(widths)]
    errors = [abs(size(shape) / params - 1) for shape in candidates]
    limit = max(TOLERANCE, min(errors))
    near = [shape for shape, error in zip(candidates, errors, strict=True) if error <= limit]
    return min(near, key=distance_from_rule)


def ffn_copies(like: ModelShape, *, active: bool) -> int:
    """Feed-forwards a block that count: one, or the experts (`active`: that a token visits) and shared ones."""
    if not like.experts:
        return 1
    return (like.experts_active if active else like.experts) + like.shared_experts


def _fitted(
    width: int, params: float, like: ModelShape, size: Callable[[ModelShape], int], copies: int
) -> ModelShape:
    """At a width: the depth whose size is nearest, and the feed-forward width that makes up for the rest."""
    hidden = usual_ffn_width(width, like.ffn)
    one_block = size(_shape(width, 1, hidden, like))
    block = size(_shape(width, 2, hidden, like)) - one_block
    blocks = max(2, round((params - one_block) / block) + 1)
    missing = params - size(_shape(width, blocks, hidden, like))
    matrices = 3 if like.ffn == "swiglu" else 2
    multiple = _ffn_multiple(width)
    wanted = hidden + missing / (blocks * matrices * width * copies)
    return _shape(width, blocks, max(multiple, round(wanted / multiple) * multiple), like)


def _shape(width: int, blocks: int, hidden: int, like: ModelShape) -> ModelShape:
    size = head_width(width)
    heads = max(1, width // size)
    return replace(
        like, width=width, depth=blocks, heads=heads, kv_heads=heads, head_width=size, ffn_width=hidden
    )


def _by_rule(width: int, like: ModelShape, copies: int) -> float:
    """About the parameters that the ladder's rule gives a width; rises with it, as bisection needs."""
    tables = like.vocab_size * width * (1 if like.tied_head else 2)
    hidden = like.expert_width if like.experts and like.expert_width else FFN_RATIO[like.ffn] * width
    ffn = copies * hidden * (3 if like.ffn == "swiglu" else 2) + like.experts
    return tables + usual_depth(width) * width * (4 * width + ffn)


def _width_step(width: int) -> int:
    multiple = next((heads for limit, heads in TENSOR_FRIENDLY_HEADS if width < limit), 8)
    return head_width(width) * multiple


def _ffn_multiple(width: int) -> int:
    return FINE_FFN_MULTIPLE if width < 1024 else COARSE_FFN_MULTIPLE
