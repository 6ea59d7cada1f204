"""Bytes of the operations that recur in every block, counted by hand."""

from scaling.accounting.activation_sizes import ActivationSizes
from scaling.accounting.basic_ops import gather, linear, residual_add, residual_norm, rotate, scatter
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.shape.shape import decoder_shape

SHAPE = decoder_shape(width=64, depth=2, heads=4, vocab_size=100, context=32)
TOKENS, NUMBERS = 32, 32 * 64


def sizes(recipe: TrainingRecipe | None = None, layout: Layout | None = None) -> ActivationSizes:
    return ActivationSizes(shape=SHAPE, recipe=recipe or TrainingRecipe(), layout=layout or Layout())


def test_a_fused_norm_keeps_its_input_and_a_float32_statistic_a_token() -> None:
    op = residual_norm(sizes(), "norm", "x", "n1")
    assert (op.keeps, op.extra, dict(op.makes)) == (("x",), 4 * TOKENS, {"n1": 4 * NUMBERS})


def test_a_norm_composed_on_a_cpu_keeps_what_it_normalised_as_well() -> None:
    op = residual_norm(sizes(TrainingRecipe(runtime="torch_cpu")), "norm", "x", "n1")
    assert op.extra == 4 * TOKENS + 4 * NUMBERS


def test_a_product_keeps_its_input_and_makes_the_gradient_of_its_weights() -> None:
    op = linear(sizes(), "q", "n1", "q", rows=TOKENS, features=(64, 16), index=0)
    assert (op.keeps, op.extra, dict(op.makes)) == (("n1",), 0, {"q": 4 * TOKENS * 16})
    assert op.weight_gradient == 4 * 64 * 16
    assert op.stored_by_policy


def test_autocast_keeps_a_16_bit_cast_of_a_float32_input() -> None:
    autocast = sizes(TrainingRecipe(precision="bf16-mixed"))
    op = linear(autocast, "q", "n1", "q", rows=TOKENS, features=(64, 16), index=1)
    assert (op.keeps, op.extra) == ((), 2 * NUMBERS)
    assert (op.weight_gradient, op.cast_gradient) == (4 * 64 * 16, 2 * 64 * 16)


def test_a_sum_keeps_a_byte_of_mask_a_number_where_there_is_dropout() -> None:
    assert residual_add(sizes(), "add", ("x", "a"), "x1").extra == 0
    assert residual_add(sizes(TrainingRecipe(dropout=True)), "add", ("x", "a"), "x1").extra == NUMBERS


def test_rotation_keeps_nothing() -> None:
    op = rotate(sizes(), "q0", "q", 64)
    assert (op.keeps, op.extra, op.forward_workspace) == ((), 0, 4 * NUMBERS)


def test_sequence_parallelism_gathers_tokens_and_scatters_them() -> None:
    assert gather(sizes(layout=Layout(tensor=2)), "gather", "n1", "g1") == ([], "n1")
    parallel = sizes(layout=Layout(tensor=2, sequence=True))
    (op,), source = gather(parallel, "gather", "n1", "g1")
    assert (source, dict(op.makes)) == ("g1", {"g1": 4 * NUMBERS})
    (op,) = scatter(parallel, "scatter", "partial_a", "a")
    assert dict(op.makes) == {"a": 4 * NUMBERS / 2}
