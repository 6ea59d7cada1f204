"""The range of a numeric key, declared beside its type: `width: Annotated[int, Range(at_least=1, at_most=10)] = 4`.

OmegaConf and Hydra see the plain type. `check_ranges` refuses a value outside of its range, and NaN and infinity
always.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from math import isfinite
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from omegaconf import MISSING

from scaling.errors import UserError

LARGEST_COUNT = 10**12
"""Bound of counts that have no narrower one, such as the tokens of a batch: far above any that is trained, and far
below those at which 64-bit integers overflow."""
LARGEST_TOKENS = 1e15
"""Bound of training tokens: a hundred times those of the largest published runs."""
LARGEST_PARAMS = 1e15
"""Bound of a model's parameters: a thousand times those of the largest published models."""
LARGEST_FLOPS = 1e30
"""Bound of a compute budget in FLOPs: more than ten thousand times the largest published runs."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """The finite numbers between two bounds, either of which may be left out."""

    at_least: float | None = None
    above: float | None = None
    """Excluded lower bound."""
    at_most: float | None = None
    below: float | None = None
    """Excluded upper bound."""

    def refusal(self, value: float) -> str | None:
        """What the value must be and is not; None where it lies in the range."""
        lower = "positive" if self.above == 0 else "not negative" if self.at_least == 0 else "any number"
        if self.above:
            lower = f"above {_plain(self.above)}"
        elif self.at_least:
            lower = f"at least {_plain(self.at_least)}"
        if not isfinite(value):
            return f"must be finite, {lower}"
        if (self.at_least is not None and value < self.at_least) or (
            self.above is not None and value <= self.above
        ):
            return f"must {'not be negative' if lower == 'not negative' else f'be {lower}'}"
        if self.at_most is not None and value > self.at_most:
            return f"must be at most {_plain(self.at_most)}"
        if self.below is not None and value >= self.below:
            return f"must be below {_plain(self.below)}"
        return None


COUNT = Range(at_least=1, at_most=LARGEST_COUNT)
POSITIVE = Range(above=0, at_most=1e30)
SHARE = Range(at_least=0, at_most=1)
SEED = Range(at_least=0, below=2**32)
TOKENS = Range(at_least=1, at_most=LARGEST_TOKENS)
PARAMS = Range(at_least=1, at_most=LARGEST_PARAMS)
FLOPS = Range(above=0, at_most=LARGEST_FLOPS)


def check_ranges(keys: object, prefix: str = "") -> None:
    """Refuse a number outside of the range that its key declares.

    Args:
        keys: an object of a dataclass of keys.
        prefix: what stands before its keys' names, such as `model.`.

    Raises:
        UserError: one line, naming key, value and range.
    """
    schema: type = type(keys)
    for name, declared in declared_ranges(schema).items():
        value = getattr(keys, name)
        if declared and isinstance(value, str) and value != MISSING:
            raise UserError(f"{prefix}{name}={value}: must be a number")
        if isinstance(value, int | float) and declared and (refusal := declared.refusal(value)):
            raise UserError(f"{prefix}{name}={value}: {refusal}")


def check_all_ranges(keys: object, prefix: str = "") -> None:
    """`check_ranges` of an object and of all dataclasses in it."""
    assert is_dataclass(keys)
    check_ranges(keys, prefix)
    for item in fields(keys):
        if is_dataclass(value := getattr(keys, item.name)):
            check_all_ranges(value, f"{prefix}{item.name}.")


@cache
def declared_ranges(schema: type) -> dict[str, Range | None]:
    """Numeric key → its range, for a dataclass of keys; None: it declares none."""
    hints = get_type_hints(schema, include_extras=True)
    return {
        item.name: next((each for each in _metadata(hints[item.name]) if isinstance(each, Range)), None)
        for item in fields(schema)
        if {int, float} & set(_plain_types(hints[item.name]))
    }


def _metadata(hint: Any) -> tuple[Any, ...]:
    return hint.__metadata__ if get_origin(hint) is Annotated else ()


def _plain_types(hint: Any) -> Iterator[Any]:
    if get_origin(hint) is Annotated:
        yield from _plain_types(get_args(hint)[0])
    elif get_origin(hint) in (Union, UnionType):
        for part in get_args(hint):
            yield from _plain_types(part)
    elif hint is not NoneType:
        yield hint


def _plain(bound: float) -> str:
    return f"{bound:,.0f}" if isinstance(bound, int) and abs(bound) < 10**7 else f"{bound:.10g}"
