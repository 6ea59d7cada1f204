"""Tables as JSON: records, columns, arrays, or one object a line, and what other tools wrap around them."""

import json
from typing import Any

import pandas as pd

from analysis.reading.delimited import table_of_cells
from analysis.refusals import BadTable


def table_of_json(text: str) -> pd.DataFrame:
    """A table from a text of JSON.

    Understood are a list of objects (one for each run), an object of columns, a list of lists whose first names the
    columns, pandas' orients, one object a line, and an object in which one of these stands under a name. What an object
    holds in an object is named by its path: `config.lr`.

    Raises:
        BadTable: it is no JSON, or none of these.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        value = by_line(text, error)
    table = table_of_value(value)
    if table is None:
        raise BadTable("holds JSON of no known form; give a list of objects, one for each run")
    return table


def by_line(text: str, error: json.JSONDecodeError) -> list[Any]:
    """One value from each line; raises where a line is none."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    values = []
    for number, line in lines:
        try:
            values.append(json.loads(line))
        except json.JSONDecodeError as in_line:
            if number == lines[0][0]:  # the file is one text of JSON, not one a line
                raise BadTable(f"is not JSON: {error.msg} in line {error.lineno}") from error
            raise BadTable(f"is not JSON: {in_line.msg} in line {number}") from in_line
    return values


def table_of_value(value: Any) -> pd.DataFrame | None:
    """The table of a value of JSON; None where it is none."""
    if isinstance(value, list):
        if value and all(isinstance(item, dict) for item in value):
            return pd.json_normalize(value)
        if len(value) > 1 and all(isinstance(item, list) for item in value):
            return table_of_cells([["" if cell is None else cell for cell in row] for row in value])
        return pd.DataFrame() if not value else None
    if not isinstance(value, dict):
        return None
    if {"columns", "data"} <= value.keys():  # pandas' orient "split"
        return table_of_value([value["columns"], *value["data"]])
    lists = {name: item for name, item in value.items() if isinstance(item, list)}
    if lists and all(not isinstance(cell, list | dict) for item in lists.values() for cell in item):
        return table_of_columns(lists)
    inside = [item for item in lists.values() if table_of_value(item) is not None]
    if "data" in lists or len(inside) == 1:  # "table", or a list of runs under a name
        return table_of_value(lists["data"] if "data" in lists else inside[0])
    if value and all(isinstance(item, dict) for item in value.values()):
        return table_of_objects(value)
    return pd.json_normalize([value]) if value and not lists else None


def table_of_columns(lists: dict[str, list[Any]]) -> pd.DataFrame:
    """A table from a list for each column, all of one length."""
    lengths = {name: len(item) for name, item in lists.items()}
    if len(set(lengths.values())) > 1:
        longest, shortest = (
            max(lengths, key=lambda name: lengths[name]),
            min(lengths, key=lambda name: lengths[name]),
        )
        raise BadTable(
            f"has columns of different lengths: {longest!r} holds {lengths[longest]} values, {shortest!r} "
            f"{lengths[shortest]}"
        )
    return pd.DataFrame(lists)


def table_of_objects(value: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """A table from an object of objects: one for each column (their keys count the rows), or one for each run."""
    inner = {key for item in value.values() for key in item}
    by_column = all(key.isdigit() for key in inner) and not all(key.isdigit() for key in value)
    if by_column:
        table = pd.DataFrame({name: pd.Series(item, dtype=object) for name, item in value.items()})
        return table.reset_index(drop=True).infer_objects()
    return pd.json_normalize(list(value.values()))
