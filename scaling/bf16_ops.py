"""Operations written out for bfloat16 on a processor, each with its derivative, where PyTorch's own are slow there.

Forward and backward at width 64 and 256, context 128 and 256, one thread (`benchmarks/throughput.py` prints them):
the attention kernel loses to plain products and a softmax, the composed RMSNorm works in float32 through eight
passes, and the composed rotation makes seven tensors where two do. Mathematics and names are those of `model.py`.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from scaling.accounting.activations import LOSS_LOGITS, QUERY_ROWS


def suits(x: Tensor) -> bool:
    """Whether a tensor is of the kind that these operations are for."""
    return x.device.type == "cpu" and x.dtype == torch.bfloat16 and not torch.compiler.is_compiling()


def rms_norm(x: Tensor, gain: Tensor, eps: float) -> Tensor:
    """x / rms(x) * gain over the last dimension."""
    if x.ndim < 4:
        return _RMSNorm.apply(x, gain, 1, eps)
    # A head's few coordinates are too short a row: a token's heads are taken together (B, T, H·S).
    heads, size = x.shape[1], x.shape[-1]
    y = _RMSNorm.apply(x.transpose(1, 2).flatten(2), gain.repeat(heads), heads, eps)
    return y.unflatten(2, (heads, size)).transpose(1, 2)


def rotate(x_BHTS: Tensor, cos_TR: Tensor, sin_TR: Tensor) -> Tensor:
    """Each pair (first half, second half) of coordinates turned by its position's angle."""
    heads, size = x_BHTS.shape[1], x_BHTS.shape[-1]
    cos = torch.cat((cos_TR, cos_TR), dim=-1).repeat(1, heads)
    sin = torch.cat((-sin_TR, sin_TR), dim=-1).repeat(1, heads)
    y = _Rotate.apply(x_BHTS.transpose(1, 2).flatten(2), cos, sin, size)
    return y.unflatten(2, (heads, size)).transpose(1, 2)


def causal_attention(q_BHTS: Tensor, k_BKTS: Tensor, v_BKTS: Tensor) -> Tensor:
    """Causal softmax attention (B, H, T, S); query heads share key/value heads in order."""
    B, H, T, S = q_BHTS.shape
    shared = H // k_BKTS.shape[1]
    if shared > 1:
        k_BKTS, v_BKTS = (x.repeat_interleave(shared, dim=1) for x in (k_BKTS, v_BKTS))
    q, k, v = (x.reshape(B * H, T, S) for x in (q_BHTS, k_BKTS, v_BKTS))
    return _Attention.apply(q, k, v).view(B, H, T, S)


def head_loss(x_BTC: Tensor, head_VC: Tensor, targets_BT: Tensor) -> Tensor:
    """Mean cross-entropy of the logits x head^T in nats a token, without all logits at once.

    The gradient is made along with the loss, which is therefore to be used once.
    """
    return _HeadLoss.apply(x_BTC.flatten(0, 1), head_VC, targets_BT.flatten())


class _RMSNorm(torch.autograd.Function):
    """x / rms(x) * gain, the mean square taken over each of `heads` parts of a row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, heads: int, eps: float) -> Tensor:
        inverse = _mean(x * x, heads).add_(eps).rsqrt_()
        ctx.save_for_backward(x, gain, inverse)
        ctx.heads = heads
        return torch.mul(x, inverse, out=torch.empty_like(x)).mul_(gain)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, gain, inverse = ctx.saved_tensors
        unit = torch.mul(x, inverse, out=torch.empty_like(x))
        product = dy * unit
        dgain = product.flatten(0, -2).sum(dim=0)
        along = _mean(product.mul_(gain), ctx.heads).to(x.dtype)
        dx = torch.addcmul(dy * gain, unit, along, value=-1, out=unit)
        return torch.mul(dx, inverse, out=dx), dgain, None, None


def _mean(x: Tensor, heads: int) -> Tensor:
    """Means over all of a row (N, 1) in float32, or over each head of it, at each coordinate (N, C)."""
    if heads == 1:
        return x.mean(dim=-1, keepdim=True, dtype=torch.float32)
    size = x.shape[-1] // heads
    same_head = torch.full((size, size), 1 / size, dtype=x.dtype)
    return x @ torch.kron(torch.eye(heads, dtype=x.dtype), same_head)


class _Rotate(torch.autograd.Function):
    """x * (cos, cos) + (right, left) * (-sin, sin); backward turns the other way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(cos, sin)
        ctx.size = size
        return (x * cos).addcmul_(_halves_swapped(x, size), sin)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None, None, None]:
        cos, sin = ctx.saved_tensors
        return (dy * cos).addcmul_(_halves_swapped(dy, ctx.size), sin, value=-1), None, None, None


