"""The ladder's proportions at the sizes that they are taken from."""

import pytest

from scaling.shape.ladder import distance_from_rule, head_width, shape_for, usual_depth
from scaling.shape.params import count_params
from scaling.shape.published_models import PUBLISHED
from scaling.shape.shape import decoder_shape, usual_ffn_width

LIKE = decoder_shape(width=64, depth=2, heads=4, vocab_size=256, context=128)


def test_depth_is_a_24th_of_small_widths_and_that_of_gpt3_at_its_width() -> None:
    assert [usual_depth(width) for width in (8, 48, 384)] == [2, 2, 16]
    gpt3 = PUBLISHED["gpt3-175b"]
    assert usual_depth(gpt3.width) == gpt3.depth == 96
    depths = [usual_depth(width) for width in range(8, 20_000, 8)]
    assert depths == sorted(depths)


def test_heads_widen_from_8_to_the_customary_128() -> None:
    assert [head_width(width) for width in (31, 32, 127, 128, 511, 512, 2047, 2048, 16_384)] == [
        8, 16, 16, 32, 32, 64, 64, 128, 128,
    ]  # fmt: skip


def test_a_shape_of_the_rule_is_at_no_distance_from_it() -> None:
    ruled = decoder_shape(width=384, depth=16, heads=12, vocab_size=256, context=128)
    assert ruled.ffn_width == usual_ffn_width(384, "swiglu") == 1024
    assert distance_from_rule(ruled) == 0
    assert shape_for(count_params(ruled).total, LIKE).width == pytest.approx(384, rel=0.1)
