"""Tables for one law: the columns that it reads, whichever they are, in canonical units."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from analysis.allocate import TRAIN_FLOPS_PER_PARAM_TOKEN
from analysis.laws.law import Law
from analysis.laws.variables import variable
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

HYPERPARAMETERS = ("learning_rate", "batch_tokens", "batch_sequences", "weight_decay", "warmup_tokens")
"""Read wherever a table has them, since what varies between runs of one scale must be known."""
_UNITS = {"batch_tokens": "batch_sequences"}
"""Role → a role that counts the same in another unit, which the table does not tell."""


def known_names(role: str) -> tuple[str, ...]:
    """The column names that are understood for a role without being told, its own first."""
    plain, number = re.fullmatch(r"(.+?)(_\d+)?", role).groups(default="")  # type: ignore[union-attr]
    if plain == "proportion":
        return tuple(
            f"{name}{number}"
            for name in ("proportion", "proportion_domain", "mixture", "ratio", "weight", "share")
        )
    return tuple(dict.fromkeys((role, *ALIASES.get(role, ()), *variable(role).names)))


def count_proportions(table: pd.DataFrame) -> int:
    """How many columns proportion_1, proportion_2, … a table has, without a gap."""
    count = 0
    while columns_named(table, known_names(f"proportion_{count + 1}")):
        count += 1
    return count


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
    """The columns that a law reads, and for a best hyperparameter the scale, the loss and the others; how each counts.

    Raises:
        BadColumn: a column of the law is missing, or several fit it and differ.
        BadValue: a unit, or a number that is used, is not finite or not above 0.
    """
    refuse_bad_units(told.units)
    needed = (law.target, *law.variables)
    rows, _ = apply_filters(plain_numbers(numbered(table)), told.where)
    rows, _ = set_aside_unfinished(rows, filtered_columns(told.where))
    frame = pd.DataFrame({"row": rows["row"]})
    stated: dict[str, str] = {}
    taken: set[str] = set()
    optional: tuple[str, ...] = ("params", "tokens", "flops")
    if law.target in HYPERPARAMETERS:
        optional += ("loss", *HYPERPARAMETERS)
    for role in dict.fromkeys((law.target, *law.variables, *optional)):
        column = _column(rows, role, told.columns.get(role), needed=role in needed)
        if column is None or (role not in needed and column in taken):
            continue
        taken.add(column)
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
            raise _no_column(table, rows, role, law)
    for role in frame.columns.drop("row"):
        bad = ~variable(role).allows(frame[role].to_numpy(float))
        spare = role in HYPERPARAMETERS or law.target not in HYPERPARAMETERS
        if bad.any() and role not in needed and spare:
            frame = frame.drop(columns=role)
            stated.pop(role, None)
        elif bad.any():
            raise BadValue(
                f"row {frame['row'][bad].iloc[0]} ({bad.sum()} such rows): {role} must be {variable(role).bounds}"
            )
    return frame, stated


def _no_column(table: pd.DataFrame, rows: pd.DataFrame, role: str, law: Law) -> BadColumn:
    """The refusal of a table that lacks a column, with what the user should say."""
    other = _UNITS.get(role)
    if other and (found := columns_named(rows, known_names(other))):
        return BadColumn(
            f"law={law.name} needs {role}, and column {found[0]!r} may count {variable(other).meaning}: say "
            f"{role}={found[0]} units.{role}=2048 if 1 stands for 2048 tokens there"
        )
    meaning = f" ({variable(role).meaning})" if variable(role).meaning else ""
    return BadColumn(
        f"law={law.name} needs a column for {role}{meaning}; the table has {listing(table)}: say {role}=COLUMN"
    )


def _column(rows: pd.DataFrame, role: str, named: str | None, needed: bool) -> str | None:
    """The column of a role, None where there is none; raises where several fit a role that the law needs."""
    if named is not None:
        refuse_missing(rows, role, named)
        return named
    found = columns_named(rows, known_names(role), role)
    if needed and found and plain_name(found[0]) != role and (rivals := different(rows, found)):
        raise ambiguous(role, [found[0], *rivals])
    return next(iter(found), None)


def has_one_variable(table: pd.DataFrame, named: Mapping[str, str]) -> bool:
    """Whether a table holds no more than one of parameters, tokens and FLOPs, too few for a study of all approaches."""
    there = {name for column in table.columns for name in (plain_name(column), unit_of_name(column)[0])}
    known = ("params", "tokens", "flops")
    return sum(role in named or bool(there & set(ALIASES[role])) for role in known) < 2
