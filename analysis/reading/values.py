"""The numbers of a table's columns, checked and in canonical units, and how each quantity is counted, in words."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.allocate import TRAIN_FLOPS_PER_PARAM_TOKEN
from analysis.loss_unit import LOSS_UNIT, NATS
from analysis.reading import flops
from analysis.reading.columns import REQUIRED, Columns
from analysis.reading.epochs import refuse_varying
from analysis.reading.names import loss_kind, name_says
from analysis.reading.numbers import read_numbers
from analysis.reading.own_records import own_record_says
from analysis.refusals import BadColumn, BadLoss

LOG2 = float(np.log(2))
_SAID_UNIT = {
    "bits/byte": ("bits/byte", "bits per byte", "bpb"),
    "bits/character": ("bits/char", "bits per char", "bpc"),
    "nats/byte": ("nats/byte", "nats per byte"),
}
"""Unit of a loss that cannot be made nats/token → how a caller says it."""
SMALLEST = {"params": 1e3, "tokens": 1e4}
"""The largest run of a table has more parameters and tokens than this, or the table counts in other units."""
LARGEST = {"params": 1e16, "tokens": 1e19}
"""No run has more parameters or tokens than this: a unit was applied to plain counts."""


def in_nats(losses: pd.Series, kind: str) -> pd.Series:
    """Losses in nats/token from perplexity or bits/token (see `loss_kind`); bits/byte are left as they are."""
    if kind == "perplexity":
        return pd.Series(np.log(losses))
    return losses * LOG2 if kind == "bits/token" else losses


def unit_of_loss(column: str, said: str) -> str:
    """The unit that a table's losses are in, by what the caller says of them and else by their column's name."""
    for unit, words in _SAID_UNIT.items():
        if any(word in said.lower() for word in words):
            return unit
    kind = loss_kind(column)
    return kind if kind in _SAID_UNIT else NATS


def canonical(rows: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The rows with columns named by their role, numbers checked, counts in units of 1 and losses in nats/token.

    A column of passes over the unique tokens is `epochs` in it.

    Args:
        rows: rows of the source, with their `row`.
        columns: which column is which quantity.

    Raises:
        BadLoss, BadColumn: a number is missing, not finite or not positive, or so small that its unit must be another.
    """
    frame = pd.DataFrame({"row": rows["row"]})
    mapping = columns.mapping
    for role, column in mapping.items():
        if role == "cluster":
            frame[role] = (
                rows[column].where(rows[column].notna(), "alone " + rows["row"].astype(str)).astype(str)
            )
            continue
        values = read_numbers(rows[column])
        optional = role in ("loss_se", "budget", "unique_tokens", "epochs")
        wrong = ~(np.isfinite(values) & (values > 0))
        if optional:
            wrong &= rows[column].notna() & ~((role == "loss_se") & (values == 0))
        kind = loss_kind(column)
        if role == "loss" and kind == "perplexity":
            wrong |= ~(values > 1)
        if wrong.any():
            row, value = int(frame.loc[wrong, "row"].iloc[0]), rows.loc[wrong, column].iloc[0]
            shown = repr(value) if isinstance(value, str) else str(value)
            where = f"row {row}" + (f" and {int(wrong.sum()) - 1} more" if wrong.sum() > 1 else "")
            if role == "loss":
                least = "a perplexity must be finite and above 1" if kind == "perplexity" else ""
                raise BadLoss(
                    f"loss {shown} in {where} (column {column!r}): "
                    f"{least or 'a loss must be finite and above 0'}; "
                    "missing=drop leaves runs without a loss out, a column `status` can mark them as diverged"
                )
            drop = "; missing=drop leaves such rows out" if rows.loc[wrong, column].isna().all() else ""
            raise BadColumn(
                f"{role} {shown} in {where} (column {column!r}): need a number above 0, in plain units{drop}"
            )
        if role == "loss":
            values = in_nats(values, kind)
        elif role == "loss_se":  # as the loss, so that both are in nats
            values = values * {"perplexity": np.exp(-frame["loss"]), "bits/token": LOG2}.get(
                loss_kind(mapping["loss"]), 1.0
            )
        frame[role] = values * columns.units.get(role, 1.0)
    if columns.derived is not None:
        other = "params" if columns.derived == "tokens" else "tokens"
        frame[columns.derived] = frame["flops"] / (TRAIN_FLOPS_PER_PARAM_TOKEN * frame[other])
    for role in ("params", "tokens"):
        if role not in columns.units:
            refuse_small(frame, role, mapping)
        refuse_large(frame, role, mapping)
    unit = columns.units.get("flops", 1.0)
    if "flops" in mapping and columns.derived is None and not (unit == 1 and "flops" in columns.units):
        flops.refuse_far(frame, mapping["flops"], unit)
    if "unique_tokens" in mapping:
        refuse_varying(frame, mapping["unique_tokens"])
    for column in ("seed", "run_id"):
        if column in rows.columns and column not in frame.columns:
            frame[column] = rows[column]
    return frame


