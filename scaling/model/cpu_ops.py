"""The decoder's operations on a processor, each with its own gradient: embedding, attention, feed-forward, loss.

They compute what `decoder.py`, the reference, composes of PyTorch's operations. Here PyTorch makes the matrix products,
and one kernel of `cpu_kernels.py` does all that lies between two of them: small models spend more time there than in
the products.

Each operation is a `torch.autograd.Function`. It runs under autograd, or is recorded on a `Tape` where one is given.
Tensor names end in their shape as in `decoder.py`, with N for all tokens of the batch (B T). A leading d marks the
gradient of the loss with respect to a tensor.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses import FakeTensor
from torch.autograd.graph import increment_version

from scaling.model import cpu_kernels
from scaling.model.cpu_backward import Tape
from scaling.model.tiling import loss_rows

DTYPES = (torch.float32, torch.bfloat16)
"""Types of number that the kernels read and write."""


def supports(x: Tensor) -> bool:
    """Whether these operations take a tensor: on a processor, of a type that kernels read, and not under autocast."""
    return (
        x.device.type == "cpu"
        and x.dtype in DTYPES
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


@dataclass(frozen=True, kw_only=True)
class HeadTables:
    """The constants of every attention layer: numbers of heads and rotary angles."""

    heads: int
    kv_heads: int
    cos_RT: Tensor
    """Cosines of the rotary angles, float32; R is half of a head's width."""
    sin_RT: Tensor
    """Sines of the rotary angles, float32."""

    def angles(self, positions: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the first positions, (R, positions) each."""
        if positions == self.cos_RT.shape[1]:
            return self.cos_RT, self.sin_RT
        return self.cos_RT[:, :positions].contiguous(), self.sin_RT[:, :positions].contiguous()


def head_tables(heads: int, kv_heads: int, cos_TR: Tensor, sin_TR: Tensor) -> HeadTables:
    """The constants of attention, from the angles that `decoder.rotary_tables` gives."""
    cos_RT, sin_RT = (table.T.float().contiguous() for table in (cos_TR, sin_TR))
    return HeadTables(heads=heads, kv_heads=kv_heads, cos_RT=cos_RT, sin_RT=sin_RT)


def embed(tokens_BT: Tensor, weight_VC: Tensor, tape: Tape | None = None) -> Tensor:
    """The embeddings of tokens (B, T, C). The gradient of the weights is summed in float32."""
    return _apply(tape, _Embed, tokens_BT, weight_VC)


def add_attention(
    x_BTC: Tensor, norm_C: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor,
    query_norm_S: Tensor | None, key_norm_S: Tensor | None, tables: HeadTables, eps: float,
    tape: Tape | None = None,
) -> Tensor:  # fmt: skip
    """x + attention(norm x): causal, with grouped key/value heads.

    Args:
        x_BTC: residual stream.
        norm_C: gain of the norm before attention.
        query: weights (H S, C).
        key: weights (K S, C).
        value: weights (K S, C).
        out: weights (C, H S).
        query_norm_S: gain of the norm of each query head; None without that norm.
        key_norm_S: gain of the norm of each key head; None without that norm.
        tables: rotary angles of at least T positions.
        eps: added to mean squares by all norms.
        tape: records the operation; None leaves that to autograd.
    """
    return _apply(
        tape, _Attention, x_BTC, norm_C, query, key, value, out, query_norm_S, key_norm_S, tables, eps
    )


def add_feed_forward(
    x_BTC: Tensor, norm_C: Tensor, gate: Tensor | None, up: Tensor, down: Tensor, eps: float,
    tape: Tape | None = None,
) -> Tensor:  # fmt: skip
    """x + feed-forward(norm x): SwiGLU with a gate (F, C), GELU without one. Backward works only once."""
    if gate is None:
        return _apply(tape, _GELU, x_BTC, norm_C, up, down, eps)
    return _apply(tape, _SwiGLU, x_BTC, norm_C, gate, up, down, eps)


def loss(
    x_BTC: Tensor, norm_C: Tensor, head_VC: Tensor, targets_BT: Tensor, eps: float, tape: Tape | None = None
) -> Tensor:
    """Mean cross-entropy, in nats a token, of the logits head(norm x).

    Logits exist for `loss_rows` tokens at a time. Gradients are therefore computed along with the loss, where they will
    be asked for.
    """
    needs_gradients = torch.is_grad_enabled() or tape is not None
    return _apply(tape, _Loss, x_BTC, norm_C, head_VC, targets_BT.flatten(), eps, needs_gradients)


# --- shared by the operations ---


def _apply(tape: Tape | None, operation: type[torch.autograd.Function], *inputs: Any) -> Tensor:
    """Do an operation, recorded on a tape where there is one, else under autograd."""
    if tape is not None:
        return tape.apply(operation, *inputs)
    apply: Callable[..., Tensor] = operation.apply  # torch gives it no types before 2.15
    return apply(*inputs)


def _run(kernel: Any, *arguments: Any) -> Any:
    """Call a kernel with tensors and numbers; for fake tensors, which have a shape and no data, only return 0."""
    if type(arguments[0]) is FakeTensor:
        return 0.0
    return kernel(*[_array(x) if isinstance(x, Tensor) else x for x in arguments])


def _array(x: Tensor) -> npt.NDArray[Any]:
    """A tensor's memory as a NumPy array; bfloat16, which NumPy lacks, as the bits of it."""
    return x.view(torch.uint16).numpy() if x.dtype is torch.bfloat16 else x.numpy()


def _float32(gain: Tensor | None) -> Tensor | None:
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
    """The residual stream as one row for each token (N, C)."""
    return x_BTC.detach().reshape(-1, x_BTC.shape[-1]).contiguous()


def _normed(x_NC: Tensor, norm_C: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The normed rows (N, C), and 1 / rms of each row (N)."""
    u_NC, inverse_N = torch.empty_like(x_NC), torch.empty(x_NC.shape[0])
    _run(cpu_kernels.norm, x_NC, _float32(norm_C), eps, u_NC, inverse_N)
    return u_NC, inverse_N


def _norm_gradients(
    du_NC: Tensor, x_NC: Tensor, norm_C: Tensor, inverse_N: Tensor, direct_NC: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Gradients of a norm's rows and gain, from that of its result.

    `direct_NC` is the gradient that reaches the rows by the residual connection; None where there is none.
    """
    dx_NC, dnorm_C = torch.empty_like(x_NC), torch.empty(norm_C.shape[0])
    _run(cpu_kernels.norm_backward, du_NC, x_NC, _float32(norm_C), inverse_N, direct_NC, dx_NC, dnorm_C)
    return dx_NC, dnorm_C.to(norm_C.dtype)


# --- attention ---


class _Attention(torch.autograd.Function):
    """Projections are stored transposed, ((H + 2 K) S, N): kernels then vectorise over tokens."""

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
        gains = _float32(query_norm_S), _float32(key_norm_S)
        _run(
            cpu_kernels.attention, qkv.view(-1, B, T), *tables.angles(T), *gains, eps, o.view(-1, B, T), softmax
        )  # fmt: skip
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
        gains = _float32(query_norm_S), _float32(key_norm_S)
        _run(
            cpu_kernels.attention_backward, do.view(-1, B, T), qkv.view(-1, B, T), *tables.angles(T), *gains, ctx.eps,
            o.view(-1, B, T), softmax, dqkv.view(-1, B, T), *dgains,
        )  # fmt: skip
        del do
        query_rows, stacked_rows = o.shape[0], qkv.shape[0]
        kv_rows = (stacked_rows - query_rows) // 2
        dx, dnorm = _norm_gradients(dqkv.T @ stacked, x_NC, norm_C, inverse_N, dy_NC)
        dquery, dkey, dvalue = torch.split(dqkv @ u_NC, [query_rows, kv_rows, kv_rows])
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
        hidden = dy_NC @ down  # the gradient of hidden, which the kernel replaces by hidden itself
        _run(cpu_kernels.swiglu_backward, gate_up.view(x_NC.shape[0], 2, -1), hidden)
        # The kernel has put gradients into `gate_up`. PyTorch, once told so, refuses a second backward.
        increment_version(gate_up)
        ddown = dy_NC.T @ hidden
        del hidden
        dx, dnorm = _norm_gradients(gate_up @ stacked, x_NC, norm_C, inverse_N, dy_NC)
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
        dx, dnorm = _norm_gradients(draised @ up, x_NC, norm_C, inverse_N, dy_NC)
        return dx.view(dy_BTC.shape), dnorm, dup, ddown, None


# --- head and loss ---


class _Loss(torch.autograd.Function):
    """Mean cross-entropy, some tokens at a time. Forward computes the gradient of the sum; backward only scales it."""

    @staticmethod
    def forward(
        ctx: Any, x_BTC: Tensor, norm_C: Tensor, head_VC: Tensor, targets_N: Tensor, eps: float,
        needs_gradients: bool,
    ) -> Tensor:  # fmt: skip
        x_NC, head_VC = _rows(x_BTC), head_VC.detach()
        u_NC, inverse_N = _normed(x_NC, norm_C, eps)
        total, size = 0.0, loss_rows(len(head_VC))
        if needs_gradients:
            du_NC, dhead_VC = torch.empty_like(u_NC), torch.zeros(head_VC.shape, dtype=torch.float32)
        for start in range(0, len(u_NC), size):
            part = slice(start, start + size)
            logits = u_NC[part] @ head_VC.T
            total += _run(cpu_kernels.cross_entropy, logits, targets_N[part])
            if needs_gradients:
                # The kernel has replaced the logits by their gradients.
                torch.mm(logits, head_VC, out=du_NC[part])
                if logits.dtype == torch.float32:
                    dhead_VC.addmm_(logits.T, u_NC[part])
                else:
                    dhead_VC += logits.T @ u_NC[part]
            del logits  # frees their memory before the next ones are made
        if needs_gradients:
            ctx.save_for_backward(x_NC, inverse_N, norm_C, du_NC, dhead_VC)
            ctx.shape = x_BTC.shape
        return torch.tensor(total / len(u_NC))

    @staticmethod
    def backward(ctx: Any, dloss: Tensor) -> tuple[Tensor | None, ...]:
        x_NC, inverse_N, norm_C, du_NC, dhead_VC = ctx.saved_tensors
        scale = dloss / len(x_NC)
        dx, dnorm = _norm_gradients(du_NC.mul_(scale), x_NC, norm_C, inverse_N, None)
        return dx.view(ctx.shape), dnorm, dhead_VC.mul_(scale).to(norm_C.dtype), None, None, None
