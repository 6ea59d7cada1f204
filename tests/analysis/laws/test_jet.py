"""Derivatives by the chain rule, beside central differences, for every function that a law may use."""

from collections.abc import Callable

import numpy as np
import pytest

from analysis.laws.jet import OPERATIONS, Jet, Quantity

FORMULAS: dict[str, Callable[[Quantity, Quantity, Quantity], Quantity]] = {
    "sums and products": lambda a, b, x: 2 - a * x + b * (a - x) - (+a) - np.subtract(x, b),
    "quotients": lambda a, b, x: (1 + a) / (x + b) + a / x + np.reciprocal(a + b),
    "powers": lambda a, b, x: a**b + x**a + a**3 + 2.0**b + np.square(a) * np.sqrt(b),
    "logarithms": lambda a, b, x: np.log(a) * np.log2(b) + np.log10(a + b) + np.log1p(a * x),
    "exponentials": lambda a, b, x: np.exp(a * b) + np.expm1(a * x) - np.tanh(a - b),
    "the larger": lambda a, b, x: np.maximum(a, x) * np.minimum(b, a * x) + np.maximum(x, b),
    "sum of exponentials": lambda a, b, x: np.logaddexp(a, b * x) + np.logaddexp(x, a),
}


@pytest.mark.parametrize("what", FORMULAS)
def test_first_and_second_derivatives(what: str) -> None:
    theta, x = np.array([[0.7, 1.9], [1.3, 0.4]]), np.array([0.31, 0.83, 2.6])
    formula = FORMULAS[what]

    def value(shift: np.ndarray) -> np.ndarray:
        moved = theta + shift
        return np.asarray(formula(moved[:, :1], moved[:, 1:], x))

    a, b = Jet.coordinates(theta, second=True)
    found = formula(a, b, x)
    assert found.value == pytest.approx(value(np.zeros(2)), rel=1e-14)
    step = 1e-4
    e = np.eye(2) * step
    for i in range(2):
        slope = (value(e[i]) - value(-e[i])) / (2 * step)
        assert np.broadcast_to(found.first.get(i, 0.0), slope.shape) == pytest.approx(
            slope, rel=1e-6, abs=1e-7
        )
        for j in range(i, 2):
            bend = (value(e[i] + e[j]) - value(e[i] - e[j]) - value(e[j] - e[i]) + value(-e[i] - e[j])) / (
                4 * step**2
            )
            assert np.broadcast_to(found.second.get((i, j), 0.0), bend.shape) == pytest.approx(
                bend, rel=1e-5, abs=1e-5
            )


def test_second_derivatives_are_not_carried_where_they_are_not_wanted() -> None:
    a, b = Jet.coordinates(np.array([[0.7, 1.9]]), second=False)
    assert np.exp(a * b).second is None


def test_a_function_without_a_rule_is_refused() -> None:
    (a,) = Jet.coordinates(np.array([[0.7]]), second=True)
    assert np.cos not in OPERATIONS
    with pytest.raises(TypeError):
        np.cos(a)