def refuse_small(frame: pd.DataFrame, role: str, mapping: Mapping[str, str]) -> None:
    """Raise where a count is so small that it must be in other units: 70 (million) parameters, 300 (billion) tokens."""
    low, high = float(frame[role].min()), float(frame[role].max())
    if high >= SMALLEST[role]:
        return
    if role not in mapping:
        raise BadColumn(
            f"{role} would run from {low:.3g} to {high:.3g} by 6 · params · tokens = FLOPs (column "
            f"{mapping['flops']!r}): say what 1 stands for in a column, such as units.flops=1e18"
        )
    raise BadColumn(
        f"{role} run from {low:.3g} to {high:.3g} (column {mapping[role]!r}): too few to be plain counts; "
        f"say what 1 stands for, such as units.{role}=1e9 for billions (units.{role}=1 if they are right)"
    )


def refuse_large(frame: pd.DataFrame, role: str, mapping: Mapping[str, str]) -> None:
    """Raise where there are more parameters or tokens than any run has: plain counts under a name with a unit."""
    high = float(frame[role].max())
    if high <= LARGEST[role]:
        return
    column = mapping.get(role, mapping.get("flops"))
    raise BadColumn(
        f"{role} run up to {high:.3g} (column {column!r}): more than any run has; say what 1 stands for in the "
        f"column, such as units.{role}=1 for plain counts"
    )


def describe(
    frame: pd.DataFrame, columns: Columns, told: dict[str, str], rows: pd.DataFrame
) -> dict[str, str]:
    """Say, for each quantity, which column it is and how it counts as far as is known.

    Args:
        frame: the rows in canonical form.
        columns: which column is which quantity.
        told: what the caller knows of a quantity, in words.
        rows: the rows of the source.
    """
    unknown = [key for key in told if key not in ("params", "flops", "loss", "tokens")]
    if unknown:
        raise BadColumn(f"convention.{unknown[0]}: no such quantity; say params, tokens, loss or flops")
    mapping, stated = columns.mapping, {}
    for role in REQUIRED:
        if role == columns.derived:
            other = "params" if role == "tokens" else "tokens"
            stated[role] = f"flops / (6 · {other}), as no column holds them"
            continue
        how = (
            told.get(role)
            or own_record_says(rows, mapping[role])
            or name_says(role, mapping[role])
            or "convention not stated"
        )
        if role == "loss" and (unit := unit_of_loss(mapping[role], told.get(role, ""))) != NATS:
            stated[LOSS_UNIT] = unit
        if columns.units.get(role, 1) != 1:
            how = f"in units of {columns.units[role]:g}, {how}"
        stated[role] = f"column {mapping[role]!r}, {how}"
    if "flops" not in mapping:
        stated["flops"] = "6 · params · tokens (no FLOP column given)"
    else:
        how = flops.in_words(frame)
        if columns.units.get("flops", 1) != 1:
            how = f"in units of {columns.units['flops']:.3g}, {how}"
        if columns.derived is not None:
            how = f"taken as 6 · params · tokens, which gives the {columns.derived}"
        extra = told.get("flops")
        if own := own_record_says(rows, mapping["flops"]):
            how = own if how.endswith("to 1 %") else f"{own}, {how}"
        stated["flops"] = f"column {mapping['flops']!r}, {how}" + (f"; {extra}" if extra else "")
    if "loss_se" in mapping:
        stated["loss_se"] = f"column {mapping['loss_se']!r}, standard error of each loss"
    if "unique_tokens" in mapping and (how := own_record_says(rows, mapping["unique_tokens"])):
        stated["unique_tokens"] = f"column {mapping['unique_tokens']!r}, {how}"
    if "cluster" in mapping:
        stated["cluster"] = f"column {mapping['cluster']!r}: runs that share it count as one for intervals"
    return stated
