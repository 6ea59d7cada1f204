"""What `scaling/model/cpu_ops.py` does to memory: one operation for attention, feed-forward, and head and loss.

Each operation keeps what its derivative needs and works in further tensors meanwhile; both are counted as they come
and go there, the few numbers of norms' gains apart. N tokens, C width, T positions; names end as in `model.py`.
"""

from scaling.accounting.activations import STATISTIC_BYTES, TOKEN_BYTES, Tensors, stream_bytes
from scaling.accounting.tape import Op
from scaling.model.tiling import loss_rows


def tables(t: Tensors) -> float:
    """Bytes of what every block's attention shares and no step changes (`block_ops.HeadTables`)."""
    return 4 * t.shape.context * t.shape.head_width


def block_ops(t: Tensors) -> list[Op]:
    """One block from "x" to "y"."""
    return [attention(t), feed_forward(t)]


def attention(t: Tensors) -> Op:
    """ "x" to "x1", the residual stream after attention."""
    shape, e, N = t.shape, t.compute, t.tokens
    H, K, S = shape.heads, shape.kv_heads, shape.head_width
    stream, normed = stream_bytes(t), e * N * shape.width + STATISTIC_BYTES * N
    joint, stacked = e * N * (H + 2 * K) * S, e * shape.width * (H + 2 * K) * S
    output, out_gradient = e * N * H * S, e * shape.width * H * S
    gradients = out_gradient + stacked
    backward = (
        out_gradient + output + joint,
        out_gradient + joint + 2 * stream,
        gradients + joint + stream,
    )
    return Op(
        name="attention",
        component="attention",
        reads=("x",),
        makes={"x1": stream},
        keeps=("x",),
        extra=normed + stacked + joint + output + 2 * STATISTIC_BYTES * N * H,
        weight_gradient=t.weight_gradient(gradients / e),
        cast_gradient=gradients if t.casts_gradients else 0,
        backward_workspace=max(backward) - stream - gradients,
    )


def feed_forward(t: Tensors) -> Op:
    """ "x1" to "y", the residual stream after the feed-forward."""
    shape, e, N = t.shape, t.compute, t.tokens
    stream, normed = stream_bytes(t), e * N * shape.width + STATISTIC_BYTES * N
    hidden, matrix = e * N * shape.ffn_width, e * shape.width * shape.ffn_width
    if shape.ffn == "gelu":
        kept, gradients, forward_workspace = normed + 2 * hidden, 2 * matrix, 0.0
        backward = [matrix + 2 * hidden, gradients + hidden + 2 * stream]
    else:
        kept, gradients, forward_workspace = normed + 2 * matrix + 2 * hidden, 3 * matrix, hidden
        backward = [matrix + hidden, matrix + 2 * stream, gradients + stream]
    return Op(
        name="feed_forward",
        component="ffn",
        reads=("x1",),
        makes={"y": stream},
        keeps=("x1",),
        holds=("x",),
        extra=kept,
        weight_gradient=t.weight_gradient(gradients / e),
        cast_gradient=gradients if t.casts_gradients else 0,
        forward_workspace=forward_workspace,
        backward_workspace=max(backward) - stream - gradients,
    )


def tail_ops(t: Tensors) -> list[Op]:
    """The last norm, the head and the cross-entropy: "x" to "loss", whose gradient is made along with it."""
    shape, e, N = t.shape, t.compute, t.tokens
    weights, stream = shape.vocab_size * shape.width, e * N * shape.width
    logits = min(N, loss_rows(shape.vocab_size)) * shape.vocab_size
    wide = 4 * weights  # the head's gradient adds up in float32
    return [
        Op(
            name="head_loss",
            component="loss",
            reads=("x",),
            makes={"loss": STATISTIC_BYTES},
            keeps=("x",),
            extra=stream + STATISTIC_BYTES * N + (wide if e != 4 else 0),
            # In float32 the gradient that was added up is the weights' own.
            weight_gradient=e * weights if shape.tied_head else t.weight_gradient(weights),
            forward_workspace=stream + e * logits + (wide if e == 4 else e * weights) + N * TOKEN_BYTES,
            backward_workspace=0,
        )
    ]
