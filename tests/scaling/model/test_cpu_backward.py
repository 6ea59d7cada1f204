"""Gradients by the tape against autograd's."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from scaling.model.cpu_backward import loss_and_backward
from scaling.model.decoder import Decoder
from scaling.shape.shape import decoder_shape


def gradients(model: Decoder, windows: Tensor, autograd: bool) -> list[Tensor]:
    """The loss, and the gradient of every parameter."""
    model.zero_grad()
    inputs, targets = windows[:, :-1], windows[:, 1:]
    if autograd:
        loss = model.loss(inputs, targets)
        torch.autograd.backward(loss)
    else:
        loss = loss_and_backward(partial(model.loss, inputs, targets))
    return [loss.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_without_autograds_graph_are_those_with_it(dtype: torch.dtype) -> None:
    shape = decoder_shape(width=32, depth=2, heads=4, kv_heads=2, vocab_size=50, context=32, qk_norm=True)
    model = Decoder(replace(shape, tied_head=False)).to(dtype)
    model.use_cpu_kernels()
    windows = torch.randint(50, (4, 33))
    with_graph = gradients(model, windows, autograd=True)
    without = gradients(model, windows, autograd=False)
    for a, b in zip(with_graph, without, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_gradients_of_parts_of_a_batch_add_up() -> None:
    shape = decoder_shape(width=32, depth=1, heads=4, kv_heads=4, vocab_size=50, context=32, tied_head=True)
    model = Decoder(shape)
    model.use_cpu_kernels()
    windows = torch.randint(50, (4, 33))
    _, *whole = gradients(model, windows, autograd=True)
    model.zero_grad()
    for part in torch.split(windows, 1):
        loss_and_backward(partial(model.loss, part[:, :-1], part[:, 1:]), 0.25)
    for a, p in zip(whole, model.parameters(), strict=True):
        assert p.grad is not None
        torch.testing.assert_close(a, p.grad, rtol=1e-4, atol=1e-7)


def test_a_loss_that_the_tape_does_not_see_is_a_bug() -> None:
    model = Decoder(decoder_shape(width=16, depth=1, heads=2, kv_heads=2, vocab_size=30, context=16))
    tokens = torch.zeros((1, 16), dtype=torch.int64)
    with pytest.raises(AssertionError, match="does not use the CPU kernels"):
        loss_and_backward(partial(model.loss, tokens, tokens))
