"""What `scaling/block_ops.py` does to memory: one operation for attention, feed-forward, and head and loss.

Each operation keeps what its derivative needs and works in further tensors meanwhile; both are counted as they come
and go there, the few numbers of norms' gains apart. N tokens, C width, T positions; names end as in `model.py`.
"""

from scaling.accounting.activations import STATISTIC_BYTES, TOKEN_BYTES, Tensors, stream_bytes
from scaling.accounting.tape import Op

QUERY_ROWS = 64
"""Queries whose scores are computed at once: keys after the last of them are left out, which saves up to half."""
LEAST_COLUMNS = 16
"""Columns of a head's rows in float32 at least, zeros where it has fewer: a batched product of fewer columns takes as
long or longer (MKL with AVX-512)."""
LOSS_LOGITS = 2**18
"""Logits that exist at once: few enough to stay near the processor, and a bound on memory."""
LOSS_ROWS = 256
"""Tokens whose logits exist at once in any case: products of fewer rows take longer."""


def tables(t: Tensors) -> float:
    """Bytes of what every block's attention shares and no step changes (`block_ops.HeadTables`)."""
    shape, joint = t.shape, (t.shape.heads + t.shape.kv_heads) * t.shape.head_width
    numbers = shape.context**2 + shape.context * joint + (joint / 2) ** 2
    places = joint + 2 * (joint + shape.kv_heads * shape.head_width)
    return t.compute * numbers + 8 * places


def loss_rows(vocab_size: int) -> int:
    """Tokens whose logits exist at once."""
    return max(LOSS_ROWS, LOSS_LOGITS // vocab_size)


def block_ops(t: Tensors) -> list[Op]:
    """One block from "x" to "y"."""
    return [attention(t), feed_forward(t)]


def attention(t: Tensors) -> Op:
    """ "x" to "x1", the residual stream after attention."""
    shape, e, N = t.shape, t.compute, t.tokens
    H, K, S = shape.heads, shape.kv_heads, shape.head_width
    stream, normed = stream_bytes(t), e * (N * shape.width + N)
    turned, values = e * N * (H + K) * S, e * N * K * S
    columns = max(S, LEAST_COLUMNS) if e == 4 else S
    queries, keys = e * N * H * columns, e * N * K * columns
    # Shared keys and values are spread over their query heads; the keys' rows stay, being part of the queries'.
    rows = queries + (keys + 2 * queries if H > K else 2 * keys)
    ends = [min(start + QUERY_ROWS, shape.context) for start in range(0, shape.context, QUERY_ROWS)]
    row = e * N / shape.context * H
    scores = [row * (end - start) * end for start, end in zip([0, *ends], ends, strict=False)]
    unit = (
        turned + values + turned / 2 if shape.qk_norm else 0.0
    )  # normed halves, and each head's reciprocals
    output = e * N * H * S
    weights = shape.width * (2 * H + 2 * K) * S
    stacked = e * shape.width * (H + 2 * K) * S
    kept = normed + 2 * stacked + unit + rows + output + sum(scores)
    everything = kept + stream
    joint = turned + values
    forward = (
        # Rows made of the rotated halves.
        normed + 2 * stacked + joint + (turned / 2 if shape.qk_norm else 0) + turned + queries + 2 * keys,
        # The scores of the last queries beside their weights, before the output is laid out.
        everything - output - stream + (0 if shape.qk_norm else joint) + queries
        + scores[-1],
        everything + (0 if shape.qk_norm else joint) + queries,
    )  # fmt: skip
    gradients = e * weights
    norms = turned + turned / 2 if shape.qk_norm else 0.0
    out_gradient = e * shape.width * H * S
    backward = (
        # Gradients of rows, each head's its own, beside those of the last queries' scores and weights.
        out_gradient + (4 * queries if H > K else 2 * (queries + keys)) + 2 * scores[-1],
        out_gradient + (4 * queries + 2 * keys if H > K else 0),
        out_gradient + 2 * (queries + keys) + joint + turned,
        out_gradient + joint + norms,
        out_gradient + joint + 3 * stream,
        gradients + joint + stream + stacked,
    )
    return Op(
        name="attention",
        component="attention",
        reads=("x",),
        makes={"x1": stream},
        extra=kept,
        weight_gradient=t.weight_gradient(weights),
        cast_gradient=gradients if t.casts_gradients else 0,
        forward_workspace=max(0.0, max(forward) - everything),
        backward_workspace=max(backward) - stream - gradients,
    )


def feed_forward(t: Tensors) -> Op:
    """ "x1" to "y", the residual stream after the feed-forward."""
    shape, e, N = t.shape, t.compute, t.tokens
    stream, normed = stream_bytes(t), e * (N * shape.width + N)
    hidden, matrix = e * N * shape.ffn_width, e * shape.width * shape.ffn_width
    if shape.ffn == "gelu":
        kept, gradients = normed + matrix + 2 * hidden, 2 * matrix
        backward = (matrix + 2 * hidden, matrix + hidden + 3 * stream, gradients + hidden + stream + matrix)
    else:
        kept, gradients = normed + 2 * matrix + 4 * hidden, 3 * matrix
        backward = (
            matrix + 3 * hidden,
            matrix + 2 * hidden + 3 * stream,
            gradients + 2 * hidden + stream + matrix,
        )
    return Op(
        name="feed_forward",
        component="ffn",
        reads=("x1",),
        makes={"y": stream},
        holds=("x",),
        extra=kept,
        weight_gradient=t.weight_gradient(gradients / e),
        cast_gradient=gradients if t.casts_gradients else 0,
        backward_workspace=max(backward) - stream - gradients,
    )


def tail_ops(t: Tensors) -> list[Op]:
    """The last norm, the head and the cross-entropy: "x" to "loss", whose gradient is made along with it."""
    shape, e, N = t.shape, t.compute, t.tokens
    weights, stream = shape.vocab_size * shape.width, e * N * shape.width
    logits = min(N, loss_rows(shape.vocab_size)) * shape.vocab_size
    wide = 4 * weights  # the head's gradient adds up in float32
    chunk = 8 * logits + (e * logits if e != 4 else 0) + e * weights
    kept = 2 * stream + e * N + (wide if e != 4 else 0)
    return [
        Op(
            name="head_loss",
            component="loss",
            reads=("x",),
            makes={"loss": STATISTIC_BYTES},
            extra=kept,
            # In float32 the gradient that was added up is the weights' own.
            weight_gradient=e * weights if shape.tied_head else t.weight_gradient(weights),
            forward_workspace=e * weights + (wide if e == 4 else 0) + chunk + N * TOKEN_BYTES,
            backward_workspace=max(stream, wide),
        )
    ]
