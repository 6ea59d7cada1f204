"""From a file of runs to the one table that every fit reads: columns named, conventions stated, no row lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.allocate import TRAIN_FLOPS_PER_PARAM_TOKEN
from analysis.budgets import add_budgets, budget_convention, budgets_are_named, convention_note
from analysis.curves import cluster_by_size, thin_curves
from analysis.reading.columns import Columns, choose_columns
from analysis.reading.conditions import refuse_mixed
from analysis.reading.decimals import plain_numbers
from analysis.reading.epochs import add_unique_tokens
from analysis.reading.files import read
from analysis.reading.filters import apply_filters, filtered_columns
from analysis.reading.names import loss_kind
from analysis.reading.numbers import read_numbers
from analysis.reading.rows import (
    count_reasons,
    merge_copies,
    numbered,
    set_aside,
    settle_missing,
    settle_repeats,
)
from analysis.reading.statuses import unfinished
from analysis.reading.values import canonical, describe, in_nats
from analysis.refusals import BadTable

SECOND_PASS = 1.01
"""Passes over the unique tokens above which a run has repeated some of them."""
SIMULATED = "SIMULATED"
"""How the note begins that says that runs were never trained."""


@dataclass(frozen=True)
class Table:
    """Runs ready to fit.

    Attributes:
        frame: one row for each run, floats: `params`, `tokens`, `loss` (nats/token), `flops`, `budget` (FLOPs; NaN for
            a run of no budget); where the source has them `loss_se`, `cluster`, `unique_tokens`, `seed`, `run_id`,
            `replicate` (for repeats that were kept); `row` is the 1-based row of the source.
        convention: for each quantity, in words, which column it is and what is known of how it counts.
        excluded: rows of the source that are not in `frame`, each with its `row` and the `reason`.
        budgets_named: whether a column names the budgets; otherwise they were inferred from shared FLOPs.
        notes: what a reader should know before trusting a fit (budgets that were inferred, replicates, copies).
        source: where the rows came from.
    """

    frame: pd.DataFrame
    convention: dict[str, str]
    excluded: pd.DataFrame
    budgets_named: bool
    notes: tuple[str, ...]
    source: str

    def __len__(self) -> int:
        return len(self.frame)

    def select(self, keep: pd.Series | np.ndarray) -> "Table":
        """The same table with only the rows where `keep` is true, for cuts in compute."""
        return replace(self, frame=self.frame[np.asarray(keep)].reset_index(drop=True))

    def excluded_by_reason(self) -> dict[str, int]:
        """How many rows were left out, for each reason."""
        return count_reasons(self.excluded)


def load(
    source: str | PathLike[str] | pd.DataFrame,
    columns: Mapping[str, str | None] | None = None,
    where: Mapping[str, object] | None = None,
    convention: Mapping[str, str] | None = None,
    budget_tolerance: float = 0.1,
    units: Mapping[str, float] | None = None,
    mixed: Sequence[str] = (),
    repeats: str = "refuse",
    missing: str = "refuse",
    sep: str | None = None,
    decimal: str | None = None,
) -> Table:
    """Read a table of runs and name its columns.

    Args:
        source: a file (text with any separator, JSON, Parquet, Excel; also packed), a folder with `records.csv`, or a
            DataFrame.
        columns: role → column of the source, for roles `params`, `tokens`, `loss`, `flops`, `loss_se`, `cluster`,
            `budget` and `unique_tokens`. Roles not named are looked up among well-known names, and the choice is stated
            in `Table.convention`; None for `flops` and other roles that need no column leaves one out; without
            `cluster` every row is then a run of its own.
        where: column, perhaps followed by <, <=, >, >= or != → value, or a list of which any will do, such as
            `{"params<": 3e9, "optimizer": ["adamw", "muon"]}`; only rows that match are used, the others are listed
            in `Table.excluded`. A role (`params`) that no column is named as means that quantity in plain units.
        convention: what the caller knows of `params`, `tokens`, `loss` or `flops` and the file does not say, such as
            `{"params": "without embeddings"}`.
        budget_tolerance: where no column names the budgets, rows whose FLOPs lie within this fraction share one.
        units: role → what 1 stands for in its column, such as `{"tokens": 1e9}`; by default what the column's name says
            (`tokens_b`, `params (M)`), else 1.
        mixed: conditions (columns such as `optimizer`) that may differ among the rows nonetheless; "all" allows any.
        repeats: what to make of rows of the same size and tokens with different losses that nothing tells apart:
            "refuse", "keep" them all as replicates, or keep the "best".
        missing: what to make of rows without a loss, parameters or tokens: "refuse", or "drop" them, counted.
        sep, decimal: what separates the columns of a text and marks decimals ("," or "."); by default the text tells.

    Raises:
        BadTable, BadColumn: no such file or format; a column that is missing, ambiguous, not numeric or not positive.
        BadLoss: a finished run whose loss is not a positive number.
        MixedTable: rows from different corpora, tokenizers, optimizers, schedules or counting conventions, or of
            precisions that change the law (see `analysis.reading.precision`).
        DuplicateRows: the same parameters and tokens with different losses and nothing that tells the runs apart.
    """
    table, name = rows_of(source, sep, decimal)
    if table.empty:
        raise BadTable(
            f"{name} has no rows; a fit needs one row for each run with parameters, tokens and loss"
        )
    rows = numbered(table)
    named = {role: column if column is None else str(column) for role, column in (columns or {}).items()}
    chosen = choose_columns(rows.drop(columns="row"), named, units)
    alone = "cluster" in named and "cluster" not in chosen.mapping
    rows, unmatched = apply_filters(rows, where or {}, quantities(rows, chosen) if where else None)
    reasons, status_notes = unfinished(rows, filtered_columns(where or {}))
    rows, not_finished = set_aside(rows, reasons != "", reasons[reasons != ""])
    rows, without = settle_missing(rows, chosen.mapping, missing)
    if rows.empty:
        counts = count_reasons(pd.concat([unmatched, not_finished, without]))
        said = ", ".join(f"{count} {reason}" for reason, count in counts.items())
        raise BadTable(f"{name} has no finished run to fit: {said}")
    mixed_notes = refuse_mixed(rows, mixed, chosen.mapping)
    frame, copies = merge_copies(canonical(rows, chosen))
    epoch_notes: tuple[str, ...] = ()
    if "epochs" in frame:
        frame, how = add_unique_tokens(frame, chosen.mapping["epochs"])
        epoch_notes = (f"unique tokens are {how}",)
    frame, beaten = settle_repeats(frame, repeats)
    stated = describe(frame, chosen, dict(convention or {}), rows)
    if "flops" not in chosen.mapping:
        frame["flops"] = TRAIN_FLOPS_PER_PARAM_TOKEN * frame["params"] * frame["tokens"]
    budgets_named = budgets_are_named(frame)
    curve_notes: tuple[str, ...] = ()
    if not alone and not budgets_named:
        frame, curve_notes = cluster_by_size(frame)
    (frame, between), thin_notes = thin_curves(frame)
    frame, budget_notes = add_budgets(frame, budget_tolerance)
    if budgets_named:
        stated["budget"] = f"column {chosen.mapping['budget']!r}" + budget_convention(rows)
    notes = (
        *simulated_note(rows),
        *chosen.notes,
        *status_notes,
        *epoch_notes,
        *mixed_notes,
        *replicate_note(frame),
        *repeated_data_note(frame),
        *curve_notes,
        *thin_notes,
        *budget_notes,
        *(convention_note(frame) if budgets_named else ()),
    )
    excluded = pd.concat([unmatched, not_finished, without, copies, beaten, between], ignore_index=True)
    return Table(frame.reset_index(drop=True), stated, excluded, budgets_named, notes, name)


def rows_of(
    source: str | PathLike[str] | pd.DataFrame, sep: str | None, decimal: str | None
) -> tuple[pd.DataFrame, str]:
    """The rows of a source as they are, numbers as numbers, and its name.

    Raises:
        BadTable: it is no file and no DataFrame, or cannot be read.
    """
    if isinstance(source, pd.DataFrame):
        return plain_numbers(numbered(source).drop(columns="row"), decimal), "table"
    if isinstance(source, str | PathLike):
        return read(Path(source), sep, decimal), str(source)
    raise BadTable(
        f"a table of runs is a file's path or a pandas DataFrame; got {type(source).__name__}: try pandas.DataFrame(…)"
    )


def quantities(rows: pd.DataFrame, chosen: Columns) -> dict[str, pd.Series]:
    """The numbers of each role in plain units, unchecked, for filters that name a role; FLOPs as 6ND without a column.

    The loss is in nats/token where it can be.
    """
    found = {}
    for role, column in chosen.mapping.items():
        values = read_numbers(rows[column]) * chosen.units.get(role, 1.0)
        found[role] = in_nats(values, loss_kind(column)) if role == "loss" else values
    if "flops" not in found and {"params", "tokens"} <= found.keys():
        found["flops"] = TRAIN_FLOPS_PER_PARAM_TOKEN * found["params"] * found["tokens"]
    return found


def best_at_each(table: Table, variable: str) -> Table:
    """The run of lowest loss at each value of `params`, `tokens` or `flops` (there: each budget), the others set aside.

    That is what a law of one variable describes: Kaplan et al. (2020) fit L(N) to models limited by nothing but their
    size, and L(C) to the best size at each compute.
    """
    frame = table.frame
    value = frame["budget"].fillna(frame["flops"]) if variable == "flops" else frame[variable]
    best = frame.index.isin(frame.groupby(value)["loss"].idxmin())
    _, worse = set_aside(frame, pd.Series(~best), f"not the lowest loss at its {variable}")
    return replace(table.select(best), excluded=pd.concat([table.excluded, worse], ignore_index=True))


def simulated_note(rows: pd.DataFrame) -> tuple[str, ...]:
    """A note when the rows say of themselves that no model was trained for them."""
    if "simulated" not in rows:
        return ()
    said = rows["simulated"].dropna()
    said = said[~said.astype(str).str.lower().isin(("", "false", "0"))]
    if said.empty:
        return ()
    told = f" ({said.iloc[0]})" if isinstance(said.iloc[0], str) and len(said.iloc[0]) > len("False") else ""
    return (f"{SIMULATED}: {len(said)} of {len(rows)} runs were never trained{told}",)


def is_simulated(table: Table) -> bool:
    """Whether any run of a table was simulated."""
    return any(note.startswith(SIMULATED) for note in table.notes)


def replicate_note(frame: pd.DataFrame) -> tuple[str, ...]:
    """A note when some size and tokens were trained more than once."""
    again = int(frame.duplicated(["params", "tokens"]).sum())
    return (f"{again} runs repeat the size and tokens of another (replicates)",) if again else ()


def repeated_data_note(frame: pd.DataFrame) -> tuple[str, ...]:
    """A note when runs saw their data more than once, which most laws do not know of."""
    if "unique_tokens" not in frame:
        return ()
    passes = frame["tokens"] / frame["unique_tokens"]
    again = int((passes > SECOND_PASS).sum())
    if not again:
        return ()
    return (
        f"{again} runs pass over their unique tokens more than once (up to {passes.max():.3g} times): law=muennighoff "
        "knows what repeats are worth, the others take them as new",
    )
