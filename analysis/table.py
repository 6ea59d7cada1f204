"""From a file of runs to the one table that every fit reads: columns named, conventions stated, no row lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.allocate import TRAIN_FLOPS_PER_PARAM_TOKEN
from analysis.budgets import add_budgets, budget_convention, budgets_are_named, convention_note
from analysis.curves import cluster_by_size, thin_curves
from analysis.reading.columns import choose_columns
from analysis.reading.conditions import refuse_mixed
from analysis.reading.files import read
from analysis.reading.rows import (
    apply_filters,
    count_reasons,
    merge_copies,
    numbered,
    set_aside,
    set_aside_unfinished,
    settle_repeats,
)
from analysis.reading.values import canonical, describe
from analysis.refusals import BadTable

SECOND_PASS = 1.01
"""Passes over the unique tokens above which a run has repeated some of them."""
NO_CLUSTER = "none"
"""What `cluster` is called where every row is a run of its own."""


@dataclass(frozen=True)
class Table:
    """Runs ready to fit.

    Attributes:
        frame: one row for each run, floats: `params`, `tokens`, `loss` (nats/token), `flops`, `budget` (FLOPs; NaN for
            a run of no budget); where the source has them `loss_se`, `cluster`, `unique_tokens`, `seed`, `run_id`;
            `row` is the 1-based row of the source.
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
    source: str | Path | pd.DataFrame,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, object] | None = None,
    convention: Mapping[str, str] | None = None,
    budget_tolerance: float = 0.1,
    units: Mapping[str, float] | None = None,
    mixed: Sequence[str] = (),
    repeats: str = "refuse",
) -> Table:
    """Read a table of runs and name its columns.

    Args:
        source: a CSV, TSV, Parquet or JSON-lines file (also gzipped), a folder with `records.csv`, or a DataFrame.
        columns: role → column of the source, for roles `params`, `tokens`, `loss`, `flops`, `loss_se`, `cluster`,
            `budget` and `unique_tokens`. Roles not named are looked up among well-known names, and the choice is stated
            in `Table.convention`. `cluster="none"`: every row is a run of its own.
        where: column → value; only rows that match are used, the others are listed in `Table.excluded`.
        convention: what the caller knows of `params`, `tokens`, `loss` or `flops` and the file does not say, such as
            `{"params": "without embeddings"}`.
        budget_tolerance: where no column names the budgets, rows whose FLOPs lie within this fraction share one.
        units: role → what 1 stands for in its column, such as `{"tokens": 1e9}`; by default what the column's name says
            (`tokens_b`, `params (M)`), else 1.
        mixed: conditions (columns such as `optimizer`) that may differ among the rows nonetheless; "all" allows any.
        repeats: what to make of rows of the same size and tokens with different losses that nothing tells apart:
            "refuse", "keep" them all as replicates, or keep the "best".

    Raises:
        BadTable, BadColumn: no such file or format; a column that is missing, ambiguous, not numeric or not positive.
        BadLoss: a finished run whose loss is not a positive number.
        MixedTable: rows from different corpora, tokenizers, optimizers, schedules or counting conventions, or of
            precisions that change the law (see `analysis.reading.precision`).
        DuplicateRows: the same parameters and tokens with different losses and nothing that tells the runs apart.
    """
    table, name = (source, "table") if isinstance(source, pd.DataFrame) else (read(Path(source)), str(source))
    if table.empty:
        raise BadTable(
            f"{name} has no rows; a fit needs one row for each run with parameters, tokens and loss"
        )
    columns = dict(columns or {})
    alone = columns.get("cluster") == NO_CLUSTER
    if alone:
        del columns["cluster"]
    chosen = choose_columns(table, columns, units)
    rows, unmatched = apply_filters(numbered(table), where or {})
    rows, unfinished = set_aside_unfinished(rows)
    if rows.empty:
        counts = count_reasons(pd.concat([unmatched, unfinished]))
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items())
        raise BadTable(f"{name} has no finished run to fit: {reasons}")
    mixed_notes = refuse_mixed(rows, mixed, chosen.mapping)
    frame, copies = merge_copies(canonical(rows, chosen))
    frame, beaten = settle_repeats(frame, repeats)
    stated = describe(frame, chosen, dict(convention or {}), rows)
    if "flops" not in chosen.mapping:
        frame["flops"] = TRAIN_FLOPS_PER_PARAM_TOKEN * frame["params"] * frame["tokens"]
    named = budgets_are_named(frame)
    curve_notes: tuple[str, ...] = ()
    if alone:
        frame = frame.drop(columns="cluster", errors="ignore")
    elif not named:
        frame, curve_notes = cluster_by_size(frame)
    (frame, between), thin_notes = thin_curves(frame)
    frame, budget_notes = add_budgets(frame, budget_tolerance)
    if named:
        stated["budget"] = f"column {chosen.mapping['budget']!r}" + budget_convention(rows)
    notes = (
        *chosen.notes,
        *mixed_notes,
        *replicate_note(frame),
        *repeated_data_note(frame),
        *curve_notes,
        *thin_notes,
        *budget_notes,
        *(convention_note(frame) if named else ()),
    )
    excluded = pd.concat([unmatched, unfinished, copies, beaten, between], ignore_index=True)
    return Table(frame.reset_index(drop=True), stated, excluded, named, notes, name)


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
