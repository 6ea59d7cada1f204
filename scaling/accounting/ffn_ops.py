"""The operations of a block's feed-forward, dense or a mixture of experts.

Tensors by name: g2 the gathered input, r the router's probabilities, f the output.
"""

from scaling.accounting.activation_sizes import STATISTIC_BYTES, ActivationSizes
from scaling.accounting.basic_ops import gather, linear, partial_result, scatter
from scaling.accounting.tape import Op


def dense_ffn_ops(sizes: ActivationSizes, source: str) -> list[Op]:
    """`source` to "f" through a feed-forward that every token visits."""
    ops, source = gather(sizes, "ffn_gather", source, "g2")
    partial = partial_result(sizes, "f")
    hidden = sizes.shape.ffn_width / sizes.layout.tensor
    ops += ffn_ops(sizes, source, partial, hidden=hidden, rows=sizes.tokens)
    return ops + scatter(sizes, "ffn_scatter", partial, "f")


def mixture_ops(sizes: ActivationSizes, source: str) -> list[Op]:
    """`source` to "f" through a router, the active experts and the shared ones.

    Tokens are taken to spread evenly over the experts.
    """
    shape = sizes.shape
    ops, source = gather(sizes, "ffn_gather", source, "g2")
    partial = partial_result(sizes, "f")
    hidden = (shape.expert_width or shape.ffn_width) / sizes.layout.tensor
    rows = sizes.tokens * shape.experts_active
    ops += [
        Op(
            name="router",
            component="ffn",
            reads=(source,),
            makes={"r": sizes.tokens * shape.experts * STATISTIC_BYTES},
            keeps=(source, "r"),
            weight_gradient=sizes.weight_gradient_bytes(shape.width * shape.experts),
        ),
        Op(
            name="dispatch",
            component="ffn",
            reads=(source,),
            makes={"dispatched": rows * shape.width * sizes.number_bytes},
        ),
    ]
    experts = shape.experts / sizes.layout.expert
    ops += ffn_ops(sizes, "dispatched", "routed", hidden=hidden, rows=rows, experts=experts)
    reads: tuple[str, ...] = ("routed", "r")
    if shape.shared_experts:
        hidden *= shape.shared_experts
        ops += ffn_ops(sizes, source, "shared", hidden=hidden, rows=sizes.tokens, prefix="shared_")
        reads += ("shared",)
    ops.append(
        Op(
            name="combine",
            component="ffn",
            reads=reads,
            makes={partial: sizes.tokens * shape.width * sizes.number_bytes},
            keeps=("routed",),
        )
    )
    return ops + scatter(sizes, "ffn_scatter", partial, "f")


def ffn_ops(
    sizes: ActivationSizes,
    source: str,
    result: str,
    *,
    hidden: float,
    rows: float,
    experts: float = 1,
    prefix: str = "",
) -> list[Op]:
    """A feed-forward of `hidden` features on `rows` tokens; `experts` of them share the tokens.

    `prefix` tells the tensors of a second feed-forward in a block from those of the first.
    """
    width = sizes.shape.width
    up, gate, activated, product = (prefix + name for name in ("up", "gate", "activated", "product"))
    hidden_bytes = rows * hidden * sizes.number_bytes

    def product_of(name: str, read: str, made: str, features: tuple[float, float], index: int) -> Op:
        return linear(
            sizes, name, read, made,
            rows=rows, features=features, index=index, experts=experts, component="ffn",
        )  # fmt: skip

    def into_hidden(name: str, index: int) -> Op:
        return product_of(name, source, name, (width, hidden), index)

    def out_of_hidden(index: int) -> Op:
        return product_of(result, product, result, (hidden, width), index)

    def elementwise(name: str, reads: tuple[str, ...], made: str) -> Op:
        return Op(name=name, component="ffn", reads=reads, makes={made: hidden_bytes}, keeps=reads)

    if sizes.shape.ffn == "gelu":
        return [into_hidden(up, 4), elementwise(activated, (up,), product), out_of_hidden(5)]
    if sizes.recipe.runtime == "megatron":  # one kernel, which computes silu(gate) again in backward
        swiglu = [elementwise(product, (gate, up), product)]
    else:
        swiglu = [elementwise(activated, (gate,), activated), elementwise(product, (activated, up), product)]
    return [into_hidden(gate, 4), into_hidden(up, 5), *swiglu, out_of_hidden(6)]
