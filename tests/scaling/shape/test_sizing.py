"""A decoder of the size asked for, in the ladder's proportions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.errors import UserError
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape
from scaling.shape.sizing import shape_of_size


def like(vocab_size: int) -> ModelShape:
    return ModelShape(
        width=64, depth=2, heads=1, kv_heads=1, head_width=64, ffn_width=64, vocab_size=vocab_size, context=1024,
        tied_head=True, qk_norm=True,
    )  # fmt: skip


@given(exponent=st.floats(6.3, 13), vocab_size=st.sampled_from([256, 50_257]))
@settings(max_examples=200, deadline=None)
def test_shapes_come_within_one_percent_of_the_size_asked_for(exponent: float, vocab_size: int) -> None:
    shape = shape_of_size(10**exponent, like(vocab_size))
    assert count_params(shape).total == pytest.approx(10**exponent, rel=0.01)
    assert shape.width == shape.heads * shape.head_width
    if shape.width >= 2048:
        assert shape.heads % 8 == 0  # splits over a node
    if vocab_size * shape.width < 10**exponent / 2:  # else the embedding leaves the blocks next to nothing
        assert 0.4 < shape.ffn_width / (8 / 3 * shape.width) < 2.5


def test_too_few_parameters_are_refused_with_the_least_possible() -> None:
    with pytest.raises(UserError, match="too few for any model with a vocabulary of 32,000"):
        shape_of_size(100_000, like(32_000))
