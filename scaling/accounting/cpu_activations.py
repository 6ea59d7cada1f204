"""What this project's compiled operations on a CPU (`scaling/model/cpu_ops.py`) do to memory.

A block is two operations, attention and feed-forward; head and loss are one. Each keeps what its derivative needs and
works in further tensors meanwhile. Both are counted as that file makes and releases them, but for the few numbers of
the norms' weights.
"""

from scaling.accounting.activation_sizes import STATISTIC_BYTES, TOKEN_BYTES, ActivationSizes
from scaling.accounting.tape import Op
from scaling.model.tiling import loss_rows


def attention_tables_bytes(sizes: ActivationSizes) -> float:
    """Bytes of the tables of angles that every block's attention reads and no step changes, in float32."""
    return 4 * sizes.shape.context * sizes.shape.head_width


def block_ops(sizes: ActivationSizes) -> list[Op]:
    """One block from "x" to "y"."""
    return [attention_op(sizes), feed_forward_op(sizes)]


def attention_op(sizes: ActivationSizes) -> Op:
    """ "x" to "x1", the residual stream after attention."""
    shape, tokens, number_bytes = sizes.shape, sizes.tokens, sizes.number_bytes
    qkv_width = shape.attention_width + 2 * shape.kv_width
    stream = sizes.residual_stream_bytes
    normed = _normed_bytes(sizes)
    qkv = number_bytes * tokens * qkv_width
    output = number_bytes * tokens * shape.attention_width
    qkv_weights = number_bytes * shape.width * qkv_width
    output_weights = number_bytes * shape.width * shape.attention_width
    gradients = output_weights + qkv_weights
    statistics = 2 * STATISTIC_BYTES * tokens * shape.heads
    # What is alive beside the kept tensors in the three steps of backward: through the output projection, through the
    # core, and through the joint projection of queries, keys and values.
    backward = (output_weights + output + qkv, output_weights + qkv + 2 * stream, gradients + qkv + stream)
    return Op(
        name="attention",
        component="attention",
        reads=("x",),
        makes={"x1": stream},
        keeps=("x",),
        extra=normed + qkv_weights + qkv + output + statistics,
        weight_gradient=sizes.weight_gradient_bytes(gradients / number_bytes),
        cast_gradient=gradients if sizes.casts_gradients else 0,
        backward_workspace=max(backward) - stream - gradients,
    )


def feed_forward_op(sizes: ActivationSizes) -> Op:
    """ "x1" to "y", the residual stream after the feed-forward."""
    shape, number_bytes = sizes.shape, sizes.number_bytes
    stream = sizes.residual_stream_bytes
    normed = _normed_bytes(sizes)
    hidden = number_bytes * sizes.tokens * shape.ffn_width
    matrix = number_bytes * shape.width * shape.ffn_width
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
        weight_gradient=sizes.weight_gradient_bytes(gradients / number_bytes),
        cast_gradient=gradients if sizes.casts_gradients else 0,
        forward_workspace=forward_workspace,
        backward_workspace=max(backward) - stream - gradients,
    )


def head_and_loss_ops(sizes: ActivationSizes) -> list[Op]:
    """The last norm, the head and the cross-entropy: "x" to "loss"; forward makes the gradient along with the loss."""
    shape, tokens, number_bytes = sizes.shape, sizes.tokens, sizes.number_bytes
    weights = shape.vocab_size * shape.width
    stream = number_bytes * tokens * shape.width
    logits = min(tokens, loss_rows(shape.vocab_size)) * shape.vocab_size
    head_gradient = 4 * weights  # added up in float32
    if number_bytes == 4:  # the sum is the weights' own gradient
        kept_gradient, workspace = 0, head_gradient
    else:
        kept_gradient, workspace = head_gradient, number_bytes * weights
    return [
        Op(
            name="head_loss",
            component="loss",
            reads=("x",),
            makes={"loss": STATISTIC_BYTES},
            keeps=("x",),
            extra=stream + STATISTIC_BYTES * tokens + kept_gradient,
            weight_gradient=number_bytes * weights
            if shape.tied_head
            else sizes.weight_gradient_bytes(weights),
            forward_workspace=stream + number_bytes * logits + workspace + tokens * TOKEN_BYTES,
            backward_workspace=0,
        )
    ]


def _normed_bytes(sizes: ActivationSizes) -> float:
    """A normalised residual stream and a statistic a token."""
    return sizes.number_bytes * sizes.tokens * sizes.shape.width + STATISTIC_BYTES * sizes.tokens
