"""The decoder's work on a processor, written out with its derivative: attention, feed-forward, head and loss.

Mathematics and names are those of `model.py`, which composes it of PyTorch's operations and is the reference. Here
matrix products are PyTorch's and all between two of them is one of `kernels.py`: small models spend more time between
the products than in them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses import FakeTensor
from torch.autograd.graph import increment_version

from scaling.accounting.cpu_activations import loss_rows
from scaling.model import cpu_backward, cpu_kernels

DTYPES = (torch.float32, torch.bfloat16)
"""What the kernels work on."""


def suits(x: Tensor) -> bool:
    """Whether a tensor is of the kind that these operations are for: on a processor, and not under autocast."""
    return (
        x.device.type == "cpu"
        and x.dtype in DTYPES
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


@dataclass(frozen=True, kw_only=True)
class HeadTables:
    """What attention needs and no step changes."""

    heads: int
    kv_heads: int
    cos_RT: Tensor
    """Cosines of the rotary angles, R being half of a head's width; in float32, as `sin_RT`."""
    sin_RT: Tensor

    def angles(self, positions: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the first positions."""
        if positions == self.cos_RT.shape[1]:
            return self.cos_RT, self.sin_RT
        return self.cos_RT[:, :positions].contiguous(), self.sin_RT[:, :positions].contiguous()


def head_tables(heads: int, kv_heads: int, cos_TR: Tensor, sin_TR: Tensor) -> HeadTables:
    """The tables of `heads` query heads and `kv_heads` key/value heads, with their rotary angles."""
    cos_RT, sin_RT = (table.T.float().contiguous() for table in (cos_TR, sin_TR))
    return HeadTables(heads=heads, kv_heads=kv_heads, cos_RT=cos_RT, sin_RT=sin_RT)


def embed(tokens_BT: Tensor, weight_VC: Tensor) -> Tensor:
    """The rows of tokens (B, T, C), whose gradients add up in float32."""
    return cpu_backward.apply(_Embed, tokens_BT, weight_VC)


def add_attention(
    x_BTC: Tensor, norm_C: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor,
    query_norm_S: Tensor | None, key_norm_S: Tensor | None, tables: HeadTables, eps: float,
) -> Tensor:  # fmt: skip
    """x + attention(norm x), causal, query heads sharing key/value heads in order.

    Args:
        x_BTC: residual stream.
        norm_C: gain of the norm before.
        query: weights (H S, C); `key`, `value` (K S, C) and `out` (C, H S) alike.
        query_norm_S: gain of the norm of each query head, None without one; `key_norm_S` alike.
        tables: of the heads, for at least T positions.
        eps: added to mean squares.
    """
    return cpu_backward.apply(
        _Attention, x_BTC, norm_C, query, key, value, out, query_norm_S, key_norm_S, tables, eps
    )


def add_feed_forward(
    x_BTC: Tensor, norm_C: Tensor, gate: Tensor | None, up: Tensor, down: Tensor, eps: float
) -> Tensor:
    """x + feed-forward(norm x): SwiGLU with a gate (F, C), GELU without. Its derivative is to be taken once."""
    if gate is None:
        return cpu_backward.apply(_GELU, x_BTC, norm_C, up, down, eps)
    return cpu_backward.apply(_SwiGLU, x_BTC, norm_C, gate, up, down, eps)


def loss(x_BTC: Tensor, norm_C: Tensor, head_VC: Tensor, targets_BT: Tensor, eps: float) -> Tensor:
    """Mean cross-entropy in nats a token of the logits head(norm x), without all logits at once.

    The gradient is made along with the loss.
    """
    gradient = torch.is_grad_enabled() or cpu_backward.recording()
    return cpu_backward.apply(_Loss, x_BTC, norm_C, head_VC, targets_BT.flatten(), eps, gradient)


# --- what operations share ---


def _run(kernel: Any, *arguments: Any) -> Any:
    """A kernel's result for the given tensors and numbers; 0 for tensors that stand for others' shapes only."""
    if type(arguments[0]) is FakeTensor:
        return 0.0
    return kernel(*[_array(x) if isinstance(x, Tensor) else x for x in arguments])


def _array(x: Tensor) -> np.ndarray:
    """A tensor's numbers as the kernels take them."""
    return x.view(torch.uint16).numpy() if x.dtype is torch.bfloat16 else x.numpy()


def _wide(gain: Tensor | None) -> Tensor | None:
    return None if gain is None else gain.detach().float()


# --- embedding ---


class _Embed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tokens_BT: Tensor, weight_VC: Tensor) -> Tensor:
        ctx.save_for_backward(tokens_BT)
        ctx.shape = weight_VC.shape
        return F.embedding(tokens_BT, weight_VC)

    @staticmethod
    def backward(ctx: Any, dx_BTC: Tensor) -> tuple[None, Tensor]:
        (tokens_BT,) = ctx.saved_tensors
        dweight = torch.empty(ctx.shape, dtype=torch.float32)
        _run(cpu_kernels.sum_rows, _rows(dx_BTC), tokens_BT.flatten(), dweight)
        return None, dweight.to(dx_BTC.dtype)


