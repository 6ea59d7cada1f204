"""The decoder's work on a processor, written out with its derivative: attention, feed-forward, head and loss.

Mathematics and names are those of `model.py`, which composes it of PyTorch's operations and is the reference. Small
models spend more time between the matrix products than in them, and there this form has the fewest passes over memory:
queries, keys and values are one product; gains of norms are folded into the weights or the angles that follow them;
softmax's and SiLU's exponentials are taken once; each residual sum is part of the product before it.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from scaling.accounting.written_out import LEAST_COLUMNS, QUERY_ROWS, loss_rows


def suits(x: Tensor) -> bool:
    """Whether a tensor is of the kind that these operations are for: on a processor, and not under autocast."""
    return (
        x.device.type == "cpu" and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()
    )


@dataclass(frozen=True, kw_only=True)
class HeadTables:
    """What attention needs and no step changes. G is H + K, the heads of queries and of keys; R is S/2."""

    heads: int
    kv_heads: int
    angles_2T1: Tensor
    """Cosines, then sines, of every coordinate of a half of the heads: (2, 1, T, G R). Those of queries are over
    sqrt(S), since scores are."""
    same_head: Tensor
    """Sums the coordinates of a half of each head, over S, at each of them: (G R, G R)."""
    rows: Tensor
    """Rows of the stacked projections of queries, keys and values with the first halves of all heads of queries and
    keys before the second ones: int64 of ((G + K) S)."""
    rows_back: Tensor
    """The inverse of that permutation."""
    gains: Tensor
    """Where the gain of each coordinate stands in those of queries and keys, one after the other: int64 of (2, G R)."""
    later: Tensor
    """What is added to scores: -inf at keys after the query, (T, T)."""


def head_tables(heads: int, kv_heads: int, cos_TR: Tensor, sin_TR: Tensor) -> HeadTables:
    """The tables of `heads` query heads and `kv_heads` key/value heads, with their rotary angles."""
    (T, R), G = cos_TR.shape, heads + kv_heads
    scale = torch.cat((torch.full((heads,), (2 * R) ** -0.5), torch.ones(kv_heads))).repeat_interleave(R)
    angles = torch.stack([table.repeat(1, G) * scale for table in (cos_TR, sin_TR)])[:, None]
    turned = torch.arange(G * 2 * R).view(G, 2, R).transpose(0, 1)
    rows = torch.cat((turned.flatten(), torch.arange(G * 2 * R, (G + kv_heads) * 2 * R)))
    gains = torch.arange(4 * R).view(2, 2, R)  # queries' and keys', first half and second
    of_head = torch.tensor([0] * heads + [1] * kv_heads)
    return HeadTables(
        heads=heads,
        kv_heads=kv_heads,
        angles_2T1=angles.to(cos_TR.dtype),
        same_head=torch.block_diag(*[torch.full((R, R), 0.5 / R)] * G).to(cos_TR.dtype),
        rows=rows,
        rows_back=rows.argsort(),
        gains=gains[of_head].transpose(0, 1).flatten(1),
        later=torch.full((T, T), float("-inf"), dtype=cos_TR.dtype).triu_(1),
    )


def embed(tokens_BT: Tensor, weight_VC: Tensor) -> Tensor:
    """The rows of tokens (B, T, C), whose gradients add up in float32 at least."""
    return _Embed.apply(tokens_BT, weight_VC)


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
    return _Attention.apply(x_BTC, norm_C, query, key, value, out, query_norm_S, key_norm_S, tables, eps)


def add_feed_forward(
    x_BTC: Tensor, norm_C: Tensor, gate: Tensor | None, up: Tensor, down: Tensor, eps: float
) -> Tensor:
    """x + feed-forward(norm x): SwiGLU with a gate (F, C), GELU without."""
    if gate is None:
        return _GELU.apply(x_BTC, norm_C, up, down, eps)
    return _SwiGLU.apply(x_BTC, norm_C, gate, up, down, eps)


def loss(x_BTC: Tensor, norm_C: Tensor, head_VC: Tensor, targets_BT: Tensor, eps: float) -> Tensor:
    """Mean cross-entropy in nats a token of the logits head(norm x), without all logits at once.

    The gradient is made along with the loss, which is therefore to be used once.
    """
    return _Loss.apply(x_BTC, norm_C, head_VC, targets_BT.flatten(), eps)


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
        wide = torch.promote_types(dx_BTC.dtype, torch.float32)
        dweight = torch.zeros(ctx.shape, dtype=wide)
        dweight.index_add_(0, tokens_BT.flatten(), dx_BTC.flatten(0, 1).to(wide))
        return None, dweight.to(dx_BTC.dtype)


# --- norms before a product ---


def _normed(x_NC: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Rows over their root mean square, and the reciprocals (N, 1) of those."""
    wide = torch.promote_types(x_NC.dtype, torch.float32)
    mean = (x_NC * x_NC).mean(dim=-1, keepdim=True, dtype=wide)
    inverse_N1 = mean.add_(eps).rsqrt_()
    return torch.mul(x_NC, inverse_N1, out=torch.empty_like(x_NC)), inverse_N1.to(x_NC.dtype)


