"""Tables of optima: the best size, and perhaps the best tokens, that somebody found at each compute budget."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.allocate import TRAIN_FLOPS_PER_PARAM_TOKEN
from analysis.reading.conditions import refuse_mixed
from analysis.reading.decimals import plain_numbers
from analysis.reading.few_columns import Told
from analysis.reading.filters import apply_filters
from analysis.reading.names import (
    ALIASES,
    ambiguous,
    columns_named,
    different,
    listing,
    name_says,
    refuse_missing,
    unit_of_name,
)
from analysis.reading.numbers import read_numbers, refuse_bad_units
from analysis.reading.rows import count_reasons, numbered, settle_missing
from analysis.refusals import BadColumn, BadValue

KNOWN = {
    "flops": (*ALIASES["flops"], *ALIASES["budget"]),
    "params": (
        "params_opt", "n_opt", "params_optimal", "optimal_params", "opt_params", "n_optimal", "n_star", "params_star",
        "best_params", "n_best", "model_size_opt", "optimal_model_size", "optimal_parameters", "n_opt_params",
        *ALIASES["params"],
    ),
    "tokens": (
        "tokens_opt", "d_opt", "tokens_optimal", "optimal_tokens", "opt_tokens", "d_optimal", "d_star", "t_star",
        "tokens_star", "best_tokens", "d_best", *ALIASES["tokens"],
    ),
}  # fmt: skip
"""Role → names of a column in a table of optima."""
LOG_STD = (
    "n_star_std",
    "n_opt_std",
    "params_opt_std",
    "n_opt_log_std",
    "params_opt_log_std",
    "log_n_opt_std",
)
LARGEST_LOG_STD = 10.0
"""A standard deviation of log N; one in parameters is larger by far."""


@dataclass(frozen=True)
class OptimaTable:
    """Optima ready to fit.

    Attributes:
        frame: `flops`, `params`, where the source has them `tokens` and `log_std` (of the size), one row a budget.
        convention: which column each is, in words.
        notes: what a reader should know of the rows.
    """

    frame: pd.DataFrame
    convention: dict[str, str]
    notes: tuple[str, ...]


def read_optima(
    table: pd.DataFrame, told: Told, mixed: tuple[str, ...] = (), missing: str = "refuse"
) -> OptimaTable:
    """The compute, size and tokens of each optimum of a table; the compute is 6 · N · D where no column holds it.

    Raises:
        BadColumn: there is no column of sizes, or neither compute nor tokens; several fit and differ.
        BadValue: a number is not finite and above 0.
        MixedTable: rows differ in a condition, such as a configuration.
    """
    refuse_bad_units(told.units)
    rows, _ = apply_filters(plain_numbers(numbered(table)), told.where)
    mapping = {role: column for role in KNOWN if (column := _column(rows, role, told)) is not None}
    if "params" not in mapping or len(mapping) < 2:
        gone = "params" if "params" not in mapping else "flops"
        raise BadColumn(
            f"law=optimum needs the optimal params at each flops (or with tokens, at 6 · params · tokens); no column "
            f"for {gone} among {listing(table)}: say {gone}=COLUMN"
        )
    rows, without = settle_missing(rows, mapping, missing)
    frame, stated = pd.DataFrame({"row": rows["row"]}), {}
    for role, column in mapping.items():
        unit = told.units.get(role, unit_of_name(column)[1])
        frame[role] = read_numbers(rows[column]) * unit
        how = told.convention.get(role) or name_says(role, column) or "convention not stated"
        stated[role] = f"column {column!r}, " + (f"in units of {unit:.3g}, " if unit != 1 else "") + how
    bad = ~((frame > 0) & (frame < np.inf)).all(axis=1)
    if bad.any():
        raise BadValue(
            f"row {frame['row'][bad].iloc[0]} ({bad.sum()} such rows): every optimum must be finite and above 0; "
            "missing=drop leaves rows without one out"
        )
    if "flops" not in frame:
        frame["flops"] = TRAIN_FLOPS_PER_PARAM_TOKEN * frame["params"] * frame["tokens"]
        stated["flops"] = "6 · params · tokens (no FLOP column given)"
    for column in columns_named(rows, LOG_STD)[:1]:
        values = read_numbers(rows[column])
        if values.between(0, LARGEST_LOG_STD, inclusive="neither").all():
            frame["log_std"] = values
            stated["log_std"] = (
                f"column {column!r}, standard deviation of log params: the weight of each optimum"
            )
    left = tuple(f"{count} rows are left out: {reason}" for reason, count in count_reasons(without).items())
    return OptimaTable(frame, stated, (*left, *refuse_mixed(rows, mixed, mapping)))


def _column(rows: pd.DataFrame, role: str, told: Told) -> str | None:
    """The column of a role, None where there is none; raises where several of the best kind of name differ."""
    named = told.columns.get(role)
    if named is not None:
        refuse_missing(rows, role, named)
        return named
    found = columns_named(rows, KNOWN[role], role)
    optima = [column for column in found if column not in columns_named(rows, ALIASES[role], role)] or found
    if optima and (rivals := different(rows, optima)):
        raise ambiguous(role, [optima[0], *rivals])
    return next(iter(optima), None)
