"""Decimal commas and points: which one a table writes, told by its numbers, and all of them as plain numbers after it.

A thousands mark stands before groups of exactly three digits, so that 2,3676 can only be a decimal comma, and
1,234,567 only a number of seven digits. 1,234 can be either: other numbers of the table tell, or the user is asked.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.reading.numbers import DECIMAL_MARKS, Written, take_apart
from analysis.refusals import BadColumn, BadValue

WORDS = {",": ",", "comma": ",", ".": ".", "point": ".", "dot": ".", "period": "."}
"""How `decimal=` can be written → the mark."""
_TRUTH = {"true": True, "false": False}


def plain_numbers(table: pd.DataFrame, decimal: str | None = None) -> pd.DataFrame:
    """The table with the numbers of its text columns as numbers; words, and numbers with a unit, stay text.

    Args:
        table: as it was read.
        decimal: its decimal mark, "," or "."; by default its numbers tell.

    Raises:
        BadColumn: a column can be read either way, and no other tells which.
        BadValue: `decimal` is no mark.
    """
    given = decimal_mark(decimal)
    texts = [column for column in table.columns if is_text_column(table[column])]
    easy = {column: numbers for column in texts if (numbers := plain_floats(table[column])) is not None}
    with_commas = {
        column: numbers
        for column in texts
        if column not in easy and given != "." and (numbers := comma_floats(table[column])) is not None
    }
    parts = {
        column: parts_of(table[column])
        for column in texts
        if column not in easy and column not in with_commas
    }
    marks = {column: marks_of(list(cells.values())) for column, cells in parts.items() if cells}
    sure = {**marks, **dict.fromkeys(with_commas, ",")}
    told = given or told_by(table, sure, list(easy))
    changed = dict(with_commas)
    for column, possible in marks.items():
        mark = given or (possible if len(possible) == 1 else told)
        if mark is None and len(possible) == 2 and any("," in cell.digits for cell in parts[column].values()):
            example = next(text for text, cell in parts[column].items() if "," in cell.digits)
            raise BadColumn(
                f"column {column!r} holds numbers such as {example}, and no number of the table tells whether the "
                "comma marks decimals or thousands: say decimal=, or decimal=."
            )
        changed[column] = rewritten(table[column], parts[column], mark or ".")
    for column, numbers in easy.items():
        changed[column] = reread(table[column], numbers) if told == "," else numbers
    for column in texts:
        if column not in changed and (truths := as_truths(table[column])) is not None:
            changed[column] = truths
    return table.assign(**changed) if changed else table


def decimal_mark(decimal: str | None) -> str | None:
    """The mark that the caller named, None where he named none."""
    if decimal is not None and decimal not in WORDS:
        raise BadValue(f"decimal={decimal}: the decimal mark is , or . (or comma, point)")
    return None if decimal is None else WORDS[decimal]


def is_text_column(column: pd.Series) -> bool:
    """Whether a column holds text, perhaps beside other things."""
    return bool(pd.api.types.is_string_dtype(column.dtype) or column.dtype == object)


def plain_floats(column: pd.Series) -> pd.Series | None:
    """A text column as integers or floats where every cell is written as a program writes it; else None."""
    cells = column.dropna()
    texts = cells.tolist()
    if set(map(type, texts)) != {str}:
        return None
    for kind in (np.int64, float):
        try:
            numbers = pd.Series(np.array(texts, dtype=object).astype(kind), index=cells.index)
        except (ValueError, OverflowError):
            continue
        return numbers if len(cells) == len(column) else numbers.astype(float).reindex(column.index)
    return None


def comma_floats(column: pd.Series) -> pd.Series | None:
    """A text column as floats where its commas can only be decimal marks and nothing else is written; else None."""
    cells = column.dropna()
    texts = cells.tolist()
    if set(map(type, texts)) != {str} or any("." in text for text in texts):
        return None
    if not is_sure(texts, ","):
        return None
    try:
        numbers = np.array([text.replace(",", ".") for text in texts], dtype=object).astype(float)
    except ValueError:
        return None
    return pd.Series(numbers, index=cells.index).reindex(column.index)


def parts_of(column: pd.Series) -> dict[str, Written]:
    """The different cells of a text column that are numbers as people write them, taken apart."""
    cells = {cell: take_apart(cell) for cell in column.dropna().unique() if isinstance(cell, str)}
    return {cell: part for cell, part in cells.items() if part is not None and part.marks()}


def marks_of(cells: Sequence[Written]) -> str:
    """The decimal marks with which every one of the numbers can be read."""
    possible = DECIMAL_MARKS
    for cell in cells:
        possible = "".join(mark for mark in possible if mark in cell.marks())
    return possible


def told_by(table: pd.DataFrame, marks: dict[str, str], easy: Sequence[str]) -> str | None:
    """The decimal mark that some columns leave no doubt of, unless others contradict."""
    sure = {possible for possible in marks.values() if len(possible) == 1}
    doubtful = any(len(possible) == 2 for possible in marks.values())
    if "." not in sure and (doubtful or sure):
        for column in easy:
            if points_are_sure(table[column]):
                sure.add(".")
                break
    return sure.pop() if len(sure) == 1 else None


def points_are_sure(column: pd.Series) -> bool:
    """Whether a column of plain numbers holds a point that cannot mark thousands."""
    return is_sure(column.dropna().tolist(), ".")


def is_sure(texts: Sequence[str], mark: str) -> bool:
    """Whether one of the texts is a number in which the mark can only be the decimal one."""
    for text in texts:
        if mark in text:
            part = take_apart(text)
            if part is not None and part.marks() == mark:
                return True
    return False


def rewritten(column: pd.Series, parts: dict[str, Written], mark: str) -> pd.Series:
    """The column with its numbers read; text stays where a cell is none, or cannot be read with this mark."""
    values = {cell: part.value(mark) for cell, part in parts.items()}
    bare = all(part.factor in (1.0, -1.0) for part in parts.values())
    everything = bare and column.dropna().isin(values.keys()).all()
    if everything and not any(np.isnan(value) for value in values.values()):
        numbers = column.map(values).astype(float)
        whole = numbers.notna().all() and (numbers % 1 == 0).all() and numbers.abs().max() < 2**53
        return numbers.astype(np.int64) if whole else numbers
    # With a unit (1,4B) a cell stays text, as a filter may name it, but is written with a point.
    other = DECIMAL_MARKS.replace(mark, "")
    plain = {
        cell: cell.replace(other, "").replace(mark, ".")
        for cell, value in values.items()
        if not np.isnan(value)
    }
    return column.map(lambda cell: plain.get(cell, cell))


def reread(column: pd.Series, numbers: pd.Series) -> pd.Series:
    """A column that looks like plain numbers in a table of decimal commas: 1.234 is there one thousand."""
    if not any("." in text for text in column.dropna().tolist()) or points_are_sure(column):
        return numbers
    return rewritten(column, parts_of(column), ",")


def as_truths(column: pd.Series) -> pd.Series | None:
    """A text column of true and false as such; else None."""
    cells = column.dropna()
    if len(cells) < len(column) or not {str(cell).lower() for cell in cells.unique()} <= _TRUTH.keys():
        return None
    truths = cells.astype(str).str.lower().map(_TRUTH)
    return truths.astype(bool)
