"""The operations of what mixes tokens, from its normalised input to what is added to the residual stream.

Tensors by name: n1 the normalised input, g1 the same gathered, q, k, v queries, keys and values, o the output of the
attention core, a the output. A name such as q0 stands before its norm or rotation.
"""

from dataclasses import replace
from functools import partial

from scaling.accounting.activation_sizes import MASK_BYTES, STATISTIC_BYTES, ActivationSizes
from scaling.accounting.basic_ops import gather, linear, norm, partial_result, rotate, scatter
from scaling.accounting.tape import Op
from scaling.shape.attention import Attention, LatentAttention
from scaling.shape.block import Mixer
from scaling.shape.recurrence import Recurrence


def mixer_ops(sizes: ActivationSizes, mixers: tuple[Mixer, ...]) -> list[Op]:
    """ "n1" to "a": what mixes tokens in a block; several mixers read one input, and their results are summed."""
    if len(mixers) == 1:
        return one_mixer_ops(sizes, mixers[0])
    ops: list[Op] = []
    results = []
    for index, mixer in enumerate(mixers):
        own = [_renamed(op, f"m{index}_", outside=("n1",)) for op in one_mixer_ops(sizes, mixer)]
        results.append(f"m{index}_a")
        ops += own
    summed = {"a": sizes.outer_tokens * sizes.shape.width * sizes.number_bytes}
    return [*ops, Op(name="mixer_sum", component="attention", reads=tuple(results), makes=summed)]


def _renamed(op: Op, prefix: str, outside: tuple[str, ...]) -> Op:
    """The operation with its own tensors apart from those of its neighbour."""

    def own(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name if name in outside else prefix + name for name in names)

    return replace(
        op,
        name=prefix + op.name,
        reads=own(op.reads),
        keeps=own(op.keeps),
        holds=own(op.holds),
        makes={prefix + name: size for name, size in op.makes.items()},
    )


def one_mixer_ops(sizes: ActivationSizes, mixer: Mixer) -> list[Op]:
    """ "n1" to "a" through one mixer: projections, norms of heads, rotation, the core, and the output projection."""
    shape, output_width = sizes.shape, mixer.output_width / sizes.layout.tensor
    ops, source = gather(sizes, "attention_gather", "n1", "g1")
    core_result = "o"
    held: tuple[str, ...] = ("n1", "q", "k", "v")
    if isinstance(mixer, Recurrence):
        ops += recurrence_ops(sizes, mixer, source)
        held = ("n1", "u")
    else:
        project = latent_projections if isinstance(mixer, LatentAttention) else projections
        ops += project(sizes, mixer, source)  # type: ignore[arg-type]  # each takes its own kind
        ops += core_ops(sizes, mixer)
    if sizes.composite_kernels and mixer.heads / sizes.layout.tensor > 1 and held[-1] == "v":
        # The CPU kernel's output is laid out a head at a time; the projection wants it a token at a time.
        copied = {"c": sizes.tokens * output_width * sizes.number_bytes}
        ops.append(Op(name="layout", component="attention", reads=("o",), makes=copied))
        core_result = "c"
    if isinstance(mixer, Attention) and mixer.gate != "none":
        gate = {"head": mixer.heads, "feature": mixer.output_width}[mixer.gate] / sizes.layout.tensor
        ops.append(
            linear(sizes, "gate_a", source, "s", rows=sizes.tokens, features=(shape.width, gate), index=4)
        )
        gated = {"og": sizes.tokens * output_width * sizes.number_bytes}
        read = (core_result, "s")
        ops.append(Op(name="gate", component="attention", reads=read, makes=gated, keeps=read))
        core_result = "og"
    unsummed = partial_result(sizes, "a")
    features = (output_width, shape.width)
    output = linear(sizes, "out", core_result, unsummed, rows=sizes.tokens, features=features, index=3)
    ops.append(replace(output, holds=held))
    return ops + scatter(sizes, "attention_scatter", unsummed, "a")


