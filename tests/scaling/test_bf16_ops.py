"""The operations written out for bfloat16 against PyTorch's own in float32, forward and backward."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from scaling import bf16_ops
from scaling.model import rotary_tables, rotate

ROUNDING = 0.01  # of a tensor's norm; bfloat16 rounds to 1 in 256


def agree(ours: Callable[..., Tensor], reference: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Values and gradients of both, the reference in float32."""
    low = [x.bfloat16().requires_grad_() for x in inputs]
    high = [x.detach().float().requires_grad_() for x in low]
    y, wanted = ours(*low), reference(*high)
    dy = torch.randn_like(wanted)
    pairs = [(y, wanted)]
    y.backward(dy.to(y.dtype))
    wanted.backward(dy)
    pairs += [(a.grad, b.grad) for a, b in zip(low, high, strict=True)]
    for got, want in pairs:
        assert (got.float() - want).norm() <= ROUNDING * want.norm()


@pytest.mark.parametrize(("context", "kv_heads"), [(16, 4), (64, 4), (150, 2), (150, 1)])
def test_attention(context: int, kv_heads: int) -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, heads, context, 8) for heads in (4, kv_heads, kv_heads))
    agree(
        bf16_ops.causal_attention,
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True),
        q,
        k,
        v,
    )


@pytest.mark.parametrize("shape", [(2, 5, 24), (2, 4, 5, 8), (2, 1, 5, 8)])
def test_rms_norm(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    size = shape[-1:]
    agree(
        lambda x, g: bf16_ops.rms_norm(x, g, 1e-6),
        lambda x, g: F.rms_norm(x, size, g, 1e-6),
        3 * torch.randn(shape),
        1 + 0.1 * torch.randn(size),
    )


def test_rotation() -> None:
    torch.manual_seed(0)
    cos, sin = rotary_tables(20, 8, 10_000.0)
    agree(
        lambda x: bf16_ops.rotate(x, cos.bfloat16(), sin.bfloat16()),
        lambda x: rotate(x, cos, sin),
        torch.randn(2, 4, 20, 8),
    )


@pytest.mark.parametrize("at_once", [100, 2**20])
def test_head_loss(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(bf16_ops, "LOSS_LOGITS", at_once)
    targets = torch.randint(0, 50, (2, 7))
    agree(
        lambda x, w: bf16_ops.head_loss(x, w, targets),
        lambda x, w: F.cross_entropy((x @ w.T).flatten(0, 1), targets.flatten()),
        torch.randn(2, 7, 16),
        torch.randn(50, 16),
    )
