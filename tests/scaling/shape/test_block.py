"""Kinds of attention and recurrence: FLOPs, caches and weights against counts by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.accounting.inference import kv_cache_bytes
from scaling.accounting.layout import Layout
from scaling.accounting.states import device_params
from scaling.shape.attention import Attention, LatentAttention, positions_seen
from scaling.shape.block import Block
from scaling.shape.feed_forward import FeedForward
from scaling.shape.flops import forward_flops_per_token, train_flops_per_token
from scaling.shape.params import count_params
from scaling.shape.published_models import PUBLISHED
from scaling.shape.recurrence import gated_delta, mamba2
from scaling.shape.shape import ModelShape, decoder_shape

DECODER = decoder_shape(width=64, depth=6, heads=4, kv_heads=2, vocab_size=100, context=64)
GIB = 2**30


@given(st.integers(1, 60), st.one_of(st.none(), st.integers(1, 80)), st.booleans())
def test_positions_seen_are_those_counted_one_by_one(text: int, window: int | None, chunked: bool) -> None:
    def seen(position: int) -> int:
        if window is None:
            return position + 1
        return position % window + 1 if chunked else min(position + 1, window)

    counted = sum(seen(position) for position in range(text)) / text
    assert positions_seen(text, window, chunked=chunked, causal_half=True) == pytest.approx(counted)


@pytest.mark.parametrize(
    ("model", "tokens", "by_hand"),
    [
        # 52 of 62 blocks keep 1,024 tokens: 16 heads of keys and of values, 128 features, 2 bytes
        ("gemma-3-27b", 131_072, 2 * 16 * 128 * 2 * (10 * 131_072 + 52 * 1024)),
        ("gemma-3-27b", 4096, 2 * 16 * 128 * 2 * (10 * 4096 + 52 * 1024)),
        ("mistral-7b", 131_072, 32 * 2 * 8 * 128 * 2 * 4096),
        ("gpt-oss-20b", 131_072, 2 * 8 * 64 * 2 * (12 * 131_072 + 12 * 128)),
        ("llama-4-scout", 131_072, 2 * 8 * 128 * 2 * (12 * 131_072 + 36 * 8192)),
        ("llama-3-8b", 4096, 32 * 2 * 8 * 128 * 2 * 4096),
        ("deepseek-v3", 131_072, 61 * (512 + 64) * 2 * 131_072),
    ],
)
def test_cache_of_each_kind_of_attention(model: str, tokens: int, by_hand: int) -> None:
    assert kv_cache_bytes(PUBLISHED[model], tokens) == by_hand


def test_the_cache_of_gemma_3_is_not_that_of_full_attention() -> None:
    assert kv_cache_bytes(PUBLISHED["gemma-3-27b"], 131_072) / GIB == pytest.approx(10.4, abs=0.05)


def hybrid(depth: int = 8) -> ModelShape:
    """Qwen3-Next's proportions in small: three blocks of the gated delta rule, then one of attention."""
    delta = gated_delta(key_heads=2, key_width=8, value_heads=4, value_width=8, conv=4)
    ffn = FeedForward(hidden=128)
    linear = Block(mixers=(delta,), ffn=ffn)
    full = Block(mixers=(Attention(heads=4, kv_heads=2, head_width=16, gate="feature"),), ffn=ffn)
    return replace(DECODER, depth=depth, ffn_width=128, layers=((3, linear), (1, full)) * (depth // 4))


def test_the_state_of_a_recurrence_does_not_grow() -> None:
    states = 6 * (4 * 8 * 8 * 4 + (2 * 16 + 32) * 3 * 2)  # float32 states; three waiting inputs in 16 bits
    for tokens in (100, 10_000):
        assert kv_cache_bytes(hybrid(), tokens) == states + 2 * (2 * 2 * 16 * 2 * tokens)


def test_flops_of_a_recurrence_do_not_grow_with_the_text() -> None:
    short, long = (forward_flops_per_token(hybrid(), context).attention_scores for context in (64, 128))
    assert long - short == 2 * (2 * 2 * 64 * 64)  # of the two blocks with attention alone


def test_a_window_as_long_as_the_text_changes_nothing() -> None:
    windowed = replace(DECODER, window=DECODER.context)
    for convention in ("exact", "exact_causal"):
        assert train_flops_per_token(windowed, convention) == train_flops_per_token(DECODER, convention)
    assert count_params(windowed) == count_params(DECODER)


def test_windows_alternate_from_the_first_block_on() -> None:
    shape = replace(DECODER, window=16, full_every=3)
    spans = [mixer.window for count, block in shape.runs for mixer in block.mixers for _ in range(count)]  # type: ignore[union-attr]
    assert spans == [16, 16, None, 16, 16, None]
    seen = forward_flops_per_token(shape).attention_scores / (4 * DECODER.attention_width)
    assert seen == 4 * 16 + 2 * 64


@pytest.mark.parametrize("pipeline", [1, 2, 3])
def test_the_stages_of_a_hybrid_hold_all_of_it(pipeline: int) -> None:
    shape = replace(hybrid(), tied_head=False)
    layout = Layout(pipeline=pipeline, accumulation=pipeline)
    held = sum(device_params(shape, layout, stage).total for stage in range(pipeline))
    assert held == pytest.approx(count_params(shape).total)


def test_mamba_2_of_a_published_size() -> None:
    """Mamba-2 2.7B: 64 blocks of width 2,560 and 80 heads of 64; 2,702,599,680 parameters with 50,288 tokens."""
    mixer = mamba2(width=2560, heads=80, head_width=64, groups=1, state=128, conv=4)
    shape = ModelShape(
        width=2560, depth=64, heads=80, kv_heads=80, head_width=64, ffn_width=1, vocab_size=50_288, context=2048,
        tied_head=True, layers=((64, Block(mixers=(mixer,), ffn=None)),),
    )  # fmt: skip
    assert count_params(shape).total == 2_702_599_680


def test_a_module_of_multi_token_prediction_is_a_block_more() -> None:
    """DeepSeek-V3 prints 14B of the module, of which 11.5B are its own and twice 0.9B shared."""
    plain = PUBLISHED["deepseek-v3"]
    predicting = replace(plain, mtp_depth=1)
    assert count_params(predicting).multi_token == pytest.approx(11.5e9, rel=0.01)
    assert count_params(predicting).total - count_params(plain).total == count_params(predicting).multi_token
    more = train_flops_per_token(predicting) - train_flops_per_token(plain)
    assert more > 6 * plain.vocab_size * plain.width  # the head is used twice


def test_ill_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="set window"):
        replace(DECODER, full_every=2)
    with pytest.raises(ValueError, match="depth=9"):
        replace(hybrid(), depth=9)
    latent = LatentAttention(heads=8, query_rank=4, kv_rank=4, rope_width=2, nope_width=2, value_width=4)
    with pytest.raises(ValueError, match="latent attention has 8"):
        replace(DECODER, latent=latent)
