"""Which rows of a table are fitted: those that the caller chose, that finished, and only one of each.

Functions return the rows to keep, and those set aside as a frame of `row` (1-based, of the source) and `reason`.
"""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from analysis.reading.numbers import read_numbers
from analysis.reading.statuses import NOT_DONE, unfinished
from analysis.refusals import BadTable, BadValue, DuplicateRows

Split = tuple[pd.DataFrame, pd.DataFrame]

REPEATS = ("refuse", "keep", "best")
"""What can be made of rows of the same size and tokens with different losses."""
MISSING = ("refuse", "drop")
"""What can be made of rows without a loss, parameters or tokens."""
REPLICATES = ("seed", "run_id", "cluster", "unique_tokens")
"""Columns that tell two runs of the same size and tokens apart without changing what they measure."""


def numbered(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column `row`, its rows counted from 1; an index that has names becomes columns.

    Raises:
        BadTable: two columns have one name.
    """
    named = [name is not None and name not in table.columns for name in table.index.names]
    table = table.reset_index(drop=not all(named))
    names = ["_".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in table.columns]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise BadTable(f"two columns are named {twice[0]!r}: rename one, or leave it out")
    return table.set_axis(names, axis=1).assign(row=range(1, len(table) + 1))


def set_aside(rows: pd.DataFrame, which: pd.Series, reason: str | pd.Series) -> Split:
    """Split the rows into those that stay and those of a mask, each of which gets the reason."""
    return rows[~which], pd.DataFrame({"row": rows.loc[which, "row"], "reason": reason})


def no_rows() -> pd.DataFrame:
    """Nothing set aside."""
    return pd.DataFrame({"row": pd.Series(dtype=int), "reason": pd.Series(dtype=str)})


def set_aside_unfinished(rows: pd.DataFrame, chosen: Collection[str] = ()) -> Split:
    """Set aside the rows whose status, where there is such a column, says that the run did not finish.

    Args:
        rows: the rows of the source.
        chosen: columns that the caller filters on, whose words are not judged.

    Raises:
        BadValue: a status that is no known word.
    """
    reasons, _ = unfinished(rows, chosen)
    return set_aside(rows, reasons != "", reasons[reasons != ""])


def settle_missing(rows: pd.DataFrame, mapping: Mapping[str, str], missing: str) -> Split:
    """Set aside rows without a number that every run needs, where `missing` is "drop"; else leave them to be refused.

    A cell is without one where it is empty, NaN or infinite, or says in a word that the run failed.

    Raises:
        BadValue: `missing` is none of MISSING.
    """
    if missing not in MISSING:
        raise BadValue(f"missing={missing}: choose one of {', '.join(MISSING)}")
    if missing == "refuse":
        return rows, no_rows()
    reasons = pd.Series("", index=rows.index, dtype=object)
    for role in ("loss", "params", "tokens", "flops"):
        if role in mapping:
            column = rows[mapping[role]]
            gone = ~np.isfinite(read_numbers(column)) & (column.isna() | column.map(says_nothing))
            reasons = reasons.mask(gone & (reasons == ""), f"no {role}")
    return set_aside(rows, reasons != "", reasons[reasons != ""])


def says_nothing(cell: object) -> bool:
    """Whether a cell holds no number but NaN, infinity or a word for a run that failed."""
    return not isinstance(cell, str) or cell.strip().lower().lstrip("+-") in NOT_DONE | {
        "infinity",
        "n/a",
        "na",
        "",
    }


def merge_copies(rows: pd.DataFrame) -> Split:
    """Keep the first of rows that are the same in everything but their names."""
    measured = [column for column in rows.columns if column not in ("row", "run_id")]
    return set_aside(rows, rows.duplicated(measured, keep="first"), "exact copy of an earlier row")


def settle_repeats(rows: pd.DataFrame, repeats: str) -> Split:
    """Settle what rows of the same size and tokens with different losses mean, as `repeats` says (see REPEATS).

    Replicates that are kept get a column `replicate`, so that no later check takes them for contradictions.

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
    if repeated.any():
        if repeats == "refuse":
            raise _repeated_rows(rows[repeated])
        rows = rows.assign(
            replicate=rows.groupby(key, dropna=False).cumcount()
        )  # what tells them apart from here on
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
