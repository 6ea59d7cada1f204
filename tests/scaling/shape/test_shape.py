"""Ill shapes are refused in one line that names a remedy."""

from dataclasses import replace
from typing import Any  # of ill values

import pytest

from scaling.shape.shape import decoder_shape

SHAPE = decoder_shape(width=64, depth=2, heads=4, vocab_size=100, context=16)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 0}, "width=0 must be a positive whole number"),
        ({"depth": -1}, "depth=-1"),
        ({"heads": 2.5}, "heads=2.5"),
        ({"vocab_size": True}, "vocab_size=True"),
        ({"kv_heads": 3}, "choose one of 1, 2, 4"),
        ({"head_width": 15}, "use 16"),
        ({"ffn": "relu"}, "swiglu, gelu"),
        ({"norm": "batch"}, "rmsnorm"),
        ({"norms_per_block": 3}, "use 1, 2 or 4"),
        ({"experts": 4}, "experts_active=0"),
        ({"experts_active": 2}, "set experts"),
        ({"experts": 4, "experts_active": 2, "dense_depth": 3}, "at most 2"),
    ],
)
def test_ill_shapes_are_refused_with_a_remedy(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        replace(SHAPE, **change)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_heads_that_do_not_divide_the_width_name_heads_and_widths_that_do() -> None:
    with pytest.raises(
        ValueError, match=r"heads=5 does not divide width=64: choose heads from 1, 2, 4, .*width=65"
    ):
        decoder_shape(width=64, depth=1, heads=5, vocab_size=10, context=8)


def test_defaults_follow_the_usual_rules() -> None:
    assert SHAPE.head_width == 16
    assert SHAPE.kv_heads == 4
    assert SHAPE.ffn_width == 168  # 8/3 * 64 = 170.7, to the nearest multiple of 8
    assert decoder_shape(width=64, depth=1, heads=4, vocab_size=9, context=8, ffn="gelu").ffn_width == 256
