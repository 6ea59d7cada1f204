"""Which column of a table of runs is which quantity: as the caller names them, and else by well-known names."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.reading.flops import is_rate
from analysis.reading.names import (
    ALIASES,
    COUNTS,
    EPOCHS,
    ambiguous,
    columns_named,
    different,
    listing,
    loss_kind,
    plain_name,
    refuse_missing,
    unit_of_name,
)
from analysis.reading.numbers import refuse_bad_units
from analysis.refusals import BadColumn

REQUIRED = ("params", "tokens", "loss")
PREFERRED = {"params": "params_total", "flops": "train_flops_6nd"}
"""Role → the column that is taken of several. This project's records hold several counts on purpose, and the total
parameters go with their 6ND FLOPs."""
OPTIONAL = ("flops", "loss_se", "cluster", "budget", "unique_tokens")
"""Roles that can be left without a column: flops=none."""


@dataclass(frozen=True)
class Columns:
    """Which column is which quantity.

    Attributes:
        mapping: role → column of the source.
        units: role → what 1 stands for in its column, where its name or the caller says so.
        derived: `params` or `tokens`, where it follows from C = 6ND and the other; else None.
        notes: what a reader should know of the choice.
    """

    mapping: dict[str, str]
    units: dict[str, float]
    derived: str | None
    notes: tuple[str, ...]


def choose_columns(
    table: pd.DataFrame, named: Mapping[str, str | None], units: Mapping[str, float] | None = None
) -> Columns:
    """The column of each role, from what the caller named and else by well-known names.

    Where several columns with different contents fit a role, the one that bears the role's own name is taken, and a
    note says so. If none does, the table is refused: which way of counting parameters is meant must not be guessed.

    Args:
        table: the table as it was read.
        named: role → column; "none" leaves a role without one.
        units: role → what 1 stands for in its column.

    Raises:
        BadColumn: no such role or column, several that fit, one column for two roles, or a required one is missing.
        BadValue: a unit is no number above 0, or too large.
    """
    for given in (named, units or {}):
        unknown = [role for role in given if role not in ALIASES]
        if unknown:
            raise BadColumn(f"no role {unknown[0]!r}: name one of {', '.join(ALIASES)}")
    refuse_bad_units(units or {})
    mapping: dict[str, str] = {}
    notes: list[str] = []
    for role in ALIASES:
        asked = named.get(role, "")
        if asked is None or (asked == "none" and "none" not in table.columns):
            if role not in OPTIONAL:
                raise BadColumn(
                    f"{role}=none: a fit needs {role}; only {', '.join(OPTIONAL)} can be left out"
                )
        elif asked:
            refuse_missing(table, role, str(asked))
            mapping[role] = str(asked)
        elif found := candidates(table, role, mapping):
            mapping[role] = found[0]
            notes += note_rivals(table, role, found)
    refuse_shared(mapping)
    if "flops" not in mapping and "budget" in mapping and len({"params", "tokens"} & mapping.keys()) == 1:
        mapping["flops"] = mapping["budget"]
    if "unique_tokens" not in mapping and "unique_tokens" not in named and "tokens" in mapping:
        for column in columns_named(table, EPOCHS)[:1]:
            mapping["epochs"] = column
    by_name = {
        role: unit for role in COUNTS if role in mapping and (unit := unit_of_name(mapping[role])[1]) != 1
    }
    return Columns(mapping, by_name | dict(units or {}), derived_role(table, mapping), tuple(notes))


def candidates(table: pd.DataFrame, role: str, mapping: Mapping[str, str]) -> list[str]:
    """Columns that could be a role by their names, the best first; `mapping` holds the roles that are known."""
    found = columns_named(table, ALIASES[role], role)
    if role == "loss":  # losses in nats, and only without one what they could be computed from
        kinds = [loss_kind(column) for column in found]
        best = "nats" if "nats" in kinds else next(iter(kinds), "")
        return [column for column, kind in zip(found, kinds, strict=True) if kind == best]
    if role == "cluster":
        return [column for column in found if names_training_runs(table, column, mapping.get("params"))][:1]
    if role == "flops":
        return [column for column in found if not is_rate(table, column, mapping)]
    return found


def note_rivals(table: pd.DataFrame, role: str, found: list[str]) -> list[str]:
    """A note that other columns than the first could be meant; raises where nothing speaks for the first."""
    rivals = different(table, found)
    if not rivals:
        return []
    if plain_name(found[0]) != ALIASES[role][0] and found[0] != PREFERRED.get(role):
        raise ambiguous(role, [found[0], *rivals])
    return [
        f"{role} is column {found[0]!r}; {', '.join(map(repr, rivals))} also there ({role}={rivals[0]} to use it)"
    ]


def refuse_shared(mapping: Mapping[str, str]) -> None:
    """Raise where one column was taken for two roles; FLOPs may be the budget that was asked for."""
    for role, column in mapping.items():
        other = next(name for name, taken in mapping.items() if taken == column)
        if other != role and {role, other} != {"flops", "budget"}:
            raise BadColumn(f"column {column!r} cannot be both {other} and {role}: say {role}=COLUMN")


def derived_role(table: pd.DataFrame, mapping: Mapping[str, str]) -> str | None:
    """The required role that follows from C = 6ND, None where all have columns; raises where one cannot be had."""
    missing = [role for role in REQUIRED if role not in mapping]
    if not missing:
        return None
    if "flops" in mapping and missing in (["params"], ["tokens"]):
        return missing[0]
    also = ""
    if "loss" not in missing:
        also = "; or flops=COLUMN, since FLOPs are 6 · params · tokens"
        if len(missing) == 1:
            alone = {"params": "kaplan_d", "tokens": "kaplan_n"}[missing[0]]
            also += f"; or law={alone}, which needs no {missing[0]}"
    raise BadColumn(f"no column for {missing[0]} among {listing(table)}: say {missing[0]}=COLUMN{also}")


def names_training_runs(table: pd.DataFrame, column: str, params: str | None) -> bool:
    """Whether rows that share a value are points of one training run: always for a cluster, else of one size each."""
    if plain_name(column) in ("cluster", "trunk_id"):
        return True
    if params is None or table[column].nunique() in (1, len(table)):
        return False
    return bool((table.groupby(column)[params].nunique() == 1).all())
