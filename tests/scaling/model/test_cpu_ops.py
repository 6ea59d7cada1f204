"""The decoder's CPU operations against the same decoder composed of PyTorch's operations."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from scaling.model import cpu_ops
from scaling.model.decoder import Decoder
from scaling.shape.shape import ModelShape, decoder_shape

BF16_ERROR = 0.04
"""Relative error of a gradient after several operations in bfloat16, each of which rounds to 1 in 256."""


@st.composite
def shapes(draw: st.DrawFn) -> ModelShape:
    kv_heads, shared, half = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 9))
    return decoder_shape(
        width=kv_heads * shared * 2 * half,
        depth=draw(st.integers(1, 2)),
        heads=kv_heads * shared,
        kv_heads=kv_heads,
        ffn_width=draw(st.integers(1, 40)),
        vocab_size=draw(st.integers(2, 50)),
        context=draw(st.sampled_from([1, 7, 64, 100])),
        ffn=draw(st.sampled_from(["swiglu", "gelu"])),
        qk_norm=draw(st.booleans()),
        tied_head=draw(st.booleans()),
    )


def loss_and_gradients(model: Decoder, windows: Tensor) -> list[Tensor]:
    model.zero_grad()
    loss = model.loss(windows[:, :-1], windows[:, 1:])
    torch.autograd.backward(loss)
    return [loss.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


def errors(shape: ModelShape, dtype: torch.dtype, cut: int = 0) -> tuple[float, float]:
    """The largest error of loss and gradients against double precision: of the CPU operations, and of PyTorch's."""
    torch.manual_seed(0)
    model = Decoder(shape)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p) * p.std(correction=0).clamp(min=0.3))
    model.to(dtype)
    windows = torch.randint(shape.vocab_size, (3, shape.context + 1 - cut))
    reference = Decoder(shape).double()
    reference.load_state_dict(model.state_dict())
    exact, composed = loss_and_gradients(reference, windows), loss_and_gradients(model, windows)
    model.use_cpu_kernels()
    return worst(loss_and_gradients(model, windows), exact), worst(composed, exact)


def worst(ours: list[Tensor], reference: list[Tensor]) -> float:
    """The largest error relative to its gradient's norm, or to 0.01 where that is smaller: a gradient may be 0."""
    assert len(ours) == len(reference)
    return max(
        float((a.double() - b).norm() / max(float(b.norm()), 1e-2))
        for a, b in zip(ours, reference, strict=True)
    )


@given(shapes(), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_loss_and_gradients_are_those_of_the_composed_decoder(shape: ModelShape, cut: int) -> None:
    ours, composed = errors(shape, torch.float32, cut=min(cut, shape.context - 1))
    # Where close numbers cancel, rounding is large for both.
    assert ours < max(1e-4, 10 * composed)


@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.bfloat16, BF16_ERROR)])
def test_rounding_is_that_of_the_precision(dtype: torch.dtype, error: float, kv_heads: int) -> None:
    shape = decoder_shape(
        width=64, depth=1, heads=4, kv_heads=kv_heads, vocab_size=50, context=128, qk_norm=True
    )
    ours, _ = errors(shape, dtype)
    assert ours < error


def test_a_second_derivative_is_refused_and_not_wrong() -> None:
    model = Decoder(decoder_shape(width=16, depth=1, heads=2, kv_heads=2, vocab_size=30, context=16))
    model.use_cpu_kernels()
    windows = torch.randint(30, (2, 17))
    loss = model.loss(windows[:, :-1], windows[:, 1:])
    torch.autograd.backward(loss, retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.backward(loss)


def test_nan_stays_nan() -> None:
    """A diverging run has to show it, though kernels are compiled with fast-math flags."""
    model = Decoder(decoder_shape(width=16, depth=1, heads=2, kv_heads=2, vocab_size=30, context=16))
    model.use_cpu_kernels()
    windows = torch.randint(30, (2, 17))
    with torch.no_grad():
        model.get_parameter("blocks.0.ffn.down.weight")[0, 0] = float("nan")
        assert torch.isnan(model.loss(windows[:, :-1], windows[:, 1:]))


def test_a_target_outside_the_vocabulary_is_refused() -> None:
    model = Decoder(decoder_shape(width=16, depth=1, heads=2, kv_heads=2, vocab_size=30, context=16))
    model.use_cpu_kernels()
    tokens = torch.randint(30, (2, 16))
    for target in (30, -1):
        with pytest.raises(IndexError, match="outside the vocabulary"):
            model.loss(tokens, torch.full_like(tokens, target))


def test_the_last_chunk_of_a_loss_may_be_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_ops, "loss_rows", lambda vocab_size: 5)
    shape = decoder_shape(width=16, depth=1, heads=2, kv_heads=2, vocab_size=30, context=16)
    ours, _ = errors(shape, torch.float32)
    assert ours < 1e-5


def test_a_later_token_never_changes_an_earlier_logit() -> None:
    model = Decoder(
        decoder_shape(width=16, depth=2, heads=2, kv_heads=1, vocab_size=30, context=80, qk_norm=True)
    )
    model.use_cpu_kernels()
    tokens = torch.randint(30, (2, 80))
    changed = tokens.clone()
    changed[:, 70:] = (changed[:, 70:] + 1) % 30
    with torch.no_grad():
        before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, :70], after[:, :70], rtol=0, atol=0)
    assert not torch.equal(before[:, 70:], after[:, 70:])