def projections(sizes: ActivationSizes, mixer: Attention, source: str) -> list[Op]:
    """Queries, keys and values, and what is done to queries and keys before the core: norms and rotation."""
    shape = sizes.shape
    rotary, normed = shape.positions == "rotary", mixer.head_norms != "none"
    query, key = _query_key_widths(sizes, mixer)
    value = key * (mixer.value_width or mixer.head_width) / mixer.head_width
    made_here = (("q", query),) if mixer.shares_cache else (("q", query), ("k", key))
    ops = []
    for index, (name, features) in enumerate((*made_here, *(() if mixer.shares_cache else (("v", value),)))):
        is_final = name == "v" or not (normed or rotary)
        made = name if is_final else f"{name}0"
        in_out = (shape.width, features)
        ops.append(linear(sizes, name, source, made, rows=sizes.tokens, features=in_out, index=index))
    for name, features in made_here:
        before_rotation = f"{name}0"
        if normed:
            before_rotation = f"{name}1" if rotary else name
            ops.append(norm(
                sizes, f"{name}_norm", f"{name}0", before_rotation,
                rows=sizes.tokens, features=features, number_bytes=sizes.number_bytes, group=mixer.head_width,
            ))  # fmt: skip
        if rotary:
            ops.append(rotate(sizes, before_rotation, name, features))
    return ops


def _query_key_widths(sizes: ActivationSizes, mixer: Attention | LatentAttention) -> tuple[float, float]:
    """Features of queries and of keys on a device; heads of keys fewer than the devices are repeated."""
    tensor = sizes.layout.tensor
    if isinstance(mixer, LatentAttention):
        return mixer.query_width / tensor, mixer.query_width / tensor
    return mixer.query_width / tensor, max(mixer.kv_heads / tensor, 1.0) * mixer.head_width


def latent_projections(sizes: ActivationSizes, latent: LatentAttention, source: str) -> list[Op]:
    """Queries, keys and values of latent attention; the latents are whole on each tensor-parallel device."""
    width, rows, number_bytes = sizes.shape.width, sizes.tokens, sizes.number_bytes
    heads = latent.heads / sizes.layout.tensor
    query_key = heads * (latent.nope_width + latent.rope_width)
    value = heads * latent.value_width
    kv_down = latent.kv_rank + latent.rope_width
    kv_up = heads * (latent.nope_width + latent.value_width)

    def product(name: str, read: str, result: str, features: tuple[float, float], index: int) -> Op:
        return linear(sizes, name, read, result, rows=rows, features=features, index=index)

    def latent_norm(name: str, read: str, result: str, features: float) -> Op:
        return norm(sizes, name, read, result, rows=rows, features=features, number_bytes=number_bytes)

    if latent.query_rank is None:
        queries = [product("q_up", source, "q0", (width, query_key), 1)]
    else:
        queries = [
            product("q_down", source, "q_latent", (width, latent.query_rank), 0),
            latent_norm("q_latent_norm", "q_latent", "q_normed", latent.query_rank),
            product("q_up", "q_normed", "q0", (latent.query_rank, query_key), 1),
        ]
    return [
        *queries,
        rotate(sizes, "q0", "q", query_key),
        product("kv_down", source, "kv_latent", (width, kv_down), 2),
        latent_norm("kv_latent_norm", "kv_latent", "kv_normed", latent.kv_rank),
        product("kv_up", "kv_normed", "kv", (latent.kv_rank, kv_up), 3),
        Op(
            name="kv_assemble",
            component="attention",
            reads=("kv",),
            makes={"k": rows * number_bytes * query_key, "v": rows * number_bytes * value},
        ),
    ]


RECURRENCE_CHUNK = 256
"""Tokens of a chunk whose state at the start is kept for backward (Mamba-2's kernels, arXiv:2405.21060, section 6)."""


