"""Tables of whole loss curves: one row for each recorded step of each run."""

from collections.abc import Mapping

import pandas as pd

from analysis.reading.decimals import plain_numbers
from analysis.reading.filters import apply_filters
from analysis.reading.names import columns_named, listing
from analysis.reading.numbers import read_numbers
from analysis.reading.rows import numbered
from analysis.refusals import BadColumn, BadLoss

KNOWN = {
    "step": ["step", "steps", "iteration", "iter", "global_step", "train_step"],
    "learning_rate": ["lr", "learning_rate", "lrs"],
    "loss": [
        "loss",
        "train_loss_nats",
        "train_loss",
        "val_loss",
        "validation_loss",
        "losses",
        "metrics_loss",
    ],
    "cluster": ["cluster", "run", "run_id", "run_name", "curve", "schedule", "name"],
}
"""Role → column names that are understood without being told; `cluster` names the run of each row."""
NUMBERS = ("step", "learning_rate", "loss")


def read_curves(table: pd.DataFrame, named: Mapping[str, str], where: Mapping[str, object]) -> pd.DataFrame:
    """Rows of `run`, `step`, `lr` and `loss` of a table.

    Args:
        table: one row for each recorded step; without a column that names runs, all rows are one curve.
        named: role → column, for the roles of KNOWN.
        where: column → value of the rows to use.

    Raises:
        BadColumn: a column is missing.
        BadLoss: a row does not hold numbers, or a loss is not positive.
    """
    rows, _ = apply_filters(plain_numbers(numbered(table)), where)
    chosen = {
        role: named.get(role) or next(iter(columns_named(rows, names)), None) for role, names in KNOWN.items()
    }
    for role, column in chosen.items():
        if column is None and role == "cluster":
            continue
        if column is None or column not in rows.columns:
            raise BadColumn(
                f"law=multi_power needs a column for {role}, one row for each recorded step; the table has "
                f"{listing(table)}: say {role}=COLUMN"
            )
    frame = pd.DataFrame({role: read_numbers(rows[chosen[role]]) for role in NUMBERS})
    frame = frame.rename(columns={"learning_rate": "lr"})
    frame["run"] = "1" if chosen["cluster"] is None else rows[chosen["cluster"]].astype(str)
    bad = frame[["step", "lr", "loss"]].isna().any(axis=1) | (frame["loss"] <= 0)
    if bad.any():
        raise BadLoss(
            f"row {rows['row'][bad].iloc[0]} ({bad.sum()} such rows): step, learning rate and a positive loss must be "
            "numbers in every row; leave others out"
        )
    return frame
