"""Which rows of a table are fitted: those that the caller chose, that finished, and only one of each.

Functions return the rows to keep, and those set aside as a frame of `row` (1-based, of the source) and `reason`.
"""

from collections.abc import Mapping

import pandas as pd

from analysis.reading.names import listing
from analysis.refusals import BadColumn, BadValue, DuplicateRows

Split = tuple[pd.DataFrame, pd.DataFrame]

REPEATS = ("refuse", "keep", "best")
"""What can be made of rows of the same size and tokens with different losses."""
REPLICATES = ("seed", "run_id", "cluster", "unique_tokens")
"""Columns that tell two runs of the same size and tokens apart without changing what they measure."""


def numbered(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column `row`, its rows counted from 1."""
    return table.assign(row=range(1, len(table) + 1))


def set_aside(rows: pd.DataFrame, which: pd.Series, reason: str | pd.Series) -> Split:
    """Split the rows into those that stay and those of a mask, each of which gets the reason."""
    return rows[~which], pd.DataFrame({"row": rows.loc[which, "row"], "reason": reason})


def apply_filters(rows: pd.DataFrame, where: Mapping[str, object]) -> Split:
    """Keep the rows that match every `column=value`, compared as text or as numbers.

    Raises:
        BadColumn: no such column, or no row with that value.
    """
    unmatched = []
    for column, value in where.items():
        if column not in rows.columns:
            raise BadColumn(f"where.{column}={value}: no such column; the table has {listing(rows)}")
        match = rows[column].astype(str) == str(value)
        if pd.api.types.is_numeric_dtype(rows[column]):
            match |= rows[column] == pd.to_numeric(str(value), errors="coerce")
        if not match.any():
            there = ", ".join(map(str, rows[column].unique()[:8]))
            raise BadColumn(f"where.{column}={value}: no row has it; values there: {there}")
        rows, others = set_aside(rows, ~match, f"not {column}={value}")
        unmatched.append(others)
    return rows, pd.concat(unmatched) if unmatched else no_rows()


def no_rows() -> pd.DataFrame:
    """Nothing set aside."""
    return pd.DataFrame({"row": pd.Series(dtype=int), "reason": pd.Series(dtype=str)})


def set_aside_unfinished(rows: pd.DataFrame) -> Split:
    """Set aside the rows whose `status`, where there is such a column, is not `done`."""
    if "status" not in rows.columns:
        return rows, no_rows()
    status = rows["status"].fillna("unknown").astype(str)
    return set_aside(rows, status != "done", "status " + status[status != "done"])


def merge_copies(rows: pd.DataFrame) -> Split:
    """Keep the first of rows that are the same in everything but their names."""
    measured = [column for column in rows.columns if column not in ("row", "run_id")]
    return set_aside(rows, rows.duplicated(measured, keep="first"), "exact copy of an earlier row")


def settle_repeats(rows: pd.DataFrame, repeats: str) -> Split:
    """Settle what rows of the same size and tokens with different losses mean, as `repeats` says (see REPEATS).

    Raises:
        BadValue: `repeats` is none of REPEATS.
        DuplicateRows: there are such rows, and they are to be refused.
    """
    if repeats not in REPEATS:
        raise BadValue(f"repeats={repeats}: choose one of {', '.join(REPEATS)}")
    key = ["params", "tokens", *(column for column in REPLICATES if column in rows.columns)]
    if repeats == "best":
        worse = rows.sort_values("loss", kind="stable").duplicated(key).sort_index()
        return set_aside(rows, worse, "another run of this size and tokens has a lower loss")
    repeated = rows.duplicated(key, keep=False)
    if repeats == "refuse" and repeated.any():
        raise _repeated_rows(rows[repeated])
    return rows, no_rows()


def _repeated_rows(repeated: pd.DataFrame) -> DuplicateRows:
    first = repeated.iloc[0]
    same = repeated[(repeated["params"] == first["params"]) & (repeated["tokens"] == first["tokens"])]
    numbers, losses = (
        ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")
        for words in (same["row"].astype(str).tolist(), [f"{loss:g}" for loss in same["loss"]])
    )
    return DuplicateRows(
        f"rows {numbers} have the same params ({first['params']:g}) and tokens ({first['tokens']:g}) "
        f"but losses {losses} ({len(repeated)} such rows): keep the one that counts, "
        "or add a column `seed` that tells replicates apart; repeats=best fits the lowest loss of each, "
        "repeats=keep all of them"
    )


def count_reasons(set_aside_rows: pd.DataFrame) -> dict[str, int]:
    """How many rows were set aside, for each reason."""
    return {str(reason): int(count) for reason, count in set_aside_rows["reason"].value_counts().items()}
