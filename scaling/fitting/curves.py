"""`scaling fit … law=multi_power`: whole loss curves under the learning-rate schedules that made them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scaling.fitting.keys import FitKeys
from scaling.records.folder import CURVE, RECORD

if TYPE_CHECKING:
    import pandas as pd

    from analysis.result import FitResult
    from analysis.schedule import Curve

STEP = "step steps iteration iter global_step train_step"
RATE = "lr learning_rate lrs"
LOSS = "loss train_loss_nats train_loss val_loss validation_loss losses metrics_loss"
RUN = "cluster run run_id run_name curve schedule name"
MOST_POINTS = 40  # of a curve that are fitted; neighbours say nearly the same


def fit_curves(source: Path, keys: FitKeys) -> tuple[FitResult, list[str]]:
    """The multi-power law of all curves of a file, or of the runs of one size in a sweep's folder; and notes.

    Raises:
        UserError: columns that are missing, several sizes, or what the fit refuses.
    """
    import numpy as np

    from analysis.fit import fit
    from analysis.refusals import NotIdentified
    from analysis.schedule import read_curve, table

    rows = curves_of_sweep(source, keys) if source.is_dir() else curves_of_file(source, keys)
    curves = [read_curve(recorded) for _, recorded in rows.groupby("run", sort=True)]
    fitted = [thinned(curve) for curve in curves]
    notes = [
        f"{len(curves)} curves, {sum(len(curve.steps) for curve in fitted)} of "
        f"{sum(len(curve.steps) for curve in curves)} recorded losses fitted (evenly spaced, after each warm-up)",
        "the learning rate between recorded steps is taken on a straight line; warm-up ends where it is first largest",
    ]
    vague = (
        "these curves do not determine the multi-power law: it needs longer curves, or schedules that differ in how "
        "they decay"
    )
    try:
        result = fit(
            table(fitted),
            law="multi_power",
            objective=keys.objective,
            bootstrap=keys.bootstrap,
            level=keys.level,
            seed=keys.seed,
            starts=4,
        )
    except np.linalg.LinAlgError as error:
        raise NotIdentified(vague) from error
    if not np.isfinite(list(result.parameters.values())).all():
        raise NotIdentified(vague)
    return result, notes


def thinned(curve: Curve) -> Curve:
    """A curve with at most MOST_POINTS of its losses."""
    from dataclasses import replace

    import numpy as np

    keep = np.unique(np.linspace(0, len(curve.steps) - 1, MOST_POINTS).round().astype(int))
    return replace(curve, steps=curve.steps[keep], losses=curve.losses[keep])


def curves_of_file(source: Path, keys: FitKeys) -> pd.DataFrame:
    """Rows of `run`, `step`, `lr`, `loss` of a table."""
    import pandas as pd

    from analysis.refusals import BadColumn, BadLoss
    from analysis.table import apply_filters, read

    raw, _ = apply_filters(read(source).assign(row=lambda f: range(1, len(f) + 1)), keys.where)
    names = {str(column).strip().lower(): str(column) for column in raw.columns}
    chosen = {
        role: getattr(keys, key) or next((names[name] for name in known.split() if name in names), None)
        for role, key, known in (
            ("step", "step", STEP),
            ("lr", "learning_rate", RATE),
            ("loss", "loss", LOSS),
            ("run", "cluster", RUN),
        )
    }
    for role, key in (("step", "step"), ("lr", "learning_rate"), ("loss", "loss")):
        if chosen[role] is None or chosen[role] not in raw.columns:
            raise BadColumn(
                f"law=multi_power needs a column for {key}, one row a recorded step; the table has "
                f"{', '.join(names.values())}: say {key}=COLUMN"
            )
    frame = pd.DataFrame(
        {role: pd.to_numeric(raw[chosen[role]], errors="coerce") for role in ("step", "lr", "loss")}
    )
    frame = frame.assign(run=raw[chosen["run"]].astype(str) if chosen["run"] else "1")
    bad = frame[["step", "lr", "loss"]].isna().any(axis=1) | (frame["loss"] <= 0)
    if bad.any():
        raise BadLoss(
            f"row {raw['row'][bad].iloc[0]} ({bad.sum()} such rows): step, learning rate and a positive loss must be "
            "numbers in every row; leave others out"
        )
    return frame


def curves_of_sweep(folder: Path, keys: FitKeys) -> pd.DataFrame:
    """The curves that a sweep's finished runs of one size left, each loss at the middle of the steps it averages."""
    import numpy as np
    import pandas as pd

    from analysis.refusals import BadTable, MixedTable
    from analysis.table import apply_filters
    from scaling.records.records import read_record

    paths = [path for path in sorted(folder.glob(f"**/{RECORD}")) if (path.parent / CURVE).is_file()]
    if not paths:
        raise BadTable(
            f"{folder} holds no {CURVE} beside a {RECORD}: train the runs, or give a table of curves"
        )
    records = [read_record(path) for path in paths]
    runs = pd.DataFrame([vars(record) for record in records]).assign(row=range(1, len(paths) + 1))
    runs, _ = apply_filters(runs[runs["status"] == "done"], keys.where)
    sizes = runs["params_total"].value_counts()
    if len(sizes) > 1:
        there = ", ".join(f"{size} ({count} runs)" for size, count in sizes.items())
        raise MixedTable(
            f"curves of {len(sizes)} sizes, {there}: the multi-power law describes one model; "
            f"choose it with where.params_total={sizes.index[0]}"
        )
    parts = []
    for row, run in zip(runs["row"], runs["run_id"], strict=True):
        curve = pd.read_csv(paths[row - 1].parent / CURVE)
        width = np.diff(curve["step"], prepend=0)
        middle = curve["step"] - (width - 1) // 2
        rate = np.interp(middle, curve["step"], curve["lr"])
        parts.append(pd.DataFrame({"run": run, "step": middle, "lr": rate, "loss": curve["train_loss_nats"]}))
    return pd.concat(parts, ignore_index=True)
