"""Bytes and money as people read them."""

from dataclasses import replace

from rich.text import Text

from scaling.accounting.hardware import get_device
from scaling.budget.tables import fits_or_not, gib, money, number, sketch
from scaling.shape.attention import Attention
from scaling.shape.block import Block
from scaling.shape.feed_forward import FeedForward
from scaling.shape.recurrence import gated_delta
from scaling.shape.shape import decoder_shape


def test_bytes_money_and_numbers() -> None:
    assert (gib(2**30), gib(2**20)) == ("1.0 GiB", "1.0 MiB")
    assert (money(99.5), money(1234.5)) == ("$99.50", "$1,234")
    assert (number(0.021512), number(936.21), number(16_731.6)) == ("0.02151", "936.2", "16,732")


def test_what_does_not_fit_says_by_how_much() -> None:
    cpu = replace(get_device("cpu"), memory_bytes=100 * 2**30)
    fits, tight, neither = (fits_or_not(gibibytes * 2**30, cpu, "; help") for gibibytes in (50, 95, 250))
    assert fits == Text("Fits: the peak takes 50% of the 100.0 GiB that a program can use.", style="green")
    assert tight.plain.startswith("Tight: the peak takes 95% of the 100.0 GiB")
    assert "2.50 times the 100.0 GiB that a program can use; help" in neither.plain


def test_a_hybrid_says_what_its_blocks_are() -> None:
    delta = gated_delta(key_heads=2, key_width=8, value_heads=4, value_width=8, conv=4)
    local = Attention(heads=4, kv_heads=2, head_width=16, window=512)
    ffn = FeedForward(hidden=128)
    layers = (
        (3, Block(mixers=(delta,), ffn=ffn)),
        (1, Block(mixers=(local,), ffn=ffn)),
        (1, Block(mixers=(), ffn=ffn)),
    )
    shape = replace(decoder_shape(width=64, depth=5, heads=4, vocab_size=100, context=64), layers=layers)
    assert "depth 5 (3 gated delta rule, 1 attention in a window of 512, 1 none)" in sketch(shape)