# --- norms before a product ---


def _rows(x_BTC: Tensor) -> Tensor:
    """One row for each token."""
    return x_BTC.detach().reshape(-1, x_BTC.shape[-1]).contiguous()


def _normed(x_NC: Tensor, norm_C: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The normed rows, and the reciprocals (N) of their root mean squares."""
    u_NC, inverse_N = torch.empty_like(x_NC), torch.empty(x_NC.shape[0])
    _run(cpu_kernels.norm, x_NC, _wide(norm_C), eps, u_NC, inverse_N)
    return u_NC, inverse_N


def _before_norm(
    du_NC: Tensor, x_NC: Tensor, norm_C: Tensor, inverse_N: Tensor, direct_NC: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Gradients of the rows and of the gain, from that of the normed rows; `direct_NC` is the gradient that passed the
    norm by, if any."""
    dx_NC, dnorm_C = torch.empty_like(x_NC), torch.empty(norm_C.shape[0])
    _run(cpu_kernels.norm_backward, du_NC, x_NC, _wide(norm_C), inverse_N, direct_NC, dx_NC, dnorm_C)
    return dx_NC, dnorm_C.to(norm_C.dtype)


# --- attention ---


class _Attention(torch.autograd.Function):
    """Projections are made as rows of tokens, ((H + 2 K) S, N), so that what is done to each token is done to many."""

    @staticmethod
    def forward(
        ctx: Any, x_BTC: Tensor, norm_C: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor,
        query_norm_S: Tensor | None, key_norm_S: Tensor | None, tables: HeadTables, eps: float,
    ) -> Tensor:  # fmt: skip
        (B, T, _), x_NC = x_BTC.shape, _rows(x_BTC)
        u_NC, inverse_N = _normed(x_NC, norm_C, eps)
        stacked = torch.cat((query, key, value))
        qkv = stacked @ u_NC.T
        o, softmax = qkv.new_empty(out.shape[1], B * T), torch.empty(2, tables.heads, B, T)
        gains = _wide(query_norm_S), _wide(key_norm_S)
        _run(
            cpu_kernels.attention,
            qkv.view(-1, B, T),
            *tables.angles(T),
            *gains,
            eps,
            o.view(-1, B, T),
            softmax,
        )
        ctx.save_for_backward(
            x_NC, u_NC, inverse_N, norm_C, stacked, out, query_norm_S, key_norm_S, qkv, o, softmax
        )
        ctx.tables, ctx.eps = tables, eps
        return torch.addmm(x_NC, o.T, out.T).view(x_BTC.shape)

    @staticmethod
    def backward(ctx: Any, dy_BTC: Tensor) -> tuple[Tensor | None, ...]:
        x_NC, u_NC, inverse_N, norm_C, stacked, out, query_norm_S, key_norm_S, qkv, o, softmax = (
            ctx.saved_tensors
        )
        tables, (B, T, _), dy_NC = ctx.tables, dy_BTC.shape, _rows(dy_BTC)
        dout, do = dy_NC.T @ o.T, out.T @ dy_NC.T
        dqkv, dgains = torch.empty_like(qkv), torch.empty(2, o.shape[0] // tables.heads)
        gains = _wide(query_norm_S), _wide(key_norm_S)
        _run(
            cpu_kernels.attention_backward, do.view(-1, B, T), qkv.view(-1, B, T), *tables.angles(T), *gains, ctx.eps,
            o.view(-1, B, T), softmax, dqkv.view(-1, B, T), *dgains,
        )  # fmt: skip
        del do
        queries, joint = o.shape[0], qkv.shape[0]
        widths = (queries, (joint - queries) // 2, (joint - queries) // 2)
        dx, dnorm = _before_norm(dqkv.T @ stacked, x_NC, norm_C, inverse_N, dy_NC)
        dquery, dkey, dvalue = (dqkv @ u_NC).split(widths)
        dquery_norm, dkey_norm = (None, None) if query_norm_S is None else dgains.to(out.dtype)
        return (
            dx.view(dy_BTC.shape), dnorm, dquery, dkey, dvalue, dout, dquery_norm, dkey_norm, None, None
        )  # fmt: skip


# --- feed-forward ---


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_BTC: Tensor, norm_C: Tensor, gate: Tensor, up: Tensor, down: Tensor, eps: float
    ) -> Tensor:
        x_NC = _rows(x_BTC)
        u_NC, inverse_N = _normed(x_NC, norm_C, eps)
        stacked = torch.cat((gate, up))
        gate_up = u_NC @ stacked.T
        hidden = gate_up.new_empty(x_NC.shape[0], gate.shape[0])
        _run(cpu_kernels.swiglu, gate_up.view(x_NC.shape[0], 2, -1), hidden)
        ctx.save_for_backward(x_NC, u_NC, inverse_N, norm_C, stacked, down, gate_up)
        return torch.addmm(x_NC, hidden, down.T).view(x_BTC.shape)

    @staticmethod
    def backward(ctx: Any, dy_BTC: Tensor) -> tuple[Tensor | None, ...]:
        x_NC, u_NC, inverse_N, norm_C, stacked, down, gate_up = ctx.saved_tensors
        dy_NC = _rows(dy_BTC)
        hidden = dy_NC @ down  # its gradient first
        _run(cpu_kernels.swiglu_backward, gate_up.view(x_NC.shape[0], 2, -1), hidden)
        # A second derivative would be of what now stands there: so PyTorch refuses it.
        increment_version(gate_up)
        ddown = dy_NC.T @ hidden
        del hidden
        dx, dnorm = _before_norm(gate_up @ stacked, x_NC, norm_C, inverse_N, dy_NC)
        dgate, dup = (gate_up.T @ u_NC).chunk(2)
        return dx.view(dy_BTC.shape), dnorm, dgate, dup, ddown, None


class _GELU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BTC: Tensor, norm_C: Tensor, up: Tensor, down: Tensor, eps: float) -> Tensor:
        x_NC = _rows(x_BTC)
        u_NC, inverse_N = _normed(x_NC, norm_C, eps)
        raised = u_NC @ up.T
        hidden = F.gelu(raised)
        ctx.save_for_backward(x_NC, u_NC, inverse_N, norm_C, up, down, raised, hidden)
        return torch.addmm(x_NC, hidden, down.T).view(x_BTC.shape)

    @staticmethod
    def backward(ctx: Any, dy_BTC: Tensor) -> tuple[Tensor | None, ...]:
        x_NC, u_NC, inverse_N, norm_C, up, down, raised, hidden = ctx.saved_tensors
        dy_NC = _rows(dy_BTC)
        ddown = dy_NC.T @ hidden
        draised = torch.ops.aten.gelu_backward(dy_NC @ down, raised)
        dup = draised.T @ u_NC
        dx, dnorm = _before_norm(draised @ up, x_NC, norm_C, inverse_N, dy_NC)
        return dx.view(dy_BTC.shape), dnorm, dup, ddown, None


# --- head and loss ---


class _Loss(torch.autograd.Function):
    """Mean cross-entropy, some tokens at a time, and its gradient along with it."""

    @staticmethod
    def forward(
        ctx: Any,
        x_BTC: Tensor,
        norm_C: Tensor,
        head_VC: Tensor,
        targets_N: Tensor,
        eps: float,
        gradient: bool,
    ) -> Tensor:
        x_NC, head_VC = _rows(x_BTC), head_VC.detach()
        u_NC, inverse_N = _normed(x_NC, norm_C, eps)
        total, size = 0.0, loss_rows(len(head_VC))
        if gradient:
            du_NC, dhead_VC = torch.empty_like(u_NC), torch.zeros(head_VC.shape, dtype=torch.float32)
        for start in range(0, len(u_NC), size):
            part = slice(start, start + size)
            logits = u_NC[part] @ head_VC.T
            total += _run(cpu_kernels.cross_entropy, logits, targets_N[part])
            if gradient:  # the logits are theirs by now
                torch.mm(logits, head_VC, out=du_NC[part])
                if logits.dtype == torch.float32:
                    dhead_VC.addmm_(logits.T, u_NC[part])
                else:
                    dhead_VC += logits.T @ u_NC[part]
            del logits  # or they would stand beside the next ones
        if gradient:
            ctx.save_for_backward(x_NC, inverse_N, norm_C, du_NC, dhead_VC)
            ctx.shape = x_BTC.shape
        return torch.tensor(total / len(u_NC))

    @staticmethod
    def backward(ctx: Any, dloss: Tensor) -> tuple[Tensor | None, ...]:
        x_NC, inverse_N, norm_C, du_NC, dhead_VC = ctx.saved_tensors
        scale = dloss / len(x_NC)
        dx, dnorm = _before_norm(du_NC.mul_(scale), x_NC, norm_C, inverse_N, None)
        return dx.view(ctx.shape), dnorm, dhead_VC.mul_(scale).to(norm_C.dtype), None, None, None