def _before_norm(du_NC: Tensor, u_NC: Tensor, inverse_N1: Tensor, direct_NC: Tensor | None) -> Tensor:
    """Gradient of the residual stream from that of its normed rows u, and the one that passed them by if any."""
    wide = torch.promote_types(u_NC.dtype, torch.float32)
    along_N1 = (du_NC * u_NC).mean(dim=-1, keepdim=True, dtype=wide).to(u_NC.dtype)
    dx = torch.addcmul(du_NC, u_NC, along_N1, value=-1)
    return dx.mul_(inverse_N1) if direct_NC is None else torch.addcmul(direct_NC, dx, inverse_N1)


# --- attention ---


class _Attention(torch.autograd.Function):
    """Queries and keys are made as the first halves of all heads and then the second ones, (2, N, G R), so that
    rotation is products of whole tensors."""

    @staticmethod
    def forward(
        ctx: Any, x_BTC: Tensor, norm_C: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor,
        query_norm_S: Tensor | None, key_norm_S: Tensor | None, tables: HeadTables, eps: float,
    ) -> Tensor:  # fmt: skip
        (B, T, C), H, K, S = x_BTC.shape, tables.heads, tables.kv_heads, out.shape[1] // tables.heads
        x_NC = x_BTC.reshape(B * T, C)
        u_NC, inverse_N1 = _normed(x_NC, eps)
        stacked = torch.cat((query, key, value))[tables.rows]
        scaled = stacked * norm_C
        halves, v = _parts(u_NC @ scaled.T, H + K, S)
        coefficients = tables.angles_2T1[:, :, :T]
        head_inverse = gains = None
        if query_norm_S is not None and key_norm_S is not None:
            squares = (halves[0] * halves[0]).addcmul_(halves[1], halves[1])
            head_inverse = (squares @ tables.same_head).add_(eps).rsqrt_()
            halves.mul_(head_inverse)
            gains = torch.cat((query_norm_S, key_norm_S))[tables.gains][:, None]
            coefficients = coefficients * gains
            del squares
        cos, sin = coefficients.expand(2, 2, -1, -1)
        first, second = halves.unflatten(1, (B, T))
        rotated = u_NC.new_empty(2, B, T, H + K, S // 2)
        torch.mul(first, cos[0], out=rotated[0].flatten(2)).addcmul_(second, sin[1], value=-1)
        torch.mul(second, cos[1], out=rotated[1].flatten(2)).addcmul_(first, sin[0])
        q, k = _rows(rotated.permute(3, 1, 2, 0, 4)).split((H * B, K * B))
        v = _rows(v.unflatten(0, (B, T)).unflatten(2, (K, 1, S)).permute(2, 0, 1, 3, 4))
        del rotated, first, second
        if H > K:
            k, v = (_spread(rows, B, H // K) for rows in (k, v))
        made, weights = _core(q, k, v, tables.later)
        o = u_NC.new_empty(B, T, H, S)
        _copy(made.view(H, B, T, -1)[..., :S].permute(1, 2, 0, 3), o)
        o = o.view(B * T, H * S)
        ctx.save_for_backward(
            u_NC, inverse_N1, norm_C, stacked, scaled, out, None if gains is None else halves, head_inverse,
            gains, q, k, v, o, *weights,
        )  # fmt: skip
        ctx.tables = tables
        return torch.addmm(x_NC, o, out.T).view(B, T, C)

    @staticmethod
    def backward(ctx: Any, dy_BTC: Tensor) -> tuple[Tensor | None, ...]:
        (u_NC, inverse_N1, norm_C, stacked, scaled, out, halves, head_inverse, gains, q, k, v, o,
         *weights) = ctx.saved_tensors  # fmt: skip
        tables, (B, T, C) = ctx.tables, dy_BTC.shape
        H, K, S = tables.heads, tables.kv_heads, out.shape[1] // tables.heads
        dy_NC = dy_BTC.reshape(B * T, C)
        dout = dy_NC.T @ o
        do = _rows((dy_NC @ out).view(B, T, H, 1, S).permute(2, 0, 1, 3, 4))
        dq, dk, dv = _core_backward(do, q, k, v, weights)
        if H > K:
            dk, dv = (_gathered(rows, B, H // K) for rows in (dk, dv))
        dqkv = u_NC.new_empty(B * T, len(scaled))
        dhalves, dvalue = _parts(dqkv, H + K, S)
        _copy(
            dv.view(K, B, T, -1)[..., :S].permute(1, 2, 0, 3),
            dvalue.unflatten(0, (B, T)).unflatten(2, (K, S)),
        )
        drotated = u_NC.new_empty(2, B, T, H + K, S // 2)
        for rows, part in zip((dq, dk), drotated.split((H, K), dim=3), strict=True):
            by_head = rows.view(-1, B, T, rows.shape[-1])[..., :S].unflatten(3, (2, S // 2))
            _copy(by_head.permute(3, 1, 2, 0, 4), part)
        first, second = drotated.flatten(3)
        dleft, dright = dhalves.unflatten(1, (B, T))
        cos, sin = tables.angles_2T1[:, 0, :T]
        torch.mul(first, cos, out=dleft).addcmul_(second, sin)
        torch.mul(second, cos, out=dright).addcmul_(first, sin, value=-1)
        del do, dq, dk, dv, drotated, first, second
        dnorms: list[Tensor | None] = [None, None]
        if gains is not None:
            products = dhalves * halves
            each = torch.cat([product.sum(dim=0) for product in products])
            dnorms = list(each.new_zeros(2 * S).index_add_(0, tables.gains.flatten(), each).chunk(2))
            sums = tables.same_head * gains.mT
            along = torch.mm(products[0], sums[0]).addmm_(products[1], sums[1])
            dhalves.mul_(gains).addcmul_(halves, along, value=-1).mul_(head_inverse)
            del products, along
        dx = _before_norm(dqkv @ scaled, u_NC, inverse_N1, dy_NC)
        dstacked = dqkv.T @ u_NC
        dnorm = (dstacked * stacked).sum(dim=0)
        dquery, dkey, dvalue = dstacked.mul_(norm_C)[tables.rows_back].split((H * S, K * S, K * S))
        return dx.view(B, T, C), dnorm, dquery, dkey, dvalue, dout, *dnorms, None, None


def _parts(qkv: Tensor, heads: int, S: int) -> tuple[Tensor, Tensor]:
    """Of a row (N, …) for each token: the halves of its queries and keys (2, N, G R), and its values (N, K S)."""
    turned = heads * S
    return qkv[:, :turned].unflatten(1, (2, -1)).transpose(0, 1), qkv[:, turned:]


def _rows(x: Tensor) -> Tensor:
    """A token's coordinates (G, B, T, …) as one row for each head and token, (G B, T, S), zeros at the end of short
    rows in float32."""
    size = x.shape[3] * x.shape[4]
    width = max(size, LEAST_COLUMNS) if x.dtype == torch.float32 else size
    rows = (x.new_empty if width == size else x.new_zeros)(*x.shape[:3], width)
    _copy(x, rows[..., :size].unflatten(3, x.shape[3:]))
    return rows.flatten(0, 1)


def _copy(source: Tensor, target: Tensor) -> None:
    """Copy between two orders of dimensions with the last one the same, 16 bytes at a time where it allows."""
    each = torch.complex128.itemsize // source.element_size()
    if all(
        number % each == 0
        for x in (source, target)
        for number in (*x.stride()[:-1], x.storage_offset(), x.shape[-1])
    ):
        source, target = source.view(torch.complex128), target.view(torch.complex128)
    target.copy_(source)


def _spread(rows: Tensor, batch: int, shared: int) -> Tensor:
    """Each key/value head once for every query head that shares it: (K B, T, S) to (H B, T, S)."""
    return rows.unflatten(0, (-1, batch)).repeat_interleave(shared, dim=0).flatten(0, 1)


def _gathered(rows: Tensor, batch: int, shared: int) -> Tensor:
    """The sum over the query heads that share a key/value head: (H B, T, S) to (K B, T, S)."""
    return rows.unflatten(0, (-1, shared, batch)).sum(dim=1).flatten(0, 1)


def _core(q: Tensor, k: Tensor, v: Tensor, later: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Causal attention over matrices (H B, T, S), QUERY_ROWS queries at a time; and the weights of each."""
    out, weights = torch.empty_like(q), []
    for start in range(0, q.shape[1], QUERY_ROWS):
        stop = min(start + QUERY_ROWS, q.shape[1])
        scores = torch.baddbmm(later[start:stop, :stop], q[:, start:stop], k[:, :stop].mT)
        weights.append(scores.softmax(dim=-1))
        del scores  # or they would stand beside the next ones
        out[:, start:stop] = torch.bmm(weights[-1], v[:, :stop])
    return out, weights


def _core_backward(
    dout: Tensor, q: Tensor, k: Tensor, v: Tensor, weights: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values."""
    dq, dk, dv = (torch.empty_like(rows) for rows in (q, k, v))
    for index, p in reversed(list(enumerate(weights))):  # the last queries meet all keys
        start, stop = index * QUERY_ROWS, index * QUERY_ROWS + p.shape[1]
        part, whole = slice(start, stop), stop == k.shape[1]
        dscores = torch._softmax_backward_data(torch.bmm(dout[:, part], v[:, :stop].mT), p, -1, p.dtype)
        dq[:, part] = torch.bmm(dscores, k[:, :stop])
        for gradient, given, rows in ((dv, p, dout), (dk, dscores, q)):
            if whole:
                torch.bmm(given.mT, rows[:, part], out=gradient)
            else:
                gradient[:, :stop] += torch.bmm(given.mT, rows[:, part])
        del dscores, given
    return dq, dk, dv


# --- feed-forward ---


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_BTC: Tensor, norm_C: Tensor, gate: Tensor, up: Tensor, down: Tensor, eps: float
    ) -> Tensor:
        x_NC = x_BTC.reshape(-1, x_BTC.shape[-1])
        u_NC, inverse_N1 = _normed(x_NC, eps)
        scaled_gate, scaled_up = gate * norm_C, up * norm_C
        silu, raised = u_NC @ scaled_gate.T, u_NC @ scaled_up.T
        sigmoid = torch.sigmoid(silu)
        silu.mul_(sigmoid)
        hidden = silu * raised
        ctx.save_for_backward(
            u_NC, inverse_N1, norm_C, gate, up, scaled_gate, scaled_up, down, raised, sigmoid, silu, hidden
        )
        return torch.addmm(x_NC, hidden, down.T).view(x_BTC.shape)

    @staticmethod
    def backward(ctx: Any, dy_BTC: Tensor) -> tuple[Tensor | None, ...]:
        (u_NC, inverse_N1, norm_C, gate, up, scaled_gate, scaled_up, down, raised, sigmoid, silu,
         hidden) = ctx.saved_tensors  # fmt: skip
        dy_NC = dy_BTC.reshape(-1, dy_BTC.shape[-1])
        ddown = dy_NC.T @ hidden
        dhidden = dy_NC @ down
        draised = dhidden * silu
        # silu' = sigmoid + silu (1 - sigmoid)
        dopened = torch.addcmul(silu, silu, sigmoid, value=-1).add_(sigmoid)
        dopened.mul_(dhidden.mul_(raised))
        del dhidden
        dx = _before_norm(torch.mm(dopened, scaled_gate).addmm_(draised, scaled_up), u_NC, inverse_N1, dy_NC)
        dgate, dup = dopened.T @ u_NC, draised.T @ u_NC
        dnorm = (dgate * gate).sum(dim=0) + (dup * up).sum(dim=0)
        return dx.view(dy_BTC.shape), dnorm, dgate.mul_(norm_C), dup.mul_(norm_C), ddown, None


class _GELU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BTC: Tensor, norm_C: Tensor, up: Tensor, down: Tensor, eps: float) -> Tensor:
        x_NC = x_BTC.reshape(-1, x_BTC.shape[-1])
        u_NC, inverse_N1 = _normed(x_NC, eps)
        scaled = up * norm_C
        raised = u_NC @ scaled.T
        hidden = F.gelu(raised)
        ctx.save_for_backward(u_NC, inverse_N1, norm_C, up, scaled, down, raised, hidden)
        return torch.addmm(x_NC, hidden, down.T).view(x_BTC.shape)

    @staticmethod
    def backward(ctx: Any, dy_BTC: Tensor) -> tuple[Tensor | None, ...]:
        u_NC, inverse_N1, norm_C, up, scaled, down, raised, hidden = ctx.saved_tensors
        dy_NC = dy_BTC.reshape(-1, dy_BTC.shape[-1])
        ddown = dy_NC.T @ hidden
        draised = torch.ops.aten.gelu_backward(dy_NC @ down, raised)
        dscaled = draised.T @ u_NC
        dx = _before_norm(draised @ scaled, u_NC, inverse_N1, dy_NC)
        dnorm = (dscaled * up).sum(dim=0)
        return dx.view(dy_BTC.shape), dnorm, dscaled.mul_(norm_C), ddown, None


# --- head and loss ---


class _Loss(torch.autograd.Function):
    """Mean cross-entropy, some tokens at a time, and its gradient along with it."""

    @staticmethod
    def forward(
        ctx: Any, x_BTC: Tensor, norm_C: Tensor, head_VC: Tensor, targets_N: Tensor, eps: float
    ) -> Tensor:
        u, inverse = _normed(x_BTC.reshape(-1, x_BTC.shape[-1]), eps)
        scaled = head_VC * norm_C
        wide = torch.promote_types(u.dtype, torch.float32)
        total = torch.zeros((), dtype=wide)
        size = loss_rows(len(head_VC))
        minus_one = torch.full((size, 1), -1.0, dtype=wide)
        du, dscaled = torch.empty_like(u), torch.zeros(head_VC.shape, dtype=wide)
        for start in range(0, len(u), size):
            rows, wanted = u[start : start + size], targets_N[start : start + size, None]
            logits = (rows @ scaled.T).to(wide)
            p = F.softmax(logits, dim=-1)
            # log sum exp, from the largest logit and its share: one exponential a logit serves both.
            log_sum = logits.amax(dim=-1) - p.amax(dim=-1).log_()
            total += (log_sum - logits.gather(1, wanted).squeeze(1)).sum()
            dlogits = p.scatter_add_(1, wanted, minus_one[: len(rows)]).to(u.dtype)
            torch.mm(dlogits, scaled, out=du[start : start + size])
            dscaled += torch.mm(dlogits.T, rows)
            del logits, p, dlogits  # or they would stand beside the next chunk's
        ctx.save_for_backward(u, inverse, norm_C, head_VC, du, dscaled)
        ctx.shape = x_BTC.shape
        return total / len(u)

    @staticmethod
    def backward(ctx: Any, dloss: Tensor) -> tuple[Tensor | None, ...]:
        u, inverse, norm_C, head_VC, du, dscaled = ctx.saved_tensors
        scale = dloss / len(u)
        dx = _before_norm(du, u, inverse, None).mul_(scale)
        dscaled.mul_(scale)
        dnorm = (dscaled * head_VC).sum(dim=0).to(norm_C.dtype)
        return dx.view(ctx.shape), dnorm, dscaled.to(norm_C.dtype).mul_(norm_C), None, None