def _halves_swapped(x: Tensor, size: int) -> Tensor:
    return x.unflatten(-1, (-1, size)).roll(size // 2, -1).view(x.shape)


class _Attention(torch.autograd.Function):
    """Causal attention over matrices (B·H, T, S), a few queries at a time; the weights are kept."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        later = torch.full((QUERY_ROWS, QUERY_ROWS), float("-inf"), dtype=q.dtype).triu_(1)
        scaled = q * q.shape[-1] ** -0.5
        out, weights = torch.empty_like(q), []
        for start in range(0, q.shape[1], QUERY_ROWS):
            stop = min(start + QUERY_ROWS, q.shape[1])
            scores = torch.bmm(scaled[:, start:stop], k[:, :stop].mT)
            scores[:, :, start:].add_(later[: stop - start, : stop - start])
            weights.append(scores.softmax(dim=-1))
            out[:, start:stop] = torch.bmm(weights[-1], v[:, :stop])
        ctx.save_for_backward(scaled, k, v, *weights)
        return out

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scaled, k, v, *weights = ctx.saved_tensors
        dq, dk, dv = torch.empty_like(scaled), torch.zeros_like(k), torch.zeros_like(v)
        for index, p in enumerate(weights):
            start, stop = index * QUERY_ROWS, index * QUERY_ROWS + p.shape[1]
            dpart = dout[:, start:stop]
            dv[:, :stop] += torch.bmm(p.mT, dpart)
            dscores = torch._softmax_backward_data(torch.bmm(dpart, v[:, :stop].mT), p, -1, p.dtype)
            dq[:, start:stop] = torch.bmm(dscores, k[:, :stop])
            dk[:, :stop] += torch.bmm(dscores.mT, scaled[:, start:stop])
        return dq.mul_(scaled.shape[-1] ** -0.5), dk, dv


class _HeadLoss(torch.autograd.Function):
    """Mean cross-entropy of the head's logits, whose gradient is computed along, a few tokens at a time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float32)
        dx, dweight = torch.empty_like(x), torch.zeros(weight.shape, dtype=torch.float32)
        size = max(1, LOSS_LOGITS // len(weight))
        for start in range(0, len(x), size):
            rows, wanted = x[start : start + size], targets[start : start + size, None]
            log_p = F.log_softmax(F.linear(rows, weight), dim=-1, dtype=torch.float32)
            total -= log_p.gather(1, wanted).sum()
            dlogits = (
                log_p.exp_()
                .scatter_add_(1, wanted, torch.full(wanted.shape, -1.0, dtype=torch.float32))
                .to(x.dtype)
            )
            torch.mm(dlogits, weight, out=dx[start : start + size])
            dweight += torch.mm(dlogits.mT, rows)
            del log_p, dlogits  # or they would stand beside the next chunk's
        ctx.save_for_backward(dx, dweight)
        return total / len(x)

    @staticmethod
    def backward(ctx: Any, dloss: Tensor) -> tuple[Tensor, Tensor, None]:
        dx, dweight = ctx.saved_tensors
        scale = dloss / len(dx)
        return torch.mul(dx, scale, out=dx), dweight.mul_(scale).to(dx.dtype), None
