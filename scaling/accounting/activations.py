"""What a transformer block, and the tail of head and loss, do to memory: their operations as a tape.

Each tensor that PyTorch's or Megatron-LM's kernels make and keep for backward stands here once, with its bytes on
one device. Under tensor parallelism heads, feed-forward width and vocabulary are split over `layout.tensor`; what
lies between is whole on each device, or split too under sequence parallelism (Korthikanti et al. 2022,
arXiv:2205.05198, whose 34·s·b·h + 5·a·s²·b a block follows from the list below).
"""

from dataclasses import dataclass, replace

from scaling.accounting.layout import Layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.tape import Op
from scaling.shape.shape import ModelShape

STATISTIC_BYTES = 4
"""Means, reciprocal deviations and log-sums are float32."""
TOKEN_BYTES = 8
"""Token ids are int64."""
MASK_BYTES = 1
"""An element of a dropout mask."""


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """What the sizes of a device's tensors follow from."""

    shape: ModelShape
    recipe: TrainingRecipe
    layout: Layout

    @property
    def tokens(self) -> float:
        """Tokens of a micro-batch that a device computes with."""
        return self.layout.micro_batch * self.shape.context / self.layout.context

    @property
    def outer_tokens(self) -> float:
        """Tokens it holds of tensors between the tensor-parallel products."""
        return self.tokens / (self.layout.tensor if self.gathers else 1)

    @property
    def gathers(self) -> bool:
        """Sequence parallelism gathers tokens before a tensor-parallel product and scatters them after it."""
        return self.layout.sequence and self.layout.tensor > 1

    @property
    def compute(self) -> int:
        return self.recipe.bytes.compute

    @property
    def residual(self) -> int:
        """Bytes of the residual stream: autocast leaves it in float32, but weights sharded by ZeRO-3 arrive cast."""
        return 4 if self.recipe.bytes.autocast and self.layout.zero_stage < 3 else self.compute

    @property
    def rotates_in_float32(self) -> bool:
        """Angles in float32 make queries and keys so, until the attention core casts them back."""
        return self.composite and self.residual > self.compute and self.shape.positions == "rotary"

    @property
    def composite(self) -> bool:
        """Kernels as PyTorch composes them on a CPU, rather than fused ones."""
        return self.recipe.runtime == "torch_cpu"

    @property
    def written_out(self) -> bool:
        """As this project trains on a processor (`written_out.py`)."""
        return self.recipe.runtime == "written_out"

    @property
    def casts_gradients(self) -> bool:
        """Weights' gradients are made in 16 bits and kept in 32."""
        mixed = self.recipe.bytes.autocast or (
            self.recipe.precision == "bf16-master" and (self.composite or self.written_out)
        )
        return mixed and not self.grows_by_casts

    def weight_gradient(self, weights: float) -> float:
        """Bytes that backward adds for the gradient of so many weights.

        Megatron adds it to a buffer that is always there; what ZeRO shards is counted as communication. Autocast
        keeps its casts of weights from the first micro-batch on, and the 16-bit gradients of those casts until
        the end of each later backward.
        """
        if self.recipe.runtime == "megatron" or self.layout.zero_stage >= 2:
            return 0
        bytes_each = self.compute if self.grows_by_casts else self.recipe.bytes.gradient
        return weights * bytes_each

    @property
    def grows_by_casts(self) -> bool:
        """A later micro-batch of autocast collects gradients of cast weights before it adds them up."""
        return self.recipe.bytes.autocast and self.layout.zero_stage < 3 and self.layout.accumulation > 1

    def split(self, count: int) -> float:
        """A width or count divided over the tensor-parallel devices; one that is smaller is repeated."""
        return max(count / self.layout.tensor, 1.0)

    @property
    def query_width(self) -> float:
        return self.shape.attention_width / self.layout.tensor

    @property
    def kv_width(self) -> float:
        return self.split(self.shape.kv_heads) * self.shape.head_width

    @property
    def heads(self) -> float:
        return self.shape.heads / self.layout.tensor


