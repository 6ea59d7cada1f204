"""Conditions that one law must share: rows trained or counted in different ways are not fitted together unasked."""

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.reading.names import listing, plain_name
from analysis.reading.numbers import read_numbers
from analysis.reading.precision import PRECISION_COLUMNS, keep_float32_weights
from analysis.reading.statuses import STATUS_COLUMNS
from analysis.refusals import BadColumn, MixedTable

# Columns whose values must agree for one law to describe the rows.
CONDITIONS = (
    "corpus", "corpus_fingerprint", "dataset", "data", "tokenizer", "vocab_size", "vocabulary", "optimizer",
    "optim", "schedule", "scheduler", "lr_schedule", "lr_scheduler", "learning_rate_schedule", "precision",
    "dtype", "architecture", "arch", "language", "config", "configuration", "convention",
    "params_convention", "tokens_convention", "loss_convention", "flops_convention", "budget_convention",
)  # fmt: skip
# Words that make a text column such a condition where they stand in its name: train_data, model_family.
CONDITION_WORDS = {
    "corpus", "dataset", "datasets", "data", "tokenizer", "optimizer", "schedule", "scheduler", "precision",
    "dtype", "architecture", "arch", "family", "language", "config",
}  # fmt: skip
FEW_VALUES = 8  # a text column with more values than this names runs
KNOWN_TEXT = (
    *STATUS_COLUMNS,
    "run_id",
    "name",
    "host",
    "commit",
    "device",
)  # of which nothing is to be noted


def refuse_mixed(rows: pd.DataFrame, allowed: Sequence[str], mapping: Mapping[str, str]) -> list[str]:
    """Notes on columns with several values; raises where such a column is a condition that one law must share.

    Args:
        rows: the rows that are to be fitted together.
        allowed: columns in which they may differ; "all" allows any.
        mapping: role → column, for the columns that the fit reads.

    Raises:
        MixedTable: a condition takes several values that are not allowed.
        BadColumn: an allowed column does not exist.
    """
    unknown = [name for name in allowed if name not in rows.columns and name != "all"]
    if unknown:
        raise BadColumn(f"mixed={unknown[0]}: no such column; the table has {listing(rows)}")
    notes = []
    for column in rows.columns:
        if column in (*mapping.values(), "row") or same_to_a_law(rows, column):
            continue
        counts = rows[column].fillna("not given").value_counts()
        # A column with another value in every row names runs, not conditions.
        if not 1 < len(counts) < len(rows):
            continue
        refused = is_condition(rows, column, mapping)
        values = ", ".join(f"{clip(value)} ({count} rows)" for value, count in counts.head(6).items())
        more = f" and {len(counts) - 6} more" if len(counts) > 6 else ""
        if column in allowed or (refused and "all" in allowed):
            notes.append(f"mixed as asked: column {column!r} holds {values}{more}")
        elif refused:
            raise MixedTable(
                f"column {column!r} holds {len(counts)} values, {values}{more}: one law describes one of them; "
                f"choose it with where.{column}={counts.index[0]}, or fit them together with mixed=[{column}]"
            )
        elif is_text(rows[column]) and len(counts) <= FEW_VALUES and plain_name(column) not in KNOWN_TEXT:
            notes.append(
                f"column {column!r} holds {values}{more}, fitted together as one; where.{column}={counts.index[0]} "
                "chooses"
            )
    return notes


def is_text(column: pd.Series) -> bool:
    """Whether a column holds words rather than numbers."""
    return bool(read_numbers(column).isna().all())


def same_to_a_law(rows: pd.DataFrame, column: str) -> bool:
    """Whether a column holds precisions, all stated, that keep float32 weights: a law sees no difference."""
    return plain_name(column) in PRECISION_COLUMNS and keep_float32_weights(rows[column])


def is_condition(rows: pd.DataFrame, column: str, mapping: Mapping[str, str]) -> bool:
    """Whether rows that differ in a column were trained or counted differently, by its name."""
    name = plain_name(column)
    if name in PRECISION_COLUMNS and keep_float32_weights(rows[column].dropna()):
        return False  # some are not stated: noted, not refused
    if name in CONDITIONS:
        return True
    if not CONDITION_WORDS & set(name.split("_")) or not is_text(rows[column]):
        return False
    # A value that goes with one size only, such as the path of its config, names the size.
    return "params" not in mapping or bool((rows.groupby(column)[mapping["params"]].nunique() > 1).any())


def clip(value: object) -> str:
    """A value short enough for a message."""
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
