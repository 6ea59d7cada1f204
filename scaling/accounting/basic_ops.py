"""The operations of which blocks are built, as entries of a tape: norms, products, rotations, sums, collectives."""

from dataclasses import replace

from scaling.accounting.activation_sizes import MASK_BYTES, STATISTIC_BYTES, ActivationSizes
from scaling.accounting.tape import Op


def norm(
    sizes: ActivationSizes,
    name: str,
    source: str,
    result: str,
    *,
    rows: float,
    features: float,
    number_bytes: int,
    group: int | None = None,
) -> Op:
    """A norm over the last `features` of each row, or over each `group` of them.

    A fused kernel keeps its input and a statistic a vector. RMSNorm composed of several kernels keeps the normalised
    input as well, and works in float32: a 16-bit input is copied first.
    """
    numbers = rows * features
    statistics = STATISTIC_BYTES * (rows if group is None else numbers / group)
    op = Op(name=name, component="norms", reads=(source,), makes={result: numbers * number_bytes})
    if not (sizes.composite_kernels and sizes.shape.norm == "rmsnorm"):
        return replace(op, keeps=(source,), extra=statistics * (2 if sizes.shape.norm == "layernorm" else 1))
    if number_bytes == 4:
        extra = statistics + 4 * numbers
        return replace(op, keeps=(source,), extra=extra, backward_workspace=8 * numbers)
    return replace(
        op, extra=statistics + 8 * numbers, forward_workspace=4 * numbers, backward_workspace=12 * numbers
    )


def residual_norm(sizes: ActivationSizes, name: str, source: str, result: str) -> Op:
    """A norm of the residual stream, or of what is added to it."""
    rows, features = sizes.outer_tokens, sizes.shape.width
    number_bytes = sizes.residual_number_bytes
    return norm(sizes, name, source, result, rows=rows, features=features, number_bytes=number_bytes)


def linear(
    sizes: ActivationSizes,
    name: str,
    source: str,
    result: str,
    *,
    rows: float,
    features: tuple[float, float],
    index: int,
    component: str = "attention",
    experts: float = 1,
) -> Op:
    """A matrix product of `features` (in, out); its input is kept for the gradient of the weights.

    `index` is its place among the products of a block, from 0.
    Under autocast an input in float32 (the result of a norm) is cast for each product, and the cast is kept.
    """
    features_in, features_out = features
    weights = features_in * features_out * experts
    input_bytes = rows * features_in * sizes.number_bytes
    casts_input = sizes.residual_number_bytes != sizes.number_bytes and source in ("n", "n1", "n2", "x")
    # Megatron keeps a device's own part of the gathered input, and gathers it again in backward.
    gathers_again = sizes.recipe.runtime == "megatron" and sizes.gathers and source in ("g", "g1", "g2")
    return Op(
        name=name,
        component=component,
        reads=(source,),
        makes={result: rows * features_out * sizes.number_bytes},
        keeps=() if casts_input or gathers_again else (source,),
        extra=input_bytes if casts_input else 0,
        weight_gradient=sizes.weight_gradient_bytes(weights),
        cast_gradient=weights * sizes.number_bytes if sizes.casts_gradients else 0,
        backward_workspace=input_bytes if casts_input or gathers_again else 0,
        # torchtitan stores every second product of a block, from the first (its selective checkpoint policy).
        stored_by_policy=index % 2 == 0,
    )


def rotate(sizes: ActivationSizes, source: str, result: str, features: float) -> Op:
    """Rotary positions; the angles are kept once for the whole model, the input not at all."""
    turned = sizes.tokens * features * (4 if sizes.rotates_in_float32 else sizes.number_bytes)
    return Op(
        name=f"rotate_{result}",
        component="attention",
        reads=(source,),
        makes={result: turned},
        forward_workspace=turned,
        backward_workspace=turned,
    )


def residual_add(
    sizes: ActivationSizes, name: str, reads: tuple[str, str], result: str, *, holds: tuple[str, ...] = ()
) -> Op:
    """The sum that writes into the residual stream, after dropout where there is one."""
    mask = sizes.outer_tokens * sizes.shape.width * MASK_BYTES if sizes.recipe.dropout else 0
    return Op(
        name=name,
        component="residual",
        reads=reads,
        makes={result: sizes.residual_stream_bytes},
        holds=holds,
        extra=mask,
        passes_gradient=True,
    )


def gather(sizes: ActivationSizes, name: str, source: str, result: str) -> tuple[list[Op], str]:
    """(operations, the tensor to read) that collect a sequence-parallel tensor for a tensor-parallel product.

    Without sequence parallelism there is no operation, and the tensor to read is `source`. PyTorch's products keep the
    collected input; Megatron keeps the device's own part and collects it again.
    """
    if not sizes.gathers:
        return [], source
    collected = sizes.tokens * sizes.shape.width * sizes.number_bytes
    keeps = (source,) if sizes.recipe.runtime == "megatron" else ()
    op = Op(name=name, component="communication", reads=(source,), makes={result: collected}, keeps=keeps)
    return [op], result


def scatter(sizes: ActivationSizes, name: str, source: str, result: str) -> list[Op]:
    """Sum a tensor-parallel product's parts over the devices, each keeping its own tokens."""
    if not sizes.gathers:
        return []
    own = sizes.outer_tokens * sizes.shape.width * sizes.number_bytes
    return [Op(name=name, component="communication", reads=(source,), makes={result: own})]


def partial_result(sizes: ActivationSizes, result: str) -> str:
    """Name of a tensor-parallel product's part before `scatter` sums it to `result`."""
    return f"partial_{result}" if sizes.gathers else result
