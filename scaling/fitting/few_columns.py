"""`scaling fit` of laws of few columns: the best learning rate or batch at a scale, and Kaplan's L(N), L(D), L(C)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scaling.fitting.keys import FitKeys

if TYPE_CHECKING:
    import pandas as pd

    from analysis.laws import Law
    from analysis.result import FitResult

KNOWN = {
    "learning_rate": ("learning_rate", "lr", "max_lr", "peak_lr", "best_lr", "lr_opt", "optimal_lr"),
    "batch_tokens": ("batch_tokens", "batch_size_tokens", "tokens_per_batch", "best_batch_tokens"),
}


def fit_hyperparameters(source: Path, keys: FitKeys) -> tuple[FitResult, list[str]]:
    """A power law through the best value at each scale; and notes.

    A table with one row a scale holds the best values themselves. One with a loss and several values a scale is a
    sweep: the best is the minimum of a parabola at each scale, and scales without one are said.

    Raises:
        UserError: columns that are missing, or what the fit refuses.
    """
    from analysis import laws
    from analysis.best_values import best_values
    from analysis.fit import fit

    law = laws.get(keys.law)
    frame, stated = read_columns(source, keys, law)
    notes: list[str] = []
    if {"params", "tokens", "loss"} <= set(frame.columns) and frame.duplicated(["params", "tokens"]).any():
        sweep = len(frame)
        frame, refused = best_values(frame, law.target)
        notes.append(
            f"a sweep of {sweep} runs: the best {law.target} of {len(frame)} scales, each from a parabola"
        )
        notes += [f"left out, {reason}" for reason in refused]
    objective = "mse_log" if keys.objective == FitKeys().objective else keys.objective
    options = {"bootstrap": keys.bootstrap, "level": keys.level, "seed": keys.seed}
    result = fit(frame, law, objective, convention=stated, **options)  # type: ignore[arg-type]
    return result, notes


def read_columns(source: Path, keys: FitKeys, law: Law) -> tuple[pd.DataFrame, dict[str, str]]:
    """What a law of few columns reads of a table, and counts and losses that are there; and how each is counted.

    Raises:
        UserError: columns that are missing, or numbers that are not above 0.
    """
    import pandas as pd

    from analysis.columns import (
        ALIASES,
        loss_kind,
        loss_name,
        name_says,
        plain_name,
        read_numbers,
        unit_of_name,
    )
    from analysis.refusals import BadColumn, BadValue
    from analysis.table import apply_filters, read
    from scaling.records.records import load_sweep

    raw = load_sweep(source) if source.is_dir() else read(source)
    listing = ", ".join(map(str, raw.columns))
    raw = raw.assign(row=range(1, len(raw) + 1))
    if "status" in raw.columns:
        raw = raw[raw["status"] == "done"]
    raw, _ = apply_filters(raw, keys.where)
    names = {plain_name(column): str(column) for column in raw.columns}
    counts = {unit_of_name(column)[0]: str(column) for column in raw.columns} | names
    losses = {loss_name(column): str(column) for column in raw.columns} | names
    frame = pd.DataFrame({"row": raw["row"]})
    stated = {}
    for role in dict.fromkeys((law.target, "params", "tokens", "flops", "loss")):
        named = getattr(keys, role)
        known = KNOWN.get(role) or ALIASES[role]
        there = losses if role == "loss" else counts if role in ("params", "tokens") else names
        found = [there[name] for name in known if name in there]
        if named is not None and named not in raw.columns:
            raise BadColumn(f"{role}={named}: no such column; the table has {listing}")
        rivals = [column for column in found[1:] if not raw[column].equals(raw[found[0]])]
        if named is None and rivals and role in (law.target, *law.variables) and plain_name(found[0]) != role:
            raise BadColumn(
                f"{role} could be {' or '.join(map(repr, [found[0], *rivals]))}, which differ: say {role}=COLUMN"
            )
        column = named or next(iter(found), None)
        if column is None:
            continue
        unit = keys.units.get(role, unit_of_name(column)[1] if role in ("params", "tokens") else 1.0)
        frame[role] = read_numbers(raw[column]) * unit
        if role == "loss":
            frame[role] = in_nats(frame[role], loss_kind(column))
        how = keys.convention.get(role) or name_says(role, column) or "convention not stated"
        stated[role] = f"column {column!r}, " + (f"in units of {unit:g}, " if unit != 1 else "") + how
    if "flops" not in frame and {"params", "tokens"} <= set(frame.columns):
        frame["flops"] = 6 * frame["params"] * frame["tokens"]
        stated["flops"] = "6 · params · tokens (no FLOP column given)"
    for role in (law.target, *law.variables):
        if role not in frame:
            raise BadColumn(
                f"law={law.name} needs a column for {role}; the table has {listing}: say {role}=COLUMN"
            )
    used = frame.drop(columns="row")
    bad = ~((used > 0) & (used < float("inf"))).all(axis=1)
    if bad.any():
        raise BadValue(
            f"row {frame['row'][bad].iloc[0]} ({bad.sum()} such rows): every number used must be finite and above 0"
        )
    return frame, stated


def fit_one_variable(source: Path, keys: FitKeys) -> tuple[FitResult, list[str]]:
    """Kaplan's L(N), L(D) or L(C) of a table that has no more than that; and notes.

    Raises:
        UserError: columns that are missing, or what the fit refuses.
    """
    from analysis import laws
    from analysis.fit import fit

    law = laws.get(keys.law)
    frame, stated = read_columns(source, keys, law)
    notes: list[str] = []
    best = frame.loc[frame.groupby(law.variables[0])["loss"].idxmin()]
    if len(best) < len(frame):
        notes.append(f"the {len(best)} runs of lowest loss, one at each {law.variables[0]}, of {len(frame)}")
    options = {"bootstrap": keys.bootstrap, "level": keys.level, "seed": keys.seed}
    return fit(best, law, keys.objective, convention=stated, **options), notes  # type: ignore[arg-type]


def has_one_variable(source: Path, keys: FitKeys) -> bool:
    """Whether the table of a law of one variable has too little for a study: one of params, tokens and FLOPs."""
    from analysis import laws
    from analysis.columns import ALIASES, plain_name, unit_of_name
    from analysis.table import read

    if source.is_dir() or len(laws.get(keys.law).variables) > 1:
        return False
    columns = read(source).columns
    there = {plain_name(column) for column in columns} | {unit_of_name(column)[0] for column in columns}
    known = ("params", "tokens", "flops")
    return sum(getattr(keys, role) is not None or bool(there & set(ALIASES[role])) for role in known) < 2


def in_nats(losses: pd.Series, kind: str) -> pd.Series:
    """Losses in nats/token, from perplexity or bits/token; bits/byte stay what they are."""
    import numpy as np

    if kind == "perplexity":
        return np.log(losses)
    return losses * float(np.log(2)) if kind == "bits/token" else losses
