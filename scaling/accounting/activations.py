"""What a transformer block, and head and loss, do to memory: their operations in the order of forward.

Each tensor that PyTorch's or Megatron-LM's kernels make and keep for backward stands in these lists once, with its
bytes on one device. Under tensor parallelism heads, feed-forward width and vocabulary are split over `layout.tensor`;
what lies between is whole on each device, or split too under sequence parallelism (Korthikanti et al. 2022,
arXiv:2205.05198, whose 34·s·b·h + 5·a·s²·b a block follows from the lists).

Tensors by name: x the residual stream before the block, x1 after attention, y after the block; n1 and n2 their norms;
a and f what attention and feed-forward add.
"""

from scaling.accounting.activation_sizes import STATISTIC_BYTES, TOKEN_BYTES, ActivationSizes
from scaling.accounting.attention_ops import mixer_ops
from scaling.accounting.basic_ops import gather, linear, residual_add, residual_norm
from scaling.accounting.ffn_ops import dense_ffn_ops, mixture_ops
from scaling.accounting.tape import Op
from scaling.shape.block import Block
from scaling.shape.feed_forward import Mixture


def block_ops(sizes: ActivationSizes, block: Block) -> list[Op]:
    """One block from "x" to "y"."""
    norms = sizes.shape.norms_per_block
    attended, transformed = ("a_normed", "f_normed") if norms == 4 else ("a", "f")
    parallel = norms == 1 and bool(block.mixers) and block.ffn is not None
    ops: list[Op] = []
    stream = "x"
    holds: tuple[str, ...] = ()
    if block.mixers:
        ops += [residual_norm(sizes, "attention_norm", "x", "n1"), *mixer_ops(sizes, block.mixers)]
        if norms == 4:
            ops.append(residual_norm(sizes, "a_post_norm", "a", attended))
        stream = "y" if block.ffn is None else "x1"
        ops.append(residual_add(sizes, "attention_add", ("x", attended), stream))
        holds = ("x",)
    if block.ffn is None:
        return ops
    ffn_input = "n1" if parallel else "n2"
    if not parallel:
        ops.append(residual_norm(sizes, "ffn_norm", stream, "n2"))
    if isinstance(block.ffn, Mixture):
        ops += mixture_ops(sizes, block.ffn, ffn_input)
    else:
        ops += dense_ffn_ops(sizes, block.ffn, ffn_input)
    if norms == 4:
        ops.append(residual_norm(sizes, "f_post_norm", "f", transformed))
    ops.append(residual_add(sizes, "ffn_add", (stream, transformed), "y", holds=(*holds, ffn_input)))
    return ops


def head_and_loss_ops(sizes: ActivationSizes) -> list[Op]:
    """The last norm "n", the head and the cross-entropy: "x" to "loss"."""
    shape = sizes.shape
    vocabulary = shape.vocab_size / sizes.layout.tensor
    ops: list[Op] = []
    source = "x"
    if shape.final_norm:
        ops.append(residual_norm(sizes, "final_norm", "x", "n"))
        source = "n"
    gathered, source = gather(sizes, "head_gather", source, "g")
    ops += gathered
    features = (shape.width, vocabulary)
    head = linear(
        sizes, "head", source, "logits", rows=sizes.tokens, features=features, index=1, component="head"
    )
    return [*ops, head, *cross_entropy_ops(sizes, logits=sizes.tokens * vocabulary)]


def cross_entropy_ops(sizes: ActivationSizes, logits: float) -> list[Op]:
    """Cross-entropy of so many logits, computed in float32: "logits" to "loss"."""
    float32_bytes = 4 * logits
    if sizes.recipe.runtime == "megatron":
        # Softmax and its gradient overwrite the float32 copy of the logits.
        return [
            Op(
                name="cross_entropy",
                component="loss",
                reads=("logits",),
                makes={"loss": STATISTIC_BYTES},
                extra=float32_bytes,
            )
        ]
    narrow = sizes.number_bytes != 4
    source = "logits_float32" if narrow else "logits"
    log_softmax = Op(
        name="log_softmax",
        component="loss",
        reads=(source,),
        makes={"log_probabilities": float32_bytes},
        keeps=("log_probabilities",),
        # The caller still holds the 16-bit logits.
        forward_workspace=sizes.number_bytes * logits if narrow else 0,
        # A vocabulary-parallel loss takes one more copy: shifted logits, and the exponentials in backward.
        backward_workspace=float32_bytes if sizes.layout.tensor > 1 else 0,
    )
    negative_log_likelihood = Op(
        name="negative_log_likelihood",
        component="loss",
        reads=("log_probabilities",),
        makes={"loss": STATISTIC_BYTES},
        extra=sizes.tokens * TOKEN_BYTES,
    )
    ops = [log_softmax, negative_log_likelihood]
    if narrow:
        ops.insert(0, Op(name="float", component="loss", reads=("logits",), makes={source: float32_bytes}))
    return ops
