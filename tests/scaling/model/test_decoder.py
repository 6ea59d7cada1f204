"""The decoder against its own accounting, and against what a causal language model must do."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.model.decoder import Decoder, next_token_loss, rotary_tables, rotate
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape


def shape(**changes: object) -> ModelShape:
    values = {
        "width": 32, "depth": 2, "heads": 4, "kv_heads": 2, "head_width": 8, "ffn_width": 48, "ffn": "swiglu",
        "vocab_size": 64, "context": 16, "tied_head": True, "qk_norm": True,
    }  # fmt: skip
    return ModelShape(**{**values, **changes})  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(
    heads=st.sampled_from([1, 2, 4]),
    groups=st.sampled_from([1, 2]),
    head_width=st.sampled_from([2, 8]),
    depth=st.integers(1, 3),
    ffn=st.sampled_from(["swiglu", "gelu"]),
    tied=st.booleans(),
    qk_norm=st.booleans(),
)
def test_parameters_equal_numel(
    heads: int, groups: int, head_width: int, depth: int, ffn: str, tied: bool, qk_norm: bool
) -> None:
    kv_heads = max(1, heads // groups)
    s = shape(
        width=heads * head_width, depth=depth, heads=heads, kv_heads=kv_heads, head_width=head_width,
        ffn_width=24, ffn=ffn, tied_head=tied, qk_norm=qk_norm,
    )  # fmt: skip
    with torch.device("meta"):
        model = Decoder(s)
    assert count_params(s).total == sum(p.numel() for p in model.parameters())


def test_a_later_token_never_changes_an_earlier_logit() -> None:
    torch.manual_seed(0)
    model = Decoder(shape(tied_head=False))
    tokens = torch.randint(0, 64, (2, 16))
    changed = tokens.clone()
    changed[:, 9] = (changed[:, 9] + 1) % 64
    before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :9], after[:, :9])
    assert not torch.allclose(before[:, 9:], after[:, 9:])


def test_a_fresh_model_knows_nothing() -> None:
    torch.manual_seed(0)
    model = Decoder(shape(vocab_size=256, width=64, heads=8))
    tokens = torch.randint(0, 256, (8, 17))
    loss = next_token_loss(model(tokens[:, :-1]), tokens[:, 1:])
    assert loss.item() == pytest.approx(math.log(256), abs=0.1)


def test_rotary_scores_depend_on_distance_alone() -> None:
    cos, sin = rotary_tables(32, 8, 10_000.0)
    q, k = torch.randn(2, 1, 1, 1, 8)
    score = (rotate(q.expand(1, 1, 32, 8), cos, sin) @ rotate(k.expand(1, 1, 32, 8), cos, sin).mT)[0, 0]
    for distance in (0, 3, 11):
        along = score.diagonal(-distance)
        assert torch.allclose(along, along[0].expand_as(along), atol=1e-4)


def test_depth_does_not_inflate_the_residual_stream() -> None:
    """The projections into the stream shrink with depth, so its variance does not grow in proportion to it."""
    spreads = []
    for depth in (2, 16):
        torch.manual_seed(0)
        model = Decoder(shape(width=64, heads=8, kv_heads=8, depth=depth, ffn_width=168))
        with torch.no_grad():
            x = model.embedding(torch.randint(0, 64, (4, 16)))
            start = x.std()
            for block in model.blocks:
                x = block(x, model.cos, model.sin)
        spreads.append(float((x.std() ** 2 - start**2).sqrt()))
    assert spreads[1] / spreads[0] < 1.5  # without the rule: sqrt(16 / 2) = 2.8


def test_too_long_an_input_is_refused() -> None:
    with pytest.raises(ValueError, match="17 tokens do not fit the context of 16"):
        Decoder(shape())(torch.zeros(1, 17, dtype=torch.long))
