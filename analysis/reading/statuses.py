"""Which runs finished, by the words of the tools that train and schedule them."""

from collections.abc import Collection

import pandas as pd

from analysis.reading.names import plain_name, short_name
from analysis.refusals import BadValue

STATUS_COLUMNS = (
    "status",
    "state",
    "run_status",
    "run_state",
    "job_status",
    "job_state",
    "slurm_state",
    "outcome",
)
"""Columns that say how a run ended."""
DONE = frozenset({
    "done", "finished", "completed", "complete", "success", "succeeded", "successful", "ok", "passed", "converged",
})  # fmt: skip
NOT_DONE = frozenset({
    "crashed", "crash", "running", "failed", "fail", "failure", "error", "errored", "preempted", "preempting",
    "killed", "cancelled", "canceled", "aborted", "interrupted", "stopped", "paused", "pending", "queued", "requeued",
    "scheduled", "submitted", "starting", "waiting", "suspended", "timeout", "timed_out", "deadline", "node_fail",
    "boot_fail", "out_of_memory", "oom", "diverged", "divergence", "unstable", "nan", "inf", "pruned", "skipped",
    "unknown", "unfinished", "incomplete", "invalid", "completing", "configuring", "revoked", "deleted", "planned",
    "in_progress", "active", "resizing", "signaling", "stage_out", "missing", "none",
})  # fmt: skip
"""Words of this project, Weights & Biases, MLflow, Optuna, Ray and Slurm."""
FLAG_DONE = ("finished", "completed", "done", "is_finished", "is_done", "is_complete", "converged", "success")
FLAG_NOT_DONE = (
    "crashed",
    "failed",
    "diverged",
    "is_diverged",
    "has_nan",
    "oom",
    "killed",
    "preempted",
    "unstable",
)
"""Columns of true and false that say whether a run ended well, or did not."""


def word_of(value: object) -> str:
    """A status for comparison; Slurm's `CANCELLED by 1000` and `COMPLETED+` without what follows."""
    words = plain_name(str(value).strip().rstrip("+"))
    return words.partition("_by_")[0] if words.startswith("cancel") else words


def unfinished(rows: pd.DataFrame, chosen: Collection[str] = ()) -> tuple[pd.Series, tuple[str, ...]]:
    """For each row why it is not done, empty where it is; and notes.

    Args:
        rows: the rows of the source.
        chosen: columns that the caller filters on; what he picks there is what he wants.

    Raises:
        BadValue: a word that says neither that a run is done nor that it is not.
    """
    reasons = pd.Series("", index=rows.index, dtype=object)
    notes: list[str] = []
    for column in rows.columns:
        if column in chosen:
            continue
        name = short_name(column)
        if name in STATUS_COLUMNS:
            said = not_done_by_word(rows[column], notes, needed=name == "status")
        elif name in (*FLAG_DONE, *FLAG_NOT_DONE) and is_flag(rows[column]):
            wrong = rows[column].astype(bool) == (name in FLAG_NOT_DONE)
            said = pd.Series("", index=rows.index, dtype=object).mask(
                wrong, f"{column} {'yes' if name in FLAG_NOT_DONE else 'no'}"
            )
        else:
            continue
        reasons = reasons.where(reasons != "", said)
    return reasons, tuple(notes)


def not_done_by_word(column: pd.Series, notes: list[str], *, needed: bool) -> pd.Series:
    """Why each row of a column of statuses is not done; a column of other words is noted, where it need not be one."""
    text = column.astype(object).where(column.notna(), "unknown").astype(str)
    words = {value: word_of(value) for value in text.unique()}
    strange = [value for value, word in words.items() if word not in DONE | NOT_DONE]
    if strange and len(strange) == len(words) and not needed:
        shown = ", ".join(strange[:4])
        notes.append(
            f"column {column.name!r} holds {shown}: no words for how a run ended, so that all rows are used"
        )
        return pd.Series("", index=column.index, dtype=object)
    if strange:
        raise BadValue(
            f"column {column.name!r} says {strange[0]!r}, which is no known word for how a run ended: choose rows with "
            f"where.{column.name}={strange[0]}, or write done or failed in its place"
        )
    ends = {value: "" if word in DONE else f"{column.name} {value}" for value, word in words.items()}
    return text.map(ends).astype(object)


def is_flag(column: pd.Series) -> bool:
    """Whether a column holds true and false alone, or 1 and 0, in every row."""
    return bool(pd.api.types.is_bool_dtype(column) or column.isin([0, 1]).all())
