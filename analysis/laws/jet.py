"""Exact first and second derivatives of a law that is written as plain arithmetic.

A `Jet` is a value together with its derivatives in the law's coordinates. Arithmetic and numpy's elementary functions
carry them along by the chain rule, so a law is written once, as its paper writes it, and needs no derivative by hand.
Only the parameters that a subexpression depends on are carried: A/N^α costs two derivatives, not all of them.

Shapes: S settings of the parameters, n runs. A parameter has the value's shape (S, 1), a variable the shape (n,).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Pair = tuple[int, int]
Rule = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""value → the function of it, and its first and second derivative."""

Quantity = Any
"""A parameter of a law, or what follows from some: a `Jet`, or an array where no derivative is wanted."""


class Jet:
    """A value with its first derivatives, and its second ones where they are wanted.

    Attributes:
        value: shape (S, n), or one that broadcasts to it.
        first: number of a coordinate → the derivative in it.
        second: numbers i ≤ j of two coordinates → the derivative in both; None where they are not carried.
    """

    __slots__ = ("first", "second", "value")

    def __init__(
        self, value: np.ndarray, first: dict[int, np.ndarray], second: dict[Pair, np.ndarray] | None
    ) -> None:
        self.value, self.first, self.second = value, first, second

    @classmethod
    def coordinates(cls, theta: np.ndarray, *, second: bool) -> list["Jet"]:
        """One jet for each of the p coordinates of θ (S, p)."""
        one = np.ones((1, 1))
        return [cls(theta[:, i : i + 1], {i: one}, {} if second else None) for i in range(theta.shape[1])]

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """What numpy calls for `np.exp(jet)` or `array * jet`."""
        if method != "__call__" or kwargs or ufunc not in OPERATIONS:
            return NotImplemented
        return OPERATIONS[ufunc](*inputs)

    def __neg__(self) -> "Jet":
        return _scaled(self, -1.0)

    def __pos__(self) -> "Jet":
        return self

    def __add__(self, other: Any) -> "Jet":
        return _add(self, other)

    def __radd__(self, other: Any) -> "Jet":
        return _add(other, self)

    def __sub__(self, other: Any) -> "Jet":
        return _add(self, -other)

    def __rsub__(self, other: Any) -> "Jet":
        return _add(other, -self)

    def __mul__(self, other: Any) -> "Jet":
        return _multiply(self, other)

    def __rmul__(self, other: Any) -> "Jet":
        return _multiply(other, self)

    def __truediv__(self, other: Any) -> "Jet":
        return _divide(self, other)

    def __rtruediv__(self, other: Any) -> "Jet":
        return _divide(other, self)

    def __pow__(self, other: Any) -> "Jet":
        return _power(self, other)

    def __rpow__(self, other: Any) -> "Jet":
        return _power(other, self)


def _scaled(a: Jet, factor: Any) -> Jet:
    second = None if a.second is None else {k: v * factor for k, v in a.second.items()}
    return Jet(a.value * factor, {k: v * factor for k, v in a.first.items()}, second)


def _add(a: Any, b: Any) -> Jet:
    if not isinstance(a, Jet):
        return Jet(a + b.value, b.first, b.second)
    if not isinstance(b, Jet):
        return Jet(a.value + b, a.first, a.second)
    second = None if a.second is None or b.second is None else _merged(a.second, b.second)
    return Jet(a.value + b.value, _merged(a.first, b.first), second)


def _merged(a: dict[Any, np.ndarray], b: dict[Any, np.ndarray]) -> dict[Any, np.ndarray]:
    total = dict(a)
    for key, value in b.items():
        total[key] = total[key] + value if key in total else value
    return total


def _multiply(a: Any, b: Any) -> Jet:
    if not isinstance(a, Jet):
        return _scaled(b, a)
    if not isinstance(b, Jet):
        return _scaled(a, b)
    first = _merged(
        {i: g * b.value for i, g in a.first.items()}, {j: g * a.value for j, g in b.first.items()}
    )
    second = None
    if a.second is not None and b.second is not None:
        second = _merged(
            {k: h * b.value for k, h in a.second.items()}, {k: h * a.value for k, h in b.second.items()}
        )
        for i, g in a.first.items():
            for j, h in b.first.items():
                product = g * h
                key = (i, j) if i <= j else (j, i)
                if i == j:
                    product = 2 * product
                second[key] = second[key] + product if key in second else product
    return Jet(a.value * b.value, first, second)


def _apply(a: Jet, rule: Rule) -> Jet:
    value, slope, bend = rule(a.value)
    first = {i: slope * g for i, g in a.first.items()}
    second = None
    if a.second is not None:
        second = {k: slope * h for k, h in a.second.items()}
        order = sorted(a.first)
        for at, i in enumerate(order):
            bent = bend * a.first[i]
            for j in order[at:]:
                product = bent * a.first[j]
                second[i, j] = second[i, j] + product if (i, j) in second else product
    return Jet(value, first, second)


