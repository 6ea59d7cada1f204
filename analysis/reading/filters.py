"""Rows that the caller chooses: `where.optimizer=muon`, `where.params<3e9`, `where.seed=[0,1]`, `where.loss!=nan`."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.reading.names import listing
from analysis.reading.numbers import read_numbers, written_number
from analysis.reading.rows import Split, no_rows, set_aside
from analysis.refusals import BadColumn, BadValue

ORDERS: dict[str, Callable[[pd.Series, float], pd.Series]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_KEY = re.compile(r"(.+?)\s*(<=|>=|!=|==|<|>)?")


@dataclass(frozen=True)
class Condition:
    """One condition on a column: a comparison, and the value or values (of which any may hold)."""

    column: str
    comparison: str
    values: tuple[object, ...]

    def __str__(self) -> str:
        shown = ",".join(map(str, self.values))
        return f"{self.column}{self.comparison}{shown if len(self.values) == 1 else f'[{shown}]'}"


def condition(key: object, value: object) -> Condition:
    """A condition from its key, a column perhaps followed by <, <=, >, >= or !=, and its value or list of values.

    Raises:
        BadValue: an order (<, >=) that is asked of something else than one number.
    """
    found = _KEY.fullmatch(str(key))
    assert found is not None
    values = tuple(value) if isinstance(value, list | tuple | set) else (value,)
    one = Condition(found[1], (found[2] or "=").replace("==", "="), values)
    if one.comparison in ORDERS and (len(values) != 1 or pd.isna(written_number(values[0]))):
        raise BadValue(
            f"where.{one}: {one.comparison} needs one number, such as where.{one.column}{one.comparison}3e9"
        )
    return one


def apply_filters(
    rows: pd.DataFrame, where: Mapping[str, object], roles: Mapping[str, pd.Series] | None = None
) -> Split:
    """Keep the rows that meet every condition.

    Args:
        rows: the rows of the source.
        where: column, perhaps followed by a comparison (`params<`) → value, or a list of which any will do. Values are
            compared as text or as numbers; numbers may be written as 3B.
        roles: the numbers of each role, in plain units, for a condition on one that no column is named as.

    Raises:
        BadColumn: no such column, or no row that meets a condition.
        BadValue: a comparison with what is no number.
    """
    set_apart = []
    for key, value in where.items():
        asked = Condition(str(key), "=", (value,)) if key in rows.columns else condition(key, value)
        if key in rows.columns and isinstance(value, list | tuple | set):
            asked = Condition(str(key), "=", tuple(value))
        if asked.column in rows.columns:
            column = rows[asked.column]
        elif roles is not None and asked.column in roles:
            column = roles[asked.column].loc[rows.index]
        else:
            raise BadColumn(f"where.{asked}: no such column; the table has {listing(rows)}")
        match = matches(column, asked)
        if not match.any():
            there = ", ".join(map(str, column.unique()[:8]))
            raise BadColumn(f"where.{asked}: no row has it; values there: {there}")
        rows, others = set_aside(rows, ~match, f"not {asked}")
        set_apart.append(others)
    return rows, pd.concat(set_apart) if set_apart else no_rows()


def matches(column: pd.Series, asked: Condition) -> pd.Series:
    """Which rows of a column meet a condition; a row without a value meets none but !=."""
    numbers = read_numbers(column) if not pd.api.types.is_bool_dtype(column) else column.astype(float)
    if asked.comparison in ORDERS:
        return ORDERS[asked.comparison](numbers, written_number(asked.values[0]))
    text = column.astype(str)
    equal = pd.Series(False, index=column.index)
    for value in asked.values:
        equal |= text == str(value)
        number = written_number(value)
        if pd.api.types.is_bool_dtype(column):
            equal |= text.str.lower() == str(value).lower()
        if not pd.isna(number):
            equal |= numbers == number
    return ~equal if asked.comparison == "!=" else equal


def filtered_columns(where: Mapping[str, object]) -> set[str]:
    """The columns that conditions name."""
    return {str(key) for key in where} | {condition(key, 0).column for key in where}
