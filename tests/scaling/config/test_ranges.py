"""Every numeric key declares a range, and a number outside of it is refused in one line."""

from dataclasses import dataclass, fields, is_dataclass
from math import inf, nan
from typing import Annotated

import pytest

from scaling.budget.keys import BudgetKeys, FineTuneKeys, ServeKeys, SolveKeys, VerifyKeys, parse_keys
from scaling.cli.sample import SampleKeys
from scaling.config.overrides import parse
from scaling.config.ranges import Range, check_all_ranges, check_ranges, declared_ranges
from scaling.config.schema import SCHEMAS
from scaling.errors import UserError
from scaling.fitting.keys import FitKeys

COMMANDS = [BudgetKeys, FineTuneKeys, FitKeys, SampleKeys, ServeKeys, SolveKeys, VerifyKeys]


def with_nested(schema: type) -> set[type]:
    """A dataclass of keys and those of its fields."""
    hints = [getattr(item.type, "__name__", None) and item.type for item in fields(schema)]
    defaults = [item.default_factory() for item in fields(schema) if callable(item.default_factory)]
    nested = [hint for hint in hints if is_dataclass(hint)] + [type(d) for d in defaults if is_dataclass(d)]
    return {schema}.union(*(with_nested(each) for each in nested if isinstance(each, type)))


EVERY_SCHEMA = sorted(
    set().union(*(with_nested(each) for each in [*SCHEMAS.values(), *COMMANDS])),
    key=lambda each: each.__name__,
)


@pytest.mark.parametrize("schema", EVERY_SCHEMA)
def test_every_numeric_key_declares_a_range(schema: type) -> None:
    assert [name for name, declared in declared_ranges(schema).items() if declared is None] == []


def test_the_walk_sees_nested_and_inherited_keys() -> None:
    names = {each.__name__ for each in EVERY_SCHEMA}
    assert {"ModelConfig", "DesignConfig", "TrainerConfig", "ModelKeys", "LayoutKeys", "MuonConfig"} <= names
    assert "lr" in declared_ranges(SCHEMAS["optim/schema_muon"])
    assert "dry_run" not in declared_ranges(SCHEMAS["sweep_schema"])  # a flag is no number


@dataclass
class Keys:
    share: Annotated[float, Range(at_least=0, below=1)] = 0.5
    rate: Annotated[float | None, Range(above=0, at_most=10)] = None
    count: Annotated[int, Range(at_least=2)] = 2
    ratio: Annotated[float, Range(above=1)] = 2.0


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (Keys(share=-0.1), "share=-0.1: must not be negative"),
        (Keys(share=1.0), "share=1.0: must be below 1"),
        (Keys(rate=0.0), "rate=0.0: must be positive"),
        (Keys(rate=11.0), "rate=11.0: must be at most 10"),
        (Keys(rate=inf), "rate=inf: must be finite, positive"),
        (Keys(rate=nan), "rate=nan: must be finite, positive"),
        (Keys(count=1), "count=1: must be at least 2"),
        (Keys(ratio=1.0), "ratio=1.0: must be above 1"),
        (Keys(ratio=-inf), "ratio=-inf: must be finite, above 1"),
    ],
)
def test_a_number_outside_of_its_range_is_refused(keys: Keys, told: str) -> None:
    with pytest.raises(UserError) as refusal:
        check_ranges(keys, "group.")
    assert str(refusal.value) == f"group.{told}"


def test_bounds_that_are_included_are_taken() -> None:
    check_ranges(Keys(share=0.0, rate=10.0, count=2))


@pytest.mark.parametrize("schema", COMMANDS)
@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e40", "-1e40"])
def test_no_key_of_a_plain_command_takes_what_is_no_number_of_its_own(schema: type, value: str) -> None:
    for name in declared_ranges(schema):
        with pytest.raises(UserError, match=f"{name}="):
            parse([f"{name}=.{value}" if value in ("inf", "nan") else f"{name}={value}"], schema)


@pytest.mark.parametrize("value", ["1e3", "1_000", "1000", "1.0e3", "1E3", "1000.0"])
def test_integer_keys_take_integers_however_they_are_written(value: str) -> None:
    assert parse_keys([f"devices={value}"], BudgetKeys).devices == 1000
    assert parse([f"bootstrap={value}"], FitKeys).bootstrap == 1000
    assert type(parse([f"max_tokens={value}"], SampleKeys).max_tokens) is int


@pytest.mark.parametrize("value", ["1.5", "1e-3", "many", "true", "1e400"])
def test_integer_keys_take_nothing_else(value: str) -> None:
    with pytest.raises(UserError, match="devices="):
        parse_keys([f"devices={value}"], BudgetKeys)


def test_the_defaults_lie_in_their_ranges() -> None:
    for schema in COMMANDS:
        check_all_ranges(schema())
