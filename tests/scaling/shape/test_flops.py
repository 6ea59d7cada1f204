"""Closed-form FLOPs equal torch's counter and the published ones."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.budget.trace import traced_flops
from scaling.shape.flops import forward_flops_per_token, pf_days, train_flops_per_token
from scaling.shape.published_models import PUBLISHED
from scaling.shape.shape import ModelShape, decoder_shape


@st.composite
def decoders(draw: st.DrawFn) -> ModelShape:
    heads = draw(st.sampled_from([1, 2, 3, 4, 6]))
    return decoder_shape(
        width=heads * draw(st.sampled_from([2, 4, 8])),
        depth=draw(st.integers(1, 2)),
        heads=heads,
        kv_heads=draw(st.sampled_from([k for k in range(1, heads + 1) if heads % k == 0])),
        head_width=draw(st.sampled_from([2, 4, 6])),
        ffn_width=draw(st.integers(1, 40)),
        vocab_size=draw(st.integers(2, 60)),
        context=draw(st.integers(2, 12)),
        ffn=draw(st.sampled_from(["swiglu", "gelu"])),
        tied_head=draw(st.booleans()),
        qk_norm=draw(st.booleans()),
    )


@settings(max_examples=200, deadline=None)
@given(decoders(), st.sampled_from(["none", "full", "selective_ops"]), st.integers(1, 2))
def test_no_difference_from_torchs_counter(shape: ModelShape, recompute: str, sequences: int) -> None:
    ours = train_flops_per_token(shape, "hardware", recompute=recompute) * shape.context * sequences  # type: ignore[arg-type]
    assert ours == traced_flops(shape, sequences, recompute=recompute)


def test_nanogpt_gpt2() -> None:
    # transformer_sizing.ipynb of nanoGPT, GPT-2 124M without biases, a sequence of 1024
    shape = replace(PUBLISHED["gpt2"], biases="none", norm="layernorm_no_bias")
    assert 1024 * forward_flops_per_token(shape).total == 291_648_307_200
    assert 1024 * train_flops_per_token(shape, "exact") == 874_944_921_600
    assert 1024 * train_flops_per_token(shape, "palm") == 875_062_886_400


@pytest.mark.parametrize(
    ("name", "context", "plain", "full"),
    [
        ("llama-2-7b", 4096, 188_763_812_659_200, 250_611_341_721_600),
        ("llama-3-8b", 8192, 474_422_087_516_160, None),
        ("llama-3-70b", 8192, 3_943_913_849_094_144, 5_241_337_569_869_824),
        ("gpt3-175b", 2048, 2_204_412_785_197_056, None),
    ],
)
def test_large_models_as_counted_by_torch(name: str, context: int, plain: int, full: int | None) -> None:
    shape = PUBLISHED[name]
    assert context * train_flops_per_token(shape, "exact", context=context) == plain
    if full is not None:
        assert context * train_flops_per_token(shape, "hardware", context=context, recompute="full") == full


def test_conventions_agree_where_they_should() -> None:
    shape = PUBLISHED["llama-2-7b"]
    exact = train_flops_per_token(shape, "exact")
    assert train_flops_per_token(shape, "hardware") == exact
    assert train_flops_per_token(shape, "exact_causal") < exact
    assert train_flops_per_token(shape, "hardware", recompute="full") < 4 / 3 * exact
    assert train_flops_per_token(shape, "6nd_non_embedding") < train_flops_per_token(shape, "6nd") < exact


@pytest.mark.parametrize(
    ("millions", "ratio"), [(74, 1.03), (306, 1.10), (552, 1.08), (1143, 1.04), (1593, 1.03), (6796, 0.99)]
)
def test_chinchillas_own_count_over_6nd(millions: int, ratio: float) -> None:
    """Hoffmann et al. 2022, Table A4, whose ratios leave out embedding, logits and relative positions."""
    shape = PUBLISHED[f"chinchilla-{millions}m"]
    outside = 3 * 2 * (2 * shape.vocab_size * shape.width + shape.depth * shape.width * shape.attention_width)
    ours = (train_flops_per_token(shape, "chinchilla") - outside) / train_flops_per_token(shape, "6nd")
    assert ours == pytest.approx(ratio, abs=0.005)


def test_units_and_refusals() -> None:
    assert pf_days(3.14e23) == pytest.approx(3634, rel=1e-3)
    with pytest.raises(ValueError, match="choose one of 6nd"):
        train_flops_per_token(PUBLISHED["gpt2"], "7nd")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="use convention=6nd"):
        train_flops_per_token(PUBLISHED["t5-small"], "exact")
    with pytest.raises(ValueError, match="context=0"):
        forward_flops_per_token(PUBLISHED["gpt2"], 0)
    with pytest.raises(ValueError, match="recompute='half'"):
        train_flops_per_token(PUBLISHED["gpt2"], "hardware", recompute="half")  # type: ignore[arg-type]
