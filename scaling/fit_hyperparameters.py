"""`scaling fit … law=learning_rate_nd`: how the best learning rate or batch follows size, tokens or compute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scaling.fit_keys import FitKeys

if TYPE_CHECKING:
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
        ValueError: columns that are missing, or what the fit refuses.
    """
    import pandas as pd

    from analysis import laws
    from analysis.columns import ALIASES, plain_name, read_numbers
    from analysis.fit import fit
    from analysis.hyperparameters import best_values
    from analysis.refusals import BadColumn, BadValue
    from analysis.table import apply_filters, read
    from scaling.records import load_sweep

    law = laws.get(keys.law)
    raw = load_sweep(source) if source.is_dir() else read(source)
    if "status" in raw.columns:
        raw = raw[raw["status"] == "done"]
    raw, _ = apply_filters(raw.assign(row=range(1, len(raw) + 1)), keys.where)
    names = {plain_name(column): str(column) for column in raw.columns}
    frame = pd.DataFrame({"row": raw["row"]})
    notes = []
    for role in (law.target, "params", "tokens", "flops", "loss"):
        named = getattr(keys, role)
        known = KNOWN.get(role) or ALIASES[role]
        column = named or next((names[name] for name in known if name in names), None)
        if named is not None and named not in raw.columns:
            raise BadColumn(
                f"{role}={named}: no such column; the table has {', '.join(map(str, raw.columns))}"
            )
        if column is not None:
            frame[role] = read_numbers(raw[column]) * keys.units.get(role, 1.0)
            notes.append(f"{role} is column {column!r}")
    if "flops" not in frame and {"params", "tokens"} <= set(frame.columns):
        frame["flops"] = 6 * frame["params"] * frame["tokens"]
    for role in (law.target, *law.variables):
        if role not in frame:
            raise BadColumn(
                f"law={law.name} needs a column for {role}; the table has {', '.join(map(str, raw.columns))}: "
                f"say {role}=COLUMN"
            )
    bad = ~(frame.drop(columns="row") > 0).all(axis=1)
    if bad.any():
        raise BadValue(
            f"row {frame['row'][bad].iloc[0]} ({bad.sum()} such rows): every number used must be above 0"
        )
    if {"params", "tokens", "loss"} <= set(frame.columns) and frame.duplicated(["params", "tokens"]).any():
        sweep = len(frame)
        frame, refused = best_values(frame, law.target)
        notes.append(
            f"a sweep of {sweep} runs: the best {law.target} of {len(frame)} scales, each from a parabola"
        )
        notes += [f"left out, {reason}" for reason in refused]
    objective = "mse_log" if keys.objective == FitKeys().objective else keys.objective
    result = fit(frame, law, objective, bootstrap=keys.bootstrap, level=keys.level, seed=keys.seed)
    return result, notes