def recurrence_ops(sizes: ActivationSizes, mixer: Recurrence, source: str) -> list[Op]:
    """`source` to "o" through a recurrence: one joint projection, the convolution, and the recurrence itself.

    The kernel keeps what it reads and a state a chunk; there is no published memory to hold this against.
    """
    rows, tensor = sizes.tokens, sizes.layout.tensor
    inputs = mixer.input_width / tensor
    features = (sizes.shape.width, inputs)
    states = rows / RECURRENCE_CHUNK * mixer.state_numbers / tensor * STATISTIC_BYTES
    weights = mixer.inner_matrices / tensor + mixer.other_weights
    return [
        linear(sizes, "in", source, "u0", rows=rows, features=features, index=0),
        Op(
            name="convolution",
            component="attention",
            reads=("u0",),
            makes={"u": rows * inputs * sizes.number_bytes},
            keeps=("u0",),
        ),
        Op(
            name="core",
            component="attention",
            reads=("u",),
            makes={"o": rows * mixer.output_width / tensor * sizes.number_bytes},
            keeps=("u", "o"),
            extra=states,
            weight_gradient=sizes.weight_gradient_bytes(weights),
            core=True,
            stored_by_policy=True,
        ),
    ]


def core_ops(sizes: ActivationSizes, mixer: Attention | LatentAttention) -> list[Op]:
    """Scores, softmax and weighted values: "q", "k", "v" to "o"; keys and values of another block are its to keep."""
    made = {"o": sizes.tokens * mixer.output_width / sizes.layout.tensor * sizes.number_bytes}
    core = flash_core if sizes.recipe.attention == "flash" else materialised_core
    ops = core(sizes, mixer, made)
    if not (isinstance(mixer, Attention) and mixer.shares_cache):
        return ops
    others = ("k", "v", "k_cast")
    return [
        replace(
            op,
            reads=tuple(name for name in op.reads if name not in others),
            keeps=tuple(name for name in op.keeps if name not in others),
        )
        for op in ops
        if op.name != "cast_k"
    ]


def flash_core(
    sizes: ActivationSizes, mixer: Attention | LatentAttention, made: dict[str, float]
) -> list[Op]:
    """One fused kernel, which keeps its inputs, its output and one statistic a query and head."""
    widths = zip(("q", "k"), _query_key_widths(sizes, mixer), strict=True)
    query, key, casts = "q", "k", []
    if sizes.rotates_in_float32:  # autocast hands the kernel casts of both
        query, key = "q_cast", "k_cast"
        casts = [
            Op(
                name=f"cast_{name}",
                component="attention",
                reads=(name,),
                makes={f"{name}_cast": sizes.tokens * features * sizes.number_bytes},
            )
            for name, features in widths
        ]
    core = Op(
        name="core",
        component="attention",
        reads=(query, key, "v"),
        makes=made,
        keeps=(query, key, "v", "o"),
        extra=sizes.tokens * mixer.heads / sizes.layout.tensor * STATISTIC_BYTES,
        core=True,
        stored_by_policy=True,
    )
    return [*casts, core]


def materialised_core(
    sizes: ActivationSizes, mixer: Attention | LatentAttention, made: dict[str, float]
) -> list[Op]:
    """A kernel an operation: scores "s", softmax "p", dropout "d", each of T×T numbers a head, window or not."""
    pairs = sizes.tokens * sizes.shape.context * mixer.heads / sizes.layout.tensor
    scores = pairs * sizes.number_bytes
    core_op = partial(Op, component="attention", core=True)
    ops = [
        core_op(name="scores", reads=("q", "k"), makes={"s": scores}, keeps=("q", "k")),
        core_op(name="softmax", reads=("s",), makes={"p": scores}, keeps=("p",)),
    ]
    weights = "p"
    if sizes.recipe.dropout:
        weights = "d"
        mask = pairs * MASK_BYTES
        ops.append(core_op(name="attention_dropout", reads=("p",), makes={"d": scores}, extra=mask))
    read = (weights, "v")
    ops.append(core_op(name="values", reads=read, makes=made, keeps=read, stored_by_policy=True))
    return ops