def embedding_ops(t: Tensors) -> list[Op]:
    """Token ids to "y", the residual stream."""
    weights = t.shape.vocab_size / t.layout.tensor * t.shape.width
    return [
        Op(
            name="embedding",
            component="embedding",
            makes={"y": stream_bytes(t)},
            weight_gradient=t.weight_gradient(weights),
        )
    ]


def stream_bytes(t: Tensors) -> float:
    """The residual stream of a micro-batch."""
    return t.outer_tokens * t.shape.width * t.residual


def block_ops(t: Tensors, *, mixture: bool) -> list[Op]:
    """One block from "x" to "y"; `mixture` gives it experts, over which tokens are taken to spread evenly."""
    shape = t.shape
    shared_norm, post_norms = shape.norms_per_block == 1, shape.norms_per_block == 4

    def normed(made: str) -> tuple[list[Op], str]:
        """A norm after attention or feed-forward, where the block has one."""
        if not post_norms:
            return [], made
        after = f"{made}_normed"
        return [norm(t, f"{made}_post_norm", made, after, shape.width, t.outer_tokens, t.residual)], after

    ops = [norm(t, "attention_norm", "x", "n1", shape.width, t.outer_tokens, t.residual)]
    ops += attention_ops(t)
    after, attended = normed("a")
    ops += after
    ops.append(residual_add(t, "attention_add", ("x", attended), "x1"))
    if not shared_norm:
        ops.append(norm(t, "ffn_norm", "x1", "n2", shape.width, t.outer_tokens, t.residual))
    source = "n1" if shared_norm else "n2"
    ops += mixture_ops(t, source) if mixture else dense_ffn_ops(t, source)
    after, transformed = normed("f")
    ops += after
    ops.append(replace(residual_add(t, "ffn_add", ("x1", transformed), "y"), holds=("x", source)))
    return ops


def attention_ops(t: Tensors) -> list[Op]:
    """ "n1" to "a": projections, norms of heads, rotation, the core, and the output projection."""
    shape = t.shape
    ops, source = gather(t, "attention_gather", "n1", "g1")
    if shape.latent is not None:
        ops += latent_projections(t, source)
        query_width = key_width = t.heads * (shape.latent.nope_width + shape.latent.rope_width)
        value_width = output_width = t.heads * shape.latent.value_width
    else:
        query_width, output_width = t.query_width, t.query_width
        key_width = value_width = t.kv_width
        for index, (name, width) in enumerate((("q", query_width), ("k", key_width), ("v", value_width))):
            last = name == "v" or not (shape.qk_norm or shape.positions == "rotary")
            ops.append(
                linear(
                    t, name, source, name if last else f"{name}0", t.tokens, shape.width, width, index=index
                )
            )
        for name, width in (("q", query_width), ("k", key_width)):
            made = f"{name}0"
            if shape.qk_norm:
                made = f"{name}1" if shape.positions == "rotary" else name
                ops.append(
                    norm(
                        t, f"{name}_norm", f"{name}0", made, width, t.tokens, t.compute, per=shape.head_width
                    )
                )
            if shape.positions == "rotary":
                ops.append(rotate(t, made, name, width))
    ops += core_ops(t, output_width)
    core_out = "o"
    if t.composite and t.heads > 1:
        # The CPU kernel's output is laid out a head at a time; the projection wants it a token at a time.
        copied = {"c": t.tokens * output_width * t.compute}
        ops.append(Op(name="layout", component="attention", reads=("o",), makes=copied))
        core_out = "c"
    partial = "partial_a" if t.gathers else "a"
    out = linear(t, "out", core_out, partial, t.tokens, output_width, shape.width, index=3)
    ops.append(replace(out, holds=("n1", "q", "k", "v")))
    return ops + scatter(t, "attention_scatter", partial, "a")


