"""Tables for laws of few columns: the best learning rate or batch at each scale, and the loss by one variable alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.allocate import TRAIN_FLOPS_PER_PARAM_TOKEN
from analysis.laws.law import Law
from analysis.reading.decimals import plain_numbers
from analysis.reading.filters import apply_filters, filtered_columns
from analysis.reading.names import (
    ALIASES,
    COUNTS,
    ambiguous,
    columns_named,
    different,
    listing,
    loss_kind,
    name_says,
    plain_name,
    refuse_missing,
    unit_of_name,
)
from analysis.reading.numbers import read_numbers, refuse_bad_units
from analysis.reading.own_records import own_record_says
from analysis.reading.rows import numbered, set_aside_unfinished
from analysis.reading.values import in_nats
from analysis.refusals import BadColumn, BadValue

KNOWN: dict[str, tuple[str, ...]] = {
    **ALIASES,
    "learning_rate": ("learning_rate", "lr", "max_lr", "peak_lr", "best_lr", "lr_opt", "optimal_lr"),
    "batch_tokens": ("batch_tokens", "batch_size_tokens", "tokens_per_batch", "best_batch_tokens"),
}
"""Role → column names that are understood without being told."""


@dataclass(frozen=True)
class Told:
    """What the caller knows of a table.

    Attributes:
        columns: role → column.
        units: role → what 1 stands for in its column; by default what the column's name says.
        where: column → value of the rows to use.
        convention: role → how it is counted, in words.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, float] = field(default_factory=dict)
    where: Mapping[str, object] = field(default_factory=dict)
    convention: Mapping[str, str] = field(default_factory=dict)


def read_few_columns(table: pd.DataFrame, law: Law, told: Told) -> tuple[pd.DataFrame, dict[str, str]]:
    """The columns that a law reads, and parameters, tokens, FLOPs and loss where there are any; how each is counted.

    Raises:
        BadColumn: a column of the law is missing, or several fit it and differ.
        BadValue: a unit, or a number that is used, is not finite or not above 0.
    """
    refuse_bad_units(told.units)
    needed = (law.target, *law.variables)
    rows, _ = apply_filters(plain_numbers(numbered(table)), told.where)
    rows, _ = set_aside_unfinished(rows, filtered_columns(told.where))
    frame = pd.DataFrame({"row": rows["row"]})
    stated = {}
    for role in dict.fromkeys((law.target, "params", "tokens", "flops", "loss")):
        column = _column(rows, role, told.columns.get(role), needed=role in needed)
        if column is None:
            continue
        unit = told.units.get(role, unit_of_name(column)[1] if role in COUNTS else 1.0)
        values = read_numbers(rows[column]) * unit
        frame[role] = in_nats(values, loss_kind(column)) if role == "loss" else values
        how = (
            told.convention.get(role)
            or own_record_says(rows, column)
            or name_says(role, column)
            or "convention not stated"
        )
        stated[role] = f"column {column!r}, " + (f"in units of {unit:g}, " if unit != 1 else "") + how
    if "flops" not in frame and {"params", "tokens"} <= set(frame.columns):
        frame["flops"] = TRAIN_FLOPS_PER_PARAM_TOKEN * frame["params"] * frame["tokens"]
        stated["flops"] = "6 · params · tokens (no FLOP column given)"
    for role in needed:
        if role not in frame:
            raise BadColumn(
                f"law={law.name} needs a column for {role}; the table has {listing(table)}: say {role}=COLUMN"
            )
    used = frame.drop(columns="row")
    bad = ~((used > 0) & (used < np.inf)).all(axis=1)
    if bad.any():
        raise BadValue(
            f"row {frame['row'][bad].iloc[0]} ({bad.sum()} such rows): every number used must be finite and above 0"
        )
    return frame, stated


def _column(rows: pd.DataFrame, role: str, named: str | None, needed: bool) -> str | None:
    """The column of a role, None where there is none; raises where several fit a role that the law needs."""
    if named is not None:
        refuse_missing(rows, role, named)
        return named
    found = columns_named(rows, KNOWN[role], role)
    if needed and found and plain_name(found[0]) != role and (rivals := different(rows, found)):
        raise ambiguous(role, [found[0], *rivals])
    return next(iter(found), None)


def has_one_variable(table: pd.DataFrame, named: Mapping[str, str]) -> bool:
    """Whether a table holds no more than one of parameters, tokens and FLOPs, too few for a study of all approaches."""
    there = {name for column in table.columns for name in (plain_name(column), unit_of_name(column)[0])}
    known = ("params", "tokens", "flops")
    return sum(role in named or bool(there & set(ALIASES[role])) for role in known) < 2
