"""A law of one's own from a plain function, whose signature says everything: `loss(x, E=(1, 3), alpha=(0.1, 1))`."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from analysis.laws.jet import Jet, Quantity
from analysis.laws.law import Law, Variables
from analysis.refusals import BadValue

RELATIVE_STEP = 1e-4
"""Step of the finite differences of a function that no chain rule passes through."""


def law_of(function: Callable[..., Quantity], name: str, source: str) -> Law:
    """The law that a function computes.

    Args:
        function: takes the columns `x` and parameters whose defaults are the range (low, high) in which to look for
            them. A parameter whose range is above 0 stays above 0. Derivatives follow from its arithmetic where it uses
            numpy's elementary functions, and else by finite differences. Its first line of docstring is the formula.
        name: how `fit(law=…)` will name it.
        source: where it is from.

    Raises:
        BadValue: a parameter has no range, or the function cannot be computed.
    """
    first, *others = inspect.signature(function).parameters.values()
    box, logged = {}, []
    for parameter in others:
        box[parameter.name] = _range(name, parameter)
        if box[parameter.name][0] > 0:
            logged.append(parameter.name)
            box[parameter.name] = tuple(np.log(box[parameter.name]))
    if not box:
        raise BadValue(f"law {name!r}: its function has no parameter after {first.name!r}")
    middle = [float(np.exp(np.mean(r)) if k in logged else np.mean(r)) for k, r in box.items()]
    seen = _Seen()
    _computed(function, name, seen, dict(zip(box, middle, strict=True)))
    if not seen.columns:
        raise BadValue(
            f"law {name!r}: its function reads no column of {first.name!r}, as {first.name}['params']"
        )
    by_chain_rule = _passes_jets(function, seen.columns, middle, list(box))
    text = (inspect.getdoc(function) or name).splitlines()[0]
    return Law(
        name=name,
        formula=text,
        source=source,
        variables=tuple(seen.columns),
        parameters=tuple(box),
        logged=tuple(logged),
        signed=tuple(k for k in box if k not in logged),
        box=box,
        expression=function if by_chain_rule else by_differences(function),
        typical=dict(zip(box, middle, strict=True)),
    )


class _Seen(dict[str, np.ndarray]):
    """Columns that note which of them are read."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: dict[str, np.ndarray] = {}

    def __missing__(self, name: str) -> np.ndarray:
        return self.columns.setdefault(name, np.array([1.5, 2.0, 3.0]))

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)


def _range(law: str, parameter: inspect.Parameter) -> tuple[float, float]:
    try:
        low, high = (float(bound) for bound in parameter.default)
    except (TypeError, ValueError):
        low = high = np.nan
    if not -np.inf < low < high < np.inf:
        raise BadValue(
            f"law {law!r}: parameter {parameter.name!r} needs the range to look for it in as its default, such as "
            f"{parameter.name}=(0.1, 1.0)"
        )
    return low, high


def _computed(function: Callable[..., Any], name: str, x: Variables, values: dict[str, Any]) -> Any:
    try:
        with np.errstate(all="ignore"):
            return function(x, **values)
    except Exception as error:
        raise BadValue(f"law {name!r}: its function fails with {type(error).__name__}: {error}") from error


def _passes_jets(function: Callable[..., Any], x: Variables, middle: list[float], names: list[str]) -> bool:
    jets = Jet.coordinates(np.array([middle]), second=True)
    try:
        with np.errstate(all="ignore"):
            return isinstance(function(x, **dict(zip(names, jets, strict=True))), Jet)
    except (TypeError, ValueError, AttributeError):
        return False


def by_differences(function: Callable[..., Any]) -> Callable[..., Quantity]:
    """The function with its derivatives in the parameters from central differences, as a jet of them."""

    def expression(x: Variables, **parameters: Quantity) -> Quantity:
        jets = list(parameters.values())
        if not any(isinstance(jet, Jet) for jet in jets):
            if all(np.ndim(value) == 0 for value in jets):
                return function(x, **parameters)
            settings = zip(
                *(np.ravel(value) for value in jets), strict=True
            )  # the function takes one at a time
            return np.stack(
                [
                    np.asarray(function(x, **dict(zip(parameters, map(float, one), strict=True))))
                    for one in settings
                ]
            )
        at = [np.real(jet.value) for jet in jets]
        steps = [RELATIVE_STEP * np.maximum(np.abs(value), 1e-3) for value in at]

        def moved(*moves: tuple[int, int]) -> np.ndarray:
            values = list(at)
            for i, sign in moves:
                values[i] = values[i] + sign * steps[i]
            rows = [
                np.asarray(
                    function(x, **{k: float(v[s, 0]) for k, v in zip(parameters, values, strict=True)})
                )
                for s in range(len(at[0]))
            ]
            return np.stack(rows)

        centre = moved()
        total: Quantity = Jet(centre, {}, None if jets[0].second is None else {})
        away = [jet - value for jet, value in zip(jets, at, strict=True)]
        for i, step in enumerate(steps):
            up, down = moved((i, 1)), moved((i, -1))
            total = total + (up - down) / (2 * step) * away[i]
            if jets[0].second is None:
                continue
            total = total + 0.5 * (up - 2 * centre + down) / step**2 * away[i] * away[i]
            for j in range(i):
                mixed = (
                    moved((i, 1), (j, 1))
                    - moved((i, 1), (j, -1))
                    - moved((i, -1), (j, 1))
                    + moved((i, -1), (j, -1))
                )
                total = total + mixed / (4 * step * steps[j]) * away[i] * away[j]
        return total

    return expression