def latent_projections(t: Tensors, source: str) -> list[Op]:
    """Queries, keys and values of latent attention; the latents are whole on each tensor-parallel device."""
    latent = t.shape.latent
    assert latent is not None
    rows, width = t.tokens, t.shape.width
    query_key = t.heads * (latent.nope_width + latent.rope_width)
    kv_up = t.heads * (latent.nope_width + latent.value_width)
    element = rows * t.compute
    return [
        linear(t, "q_down", source, "ql", rows, width, latent.query_rank, index=0),
        norm(t, "q_latent_norm", "ql", "qn", latent.query_rank, rows, t.compute),
        linear(t, "q_up", "qn", "q0", rows, latent.query_rank, query_key, index=1),
        rotate(t, "q0", "q", query_key),
        linear(t, "kv_down", source, "kvl", rows, width, latent.kv_rank + latent.rope_width, index=2),
        norm(t, "kv_latent_norm", "kvl", "kvn", latent.kv_rank, rows, t.compute),
        linear(t, "kv_up", "kvn", "kv", rows, latent.kv_rank, kv_up, index=3),
        Op(
            name="kv_assemble",
            component="attention",
            reads=("kv",),
            makes={"k": element * query_key, "v": element * t.heads * latent.value_width},
        ),
    ]


def core_ops(t: Tensors, output_width: float) -> list[Op]:
    """Scores, softmax and weighted values: "q", "k", "v" to "o"."""
    made = {"o": t.tokens * output_width * t.compute}
    if t.recipe.attention == "flash":
        statistics = t.tokens * t.heads * STATISTIC_BYTES
        query, key, ops = "q", "k", []
        if t.rotates_in_float32:  # autocast hands the kernel casts of both
            query, key = "q_cast", "k_cast"
            ops = [
                Op(name=f"cast_{name}", component="attention", reads=(name,), makes={f"{name}_cast": size})
                for name, size in (
                    ("q", t.tokens * t.query_width * t.compute),
                    ("k", t.tokens * t.kv_width * t.compute),
                )
            ]
        core = Op(
            name="core",
            component="attention",
            reads=(query, key, "v"),
            makes=made,
            keeps=(query, key, "v", "o"),
            extra=statistics,
            core=True,
            stored_by_policy=True,
        )
        return [*ops, core]
    pairs = t.tokens * t.shape.context * t.heads
    scores = pairs * t.compute
    softmax = Op(
        name="softmax", component="attention", reads=("s",), makes={"p": scores}, keeps=("p",), core=True
    )
    ops = [
        Op(
            name="scores",
            component="attention",
            reads=("q", "k"),
            makes={"s": scores},
            keeps=("q", "k"),
            core=True,
        )
    ]
    ops.append(softmax)
    weights = "p"
    if t.recipe.dropout:
        weights = "d"
        ops.append(
            Op(
                name="attention_dropout",
                component="attention",
                reads=("p",),
                makes={"d": scores},
                extra=pairs * MASK_BYTES,
                core=True,
            )
        )
    ops.append(
        Op(
            name="values",
            component="attention",
            reads=(weights, "v"),
            makes=made,
            keeps=(weights, "v"),
            core=True,
            stored_by_policy=True,
        )
    )
    return ops


def dense_ffn_ops(t: Tensors, source: str) -> list[Op]:
    """`source` to "f" through a feed-forward that every token visits."""
    ops, source = gather(t, "ffn_gather", source, "g2")
    partial = "partial_f" if t.gathers else "f"
    ops += ffn_ops(t, source, partial, t.shape.ffn_width / t.layout.tensor, t.tokens)
    return ops + scatter(t, "ffn_scatter", partial, "f")


def mixture_ops(t: Tensors, source: str) -> list[Op]:
    """`source` to "f" through a router, the active experts and the shared ones."""
    shape = t.shape
    ops, source = gather(t, "ffn_gather", source, "g2")
    hidden = (shape.expert_width or shape.ffn_width) / t.layout.tensor
    rows = t.tokens * shape.experts_active
    routed = rows * shape.width * t.compute
    ops.append(
        Op(
            name="router",
            component="ffn",
            reads=(source,),
            makes={"r": t.tokens * shape.experts * STATISTIC_BYTES},
            keeps=(source, "r"),
            weight_gradient=t.weight_gradient(shape.width * shape.experts),
        )
    )
    ops.append(Op(name="dispatch", component="ffn", reads=(source,), makes={"dispatched": routed}))
    held = shape.experts / t.layout.expert
    ops += ffn_ops(t, "dispatched", "routed", hidden, rows, experts=held)
    partial = "partial_f" if t.gathers else "f"
    combined = {partial: t.tokens * shape.width * t.compute}
    reads: tuple[str, ...] = ("routed", "r")
    if shape.shared_experts:
        ops += ffn_ops(t, source, "shared", hidden * shape.shared_experts, t.tokens, prefix="shared_")
        reads += ("shared",)
    ops.append(Op(name="combine", component="ffn", reads=reads, makes=combined, keeps=("routed",)))
    return ops + scatter(t, "ffn_scatter", partial, "f")


