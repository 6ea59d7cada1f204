"""A shape for a budget's size: near enough in parameters, with heads that split over devices."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.errors import UserError
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape, decoder_shape
from scaling.shape.sizing import TOLERANCE, shape_of_size

LIKE = decoder_shape(width=64, depth=2, heads=4, vocab_size=32_000, context=2048)


@pytest.mark.parametrize("params", [10e6, 124e6, 1.3e9, 7e9, 70e9, 405e9, 2e12])
def test_sizes_are_met_and_heads_and_features_split_over_devices(params: float) -> None:
    shape = shape_of_size(params, LIKE)
    assert count_params(shape).total == pytest.approx(params, rel=TOLERANCE)
    assert shape.width == shape.heads * shape.head_width
    assert shape.heads % (1 if shape.width < 1024 else 4 if shape.width < 2048 else 8) == 0
    assert shape.ffn_width % (8 if shape.width < 1024 else 64) == 0
    assert shape.vocab_size == LIKE.vocab_size


def test_too_few_parameters_are_refused_with_the_least_possible() -> None:
    with pytest.raises(UserError, match="too few for any model with a vocabulary of 32,000"):
        shape_of_size(100_000, LIKE)


def like(vocab_size: int) -> ModelShape:
    return ModelShape(
        width=64, depth=2, heads=1, kv_heads=1, head_width=64, ffn_width=64, vocab_size=vocab_size, context=1024,
        tied_head=True, qk_norm=True,
    )  # fmt: skip


@given(exponent=st.floats(6.3, 13), vocab_size=st.sampled_from([256, 50_257]))
@settings(max_examples=200, deadline=None)
def test_any_size_is_met_within_the_tolerance(exponent: float, vocab_size: int) -> None:
    shape = shape_of_size(10**exponent, like(vocab_size))
    assert count_params(shape).total == pytest.approx(10**exponent, rel=TOLERANCE)
    if vocab_size * shape.width < 10**exponent / 2:  # Else the embedding leaves the blocks next to nothing.
        assert 0.4 < shape.ffn_width / (8 / 3 * shape.width) < 2.5