def compose(
    arguments: Sequence[Jet],
    value: np.ndarray,
    slopes: Sequence[np.ndarray],
    bends: Mapping[Pair, np.ndarray],
) -> Jet:
    """A function of several jets whose derivatives are known: what a law needs that sums over more than its runs.

    Args:
        arguments: its arguments.
        value: its value there.
        slopes: its derivative in each argument.
        bends: numbers i ≤ j of two arguments → its second derivative in both; absent where it is zero.
    """
    first: dict[int, np.ndarray] = {}
    for slope, a in zip(slopes, arguments, strict=True):
        first = _merged(first, {i: slope * g for i, g in a.first.items()})
    if any(a.second is None for a in arguments):
        return Jet(value, first, None)
    second: dict[Pair, np.ndarray] = {}
    for slope, a in zip(slopes, arguments, strict=True):
        second = _merged(second, {k: slope * h for k, h in (a.second or {}).items()})
    for p, a in enumerate(arguments):
        for q, b in enumerate(arguments):
            bend = bends.get((min(p, q), max(p, q)))
            if bend is not None:
                products = {
                    (i, j): bend * g * h for i, g in a.first.items() for j, h in b.first.items() if i <= j
                }
                second = _merged(second, products)
    return Jet(value, first, second)


def _exp(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    value = np.exp(x)
    return value, value, value


def _log(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    inverse = 1 / x
    return np.log(x), inverse, -(inverse**2)


def _log1p(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    inverse = 1 / (1 + x)
    return np.log1p(x), inverse, -(inverse**2)


def _expm1(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    value = np.exp(x)
    return np.expm1(x), value, value


def _reciprocal(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    inverse = 1 / x
    return inverse, -(inverse**2), 2 * inverse**3


def _tanh(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    value = np.tanh(x)
    slope = 1 - value**2
    return value, slope, -2 * value * slope


def _fixed_power(exponent: Any) -> Rule:
    def rule(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return (
            x**exponent,
            exponent * x ** (exponent - 1),
            exponent * (exponent - 1) * x ** (exponent - 2),
        )

    return rule


def _divide(a: Any, b: Any) -> Jet:
    if not isinstance(b, Jet):
        return _scaled(a, 1 / np.asarray(b))
    return _multiply(a, _apply(b, _reciprocal))


def _power(a: Any, b: Any) -> Jet:
    if not isinstance(b, Jet):
        return _apply(a, _fixed_power(b))
    log_a = _apply(a, _log) if isinstance(a, Jet) else np.log(a)
    return _apply(_multiply(log_a, b), _exp)


def _larger(a: Any, b: Any, sign: float) -> Jet:
    """The larger of two (sign 1) or the smaller (sign -1), run by run, with the derivatives of the one taken."""
    first = (_value(a) - _value(b)).real * sign > 0
    return _add(_part(a, first), _part(b, ~first))


def _part(a: Any, which: np.ndarray) -> Any:
    """`a` where `which` is true and zero elsewhere, even where a is infinite there."""
    if not isinstance(a, Jet):
        return Jet(np.where(which, a, 0.0), {}, {})
    second = None if a.second is None else {k: np.where(which, h, 0.0) for k, h in a.second.items()}
    first = {k: np.where(which, g, 0.0) for k, g in a.first.items()}
    return Jet(np.where(which, a.value, 0.0), first, second)


def _value(a: Any) -> np.ndarray:
    return a.value if isinstance(a, Jet) else np.asarray(a)


def _logaddexp(a: Any, b: Any) -> Jet:
    top = np.maximum(_value(a).real, _value(b).real)
    return _add(np.log(np.exp(a - top) + np.exp(b - top)), top)


OPERATIONS: dict[np.ufunc, Callable[..., Jet]] = {
    np.add: _add,
    np.subtract: lambda a, b: _add(a, -b),
    np.multiply: _multiply,
    np.divide: _divide,
    np.power: _power,
    np.negative: lambda a: _scaled(a, -1.0),
    np.positive: lambda a: a,
    np.exp: lambda a: _apply(a, _exp),
    np.log: lambda a: _apply(a, _log),
    np.log1p: lambda a: _apply(a, _log1p),
    np.expm1: lambda a: _apply(a, _expm1),
    np.log2: lambda a: _scaled(_apply(a, _log), 1 / np.log(2)),
    np.log10: lambda a: _scaled(_apply(a, _log), 1 / np.log(10)),
    np.sqrt: lambda a: _apply(a, _fixed_power(0.5)),
    np.square: lambda a: _apply(a, _fixed_power(2)),
    np.reciprocal: lambda a: _apply(a, _reciprocal),
    np.tanh: lambda a: _apply(a, _tanh),
    np.maximum: lambda a, b: _larger(a, b, 1.0),
    np.minimum: lambda a, b: _larger(a, b, -1.0),
    np.logaddexp: _logaddexp,
}
"""numpy's function → the same of jets."""