def ffn_ops(
    t: Tensors, source: str, made: str, hidden: float, rows: float, *, experts: float = 1, prefix: str = ""
) -> list[Op]:
    """A feed-forward of `hidden` features a device on `rows` tokens."""
    width = t.shape.width
    up, gate, activated, product = (prefix + name for name in ("up", "gate", "activated", "product"))
    size = rows * hidden * t.compute
    if t.shape.ffn == "gelu":
        return [
            linear(t, up, source, up, rows, width, hidden, index=4, experts=experts, component="ffn"),
            Op(name=activated, component="ffn", reads=(up,), makes={product: size}, keeps=(up,)),
            linear(t, made, product, made, rows, hidden, width, index=5, experts=experts, component="ffn"),
        ]
    ops = [
        linear(t, gate, source, gate, rows, width, hidden, index=4, experts=experts, component="ffn"),
        linear(t, up, source, up, rows, width, hidden, index=5, experts=experts, component="ffn"),
    ]
    if t.recipe.runtime == "megatron":  # one kernel, which computes silu(gate) again in backward
        ops.append(
            Op(name=product, component="ffn", reads=(gate, up), makes={product: size}, keeps=(gate, up))
        )
    else:
        ops.append(Op(name=activated, component="ffn", reads=(gate,), makes={activated: size}, keeps=(gate,)))
        ops.append(
            Op(
                name=product,
                component="ffn",
                reads=(activated, up),
                makes={product: size},
                keeps=(activated, up),
            )
        )
    ops.append(linear(t, made, product, made, rows, hidden, width, index=6, experts=experts, component="ffn"))
    return ops


def tail_ops(t: Tensors) -> list[Op]:
    """The last norm, the head and the cross-entropy: "x" to "loss"."""
    vocab = t.shape.vocab_size / t.layout.tensor
    ops: list[Op] = []
    source = "x"
    if t.shape.final_norm:
        ops.append(norm(t, "final_norm", "x", "n", t.shape.width, t.outer_tokens, t.residual))
        source = "n"
    gathered, source = gather(t, "head_gather", source, "gn")
    ops += gathered
    ops.append(linear(t, "head", source, "logits", t.tokens, t.shape.width, vocab, index=1, component="head"))
    entries = t.tokens * vocab
    targets = t.tokens * TOKEN_BYTES
    if t.recipe.runtime == "megatron":
        # Softmax and its gradient overwrite the float32 copy of the logits.
        loss = Op(
            name="cross_entropy",
            component="loss",
            reads=("logits",),
            makes={"loss": 4},
            extra=4 * entries,
        )
        return [*ops, loss]
    logits = "logits"
    if t.compute != 4:
        logits = "logits32"
        ops.append(Op(name="float", component="loss", reads=("logits",), makes={logits: 4 * entries}))
    ops.append(
        Op(
            name="log_softmax",
            component="loss",
            reads=(logits,),
            makes={"log_probabilities": 4 * entries},
            keeps=("log_probabilities",),
            # The caller still holds the 16-bit logits.
            forward_workspace=t.compute * entries if t.compute != 4 else 0,
            # A vocabulary-parallel loss takes one more copy: shifted logits, and the exponentials in backward.
            backward_workspace=4 * entries if t.layout.tensor > 1 else 0,
        )
    )
    ops.append(
        Op(name="nll", component="loss", reads=("log_probabilities",), makes={"loss": 4}, extra=targets)
    )
    return ops


# --- operations that recur ---


