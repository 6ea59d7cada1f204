"""The operations of a block's feed-forward, dense or a mixture of experts.

Tensors by name: g2 the gathered input, r the router's probabilities, f the output.
"""

from scaling.accounting.activation_sizes import STATISTIC_BYTES, ActivationSizes
from scaling.accounting.basic_ops import gather, linear, partial_result, scatter
from scaling.accounting.tape import Op
from scaling.shape.feed_forward import FeedForward, Mixture


def dense_ffn_ops(sizes: ActivationSizes, ffn: FeedForward, source: str) -> list[Op]:
    """`source` to "f" through a feed-forward that every token visits."""
    ops, source = gather(sizes, "ffn_gather", source, "g2")
    partial = partial_result(sizes, "f")
    hidden = ffn.hidden / sizes.layout.tensor
    ops += ffn_ops(sizes, source, partial, hidden=hidden, gated=ffn.gated, rows=sizes.tokens)
    return ops + scatter(sizes, "ffn_scatter", partial, "f")


def mixture_ops(sizes: ActivationSizes, mixture: Mixture, source: str) -> list[Op]:
    """`source` to "f" through a router, the active experts and the shared ones.

    Tokens are taken to spread evenly over the experts.
    """
    width, gated = sizes.shape.width, mixture.gated
    ops, source = gather(sizes, "ffn_gather", source, "g2")
    partial = partial_result(sizes, "f")
    # Where each tensor-parallel device holds whole experts, it sends its own part of the tokens.
    rows = sizes.tokens * mixture.active * sizes.layout.expert_tensor / sizes.layout.tensor
    dispatched_from = source
    if mixture.latent:
        down = (width, mixture.latent)
        ops.append(linear(sizes, "latent_down", source, "latent", rows=sizes.tokens, features=down, index=4))
        dispatched_from = "latent"
    ops += [
        Op(
            name="router",
            component="ffn",
            reads=(source,),
            makes={"r": sizes.tokens * mixture.experts * STATISTIC_BYTES},
            keeps=(source, "r"),
            weight_gradient=sizes.weight_gradient_bytes(mixture.router(width)),
        ),
        Op(
            name="dispatch",
            component="ffn",
            reads=(dispatched_from,),
            makes={"dispatched": rows * (mixture.latent or width) * sizes.number_bytes},
        ),
    ]
    experts = mixture.experts / sizes.layout.expert
    ops += ffn_ops(
        sizes, "dispatched", "routed",
        hidden=mixture.hidden / sizes.layout.expert_tensor, gated=gated, rows=rows, experts=experts,
        width=mixture.latent,
    )  # fmt: skip
    reads: tuple[str, ...] = ("routed", "r")
    if mixture.shared is not None:
        hidden = mixture.shared.hidden / sizes.layout.tensor
        ops += ffn_ops(
            sizes, source, "shared", hidden=hidden, gated=gated, rows=sizes.tokens, prefix="shared_"
        )
        reads += ("shared",)
    made = "latent_sum" if mixture.latent else partial
    made_width = mixture.latent or width
    ops.append(
        Op(
            name="combine",
            component="ffn",
            reads=reads,
            makes={made: sizes.tokens * made_width * sizes.number_bytes},
            keeps=("routed",),
        )
    )
    if mixture.latent:
        up = (mixture.latent, width)
        ops.append(linear(sizes, "latent_up", made, partial, rows=sizes.tokens, features=up, index=7))
    return ops + scatter(sizes, "ffn_scatter", partial, "f")


def ffn_ops(
    sizes: ActivationSizes,
    source: str,
    result: str,
    *,
    hidden: float,
    gated: bool,
    rows: float,
    experts: float = 1,
    prefix: str = "",
    width: int | None = None,
) -> list[Op]:
    """A feed-forward of `hidden` features on `rows` tokens; `experts` of them share the tokens.

    `prefix` tells the tensors of a second feed-forward in a block from those of the first; `width` is what it reads, by
    default the residual stream's.
    """
    width = width or sizes.shape.width
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

    if not gated:
        return [into_hidden(up, 4), elementwise(activated, (up,), product), out_of_hidden(5)]
    if sizes.recipe.runtime == "megatron":  # one kernel, which computes silu(gate) again in backward
        swiglu = [elementwise(product, (gate, up), product)]
    else:
        swiglu = [elementwise(activated, (gate,), activated), elementwise(product, (activated, up), product)]
    return [into_hidden(gate, 4), into_hidden(up, 5), *swiglu, out_of_hidden(6)]
