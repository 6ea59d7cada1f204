"""The operations of attention, from its normalised input to what is added to the residual stream.

Tensors by name: n1 the normalised input, g1 the same gathered, q, k, v queries, keys and values, o the output of the
attention core, a the output. A name such as q0 stands before its norm or rotation.
"""

from dataclasses import replace
from functools import partial

from scaling.accounting.activation_sizes import MASK_BYTES, STATISTIC_BYTES, ActivationSizes
from scaling.accounting.basic_ops import gather, linear, norm, partial_result, rotate, scatter
from scaling.accounting.tape import Op


def attention_ops(sizes: ActivationSizes) -> list[Op]:
    """ "n1" to "a": projections, norms of heads, rotation, the core, and the output projection."""
    shape, latent = sizes.shape, sizes.shape.latent
    ops, source = gather(sizes, "attention_gather", "n1", "g1")
    if latent is not None:
        output_width = sizes.heads * latent.value_width
        ops += latent_projections(sizes, source)
    else:
        output_width = sizes.query_width
        ops += projections(sizes, source)
    ops += core_ops(sizes, output_width)
    core_result = "o"
    if sizes.composite_kernels and sizes.heads > 1:
        # The CPU kernel's output is laid out a head at a time; the projection wants it a token at a time.
        copied = {"c": sizes.tokens * output_width * sizes.number_bytes}
        ops.append(Op(name="layout", component="attention", reads=("o",), makes=copied))
        core_result = "c"
    unsummed = partial_result(sizes, "a")
    features = (output_width, shape.width)
    output = linear(sizes, "out", core_result, unsummed, rows=sizes.tokens, features=features, index=3)
    ops.append(replace(output, holds=("n1", "q", "k", "v")))
    return ops + scatter(sizes, "attention_scatter", unsummed, "a")


def projections(sizes: ActivationSizes, source: str) -> list[Op]:
    """Queries, keys and values, and what is done to queries and keys before the core: norms and rotation."""
    shape = sizes.shape
    rotary = shape.positions == "rotary"
    queries_and_keys = (("q", sizes.query_width), ("k", sizes.kv_width))
    ops = []
    for index, (name, features) in enumerate((*queries_and_keys, ("v", sizes.kv_width))):
        is_final = name == "v" or not (shape.qk_norm or rotary)
        made = name if is_final else f"{name}0"
        in_out = (shape.width, features)
        ops.append(linear(sizes, name, source, made, rows=sizes.tokens, features=in_out, index=index))
    for name, features in queries_and_keys:
        before_rotation = f"{name}0"
        if shape.qk_norm:
            before_rotation = f"{name}1" if rotary else name
            ops.append(norm(
                sizes, f"{name}_norm", f"{name}0", before_rotation,
                rows=sizes.tokens, features=features, number_bytes=sizes.number_bytes, group=shape.head_width,
            ))  # fmt: skip
        if rotary:
            ops.append(rotate(sizes, before_rotation, name, features))
    return ops


def latent_projections(sizes: ActivationSizes, source: str) -> list[Op]:
    """Queries, keys and values of latent attention; the latents are whole on each tensor-parallel device."""
    latent = sizes.shape.latent
    assert latent is not None
    width, rows, number_bytes = sizes.shape.width, sizes.tokens, sizes.number_bytes
    query_key = sizes.heads * (latent.nope_width + latent.rope_width)
    value = sizes.heads * latent.value_width
    kv_down = latent.kv_rank + latent.rope_width
    kv_up = sizes.heads * (latent.nope_width + latent.value_width)

    def product(name: str, read: str, result: str, features: tuple[float, float], index: int) -> Op:
        return linear(sizes, name, read, result, rows=rows, features=features, index=index)

    def latent_norm(name: str, read: str, result: str, features: float) -> Op:
        return norm(sizes, name, read, result, rows=rows, features=features, number_bytes=number_bytes)

    return [
        product("q_down", source, "q_latent", (width, latent.query_rank), 0),
        latent_norm("q_latent_norm", "q_latent", "q_normed", latent.query_rank),
        product("q_up", "q_normed", "q0", (latent.query_rank, query_key), 1),
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


def core_ops(sizes: ActivationSizes, output_width: float) -> list[Op]:
    """Scores, softmax and weighted values: "q", "k", "v" to "o"."""
    made = {"o": sizes.tokens * output_width * sizes.number_bytes}
    return flash_core(sizes, made) if sizes.recipe.attention == "flash" else materialised_core(sizes, made)


def flash_core(sizes: ActivationSizes, made: dict[str, float]) -> list[Op]:
    """One fused kernel, which keeps its inputs, its output and one statistic a query and head."""
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
            for name, features in (("q", sizes.query_width), ("k", sizes.kv_width))
        ]
    core = Op(
        name="core",
        component="attention",
        reads=(query, key, "v"),
        makes=made,
        keeps=(query, key, "v", "o"),
        extra=sizes.tokens * sizes.heads * STATISTIC_BYTES,
        core=True,
        stored_by_policy=True,
    )
    return [*casts, core]


def materialised_core(sizes: ActivationSizes, made: dict[str, float]) -> list[Op]:
    """A kernel an operation: scores "s", softmax "p", dropout "d", each of T×T numbers a head."""
    pairs = sizes.tokens * sizes.shape.context * sizes.heads
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