def norm(
    t: Tensors,
    name: str,
    source: str,
    made: str,
    width: float,
    rows: float,
    number: int,
    per: int | None = None,
) -> Op:
    """A norm over the last `width` features (or over each `per` of them) of tensors of `number` bytes an element.

    A fused kernel keeps its input and a statistic a vector. Composite RMSNorm keeps the normalised input as well, and
    works in float32: a 16-bit input is copied first.
    """
    elements = rows * width
    statistics = STATISTIC_BYTES * (rows if per is None else elements / per)
    composite = t.composite and t.shape.norm == "rmsnorm"
    makes = {made: elements * number}
    if not composite:
        statistics *= 2 if t.shape.norm == "layernorm" else 1
        return Op(
            name=name, component="norms", reads=(source,), makes=makes, keeps=(source,), extra=statistics
        )
    if number == 4:
        return Op(
            name=name,
            component="norms",
            reads=(source,),
            makes=makes,
            keeps=(source,),
            extra=statistics + 4 * elements,
            backward_workspace=8 * elements,
        )
    return Op(
        name=name,
        component="norms",
        reads=(source,),
        makes=makes,
        extra=statistics + 8 * elements,
        forward_workspace=4 * elements,
        backward_workspace=12 * elements,
    )


def linear(
    t: Tensors,
    name: str,
    source: str,
    made: str,
    rows: float,
    wide_in: float,
    wide_out: float,
    *,
    index: int,
    component: str = "attention",
    experts: float = 1,
) -> Op:
    """A matrix product, the `index`th of its block; its input is kept for the weights' gradient.

    Under autocast an input in float32 (the norm's output) is cast for each product, and the cast is kept.
    """
    weights = wide_in * wide_out * experts
    collected_again = t.recipe.runtime == "megatron" and t.gathers and source in ("g1", "g2", "gn")
    cast = t.residual != t.compute and source in ("n", "n1", "n2", "x")
    input_bytes = rows * wide_in * t.compute
    return Op(
        name=name,
        component=component,
        reads=(source,),
        makes={made: rows * wide_out * t.compute},
        keeps=() if cast or collected_again else (source,),
        extra=input_bytes if cast else 0,
        weight_gradient=t.weight_gradient(weights),
        cast_gradient=weights * t.compute if t.casts_gradients else 0,
        backward_workspace=input_bytes if cast or collected_again else 0,
        # torchtitan stores every second product of a block, from the first (its selective checkpoint policy).
        stored_by_policy=index % 2 == 0,
    )


def rotate(t: Tensors, source: str, made: str, width: float) -> Op:
    """Rotary positions; the angles are kept once for the whole model, the input not at all."""
    size = t.tokens * width
    working = 4 if t.rotates_in_float32 else t.compute
    return Op(
        name=f"rotate_{made}",
        component="attention",
        reads=(source,),
        makes={made: size * working},
        forward_workspace=size * working,
        backward_workspace=size * working,
    )


def residual_add(t: Tensors, name: str, reads: tuple[str, str], made: str) -> Op:
    """The sum that writes into the residual stream, after dropout where there is one."""
    mask = t.outer_tokens * t.shape.width * MASK_BYTES if t.recipe.dropout else 0
    return Op(
        name=name,
        component="residual",
        reads=reads,
        makes={made: stream_bytes(t)},
        extra=mask,
        passes_gradient=True,
    )


def gather(t: Tensors, name: str, source: str, made: str) -> tuple[list[Op], str]:
    """Collect a sequence-parallel tensor's tokens for a tensor-parallel product.

    PyTorch's products keep the collected input; Megatron keeps the device's own part and collects it again.
    """
    if not t.gathers:
        return [], source
    size = t.tokens * t.shape.width * t.compute
    keeps = (source,) if t.recipe.runtime == "megatron" else ()
    return [Op(name=name, component="communication", reads=(source,), makes={made: size}, keeps=keeps)], made


def scatter(t: Tensors, name: str, source: str, made: str) -> list[Op]:
    """Sum a tensor-parallel product's parts over the devices, each keeping its own tokens."""
    if not t.gathers:
        return []
    size = t.outer_tokens * t.shape.width * t.compute
    return [Op(name=name, component="communication", reads=(source,), makes={made: size})]
