"""The life of tensors on a tape whose instants can be counted by hand."""

from dataclasses import replace

import pytest

from scaling.accounting.tape import Op, simulate_passes

# y = w2 · act(w1 · x): bytes x 1, h 4, a 4, y 1.
TAPE = [
    Op(name="up", component="ffn", reads=("x",), makes={"h": 4}, keeps=("x",), weight_gradient=10),
    Op(name="act", component="ffn", reads=("h",), makes={"a": 4}, keeps=("h",)),
    Op(name="down", component="ffn", reads=("a",), makes={"y": 1}, keeps=("a",), weight_gradient=10),
]


def test_everything_kept() -> None:
    passes = simulate_passes(TAPE, {"x": 1}, output="y")
    assert passes.kept_bytes == 1 + 4 + 4
    assert passes.forward_peak == 1 + 4 + 4 + 1
    # down's backward: x, h, a, y's gradient, a's gradient and its weights' gradient
    # up's backward:   x, h's gradient, x's gradient and both weights' gradients
    assert passes.backward_peak == max(1 + 4 + 4 + 1 + 4 + 10, 1 + 4 + 1 + 20)
    assert passes.weight_gradients == 20


def test_nothing_kept_but_the_input() -> None:
    passes = simulate_passes(TAPE, {"x": 1}, output="y", recompute="full")
    assert passes.kept_bytes == 1
    assert passes.forward_peak == 1 + 4 + 4  # x, h and a, then y instead of h
    assert passes.backward_peak == simulate_passes(TAPE, {"x": 1}, output="y").backward_peak


def test_old_gradients_take_the_new_ones_in() -> None:
    passes = simulate_passes(TAPE, {"x": 1}, output="y", fresh_gradients=False)
    assert passes.weight_gradients == 0
    assert passes.backward_peak == 1 + 4 + 4 + 1 + 4 + 10


def test_a_sum_hands_its_gradient_on_and_two_gradients_make_a_third() -> None:
    tape = [
        Op(name="square", component="a", reads=("x",), makes={"s": 8}, keeps=("x",)),
        Op(name="add", component="b", reads=("x", "s"), makes={"y": 8}, passes_gradient=True),
    ]
    passes = simulate_passes(tape, {"x": 8}, output="y")
    # x has been released when both gradients of x stand beside their sum.
    assert passes.backward_peak == 8 + 8 + 8
    assert passes.backward_component == "a"


def test_a_name_holds_a_tensor_through_forward() -> None:
    held = [*TAPE[:2], replace(TAPE[2], holds=("h",))]
    assert simulate_passes(held, {"x": 1}, output="y", recompute="full").forward_peak == 1 + 4 + 4 + 1


@pytest.mark.parametrize("recompute", ["none", "selective", "selective_ops", "full"])
def test_no_mode_keeps_more_than_all(recompute: str) -> None:
    assert simulate_passes(TAPE, {"x": 1}, output="y", recompute=recompute).kept_bytes <= 9
