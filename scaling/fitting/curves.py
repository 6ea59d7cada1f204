"""`scaling fit … law=multi_power`: whole loss curves under the learning-rate schedules that made them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.fit import fit
from analysis.reading.curves import KNOWN, read_curves
from analysis.reading.files import read
from analysis.reading.filters import apply_filters
from analysis.reading.rows import numbered
from analysis.refusals import BadTable, MixedTable, NotIdentified
from analysis.result import FitResult
from analysis.schedule import Curve, read_curve, table
from scaling.fitting.keys import FitKeys
from scaling.records.folder import CURVE, RECORD
from scaling.records.records import read_record

MAX_POINTS = 40
"""Most losses of a curve that are fitted; neighbouring ones say nearly the same."""
STARTS = 4
"""Descents of the fit, half of what other laws get: each evaluates every curve."""


def fit_curves(source: Path, keys: FitKeys) -> tuple[FitResult, list[str]]:
    """The multi-power law of all curves of a file, or of the runs of one size in a sweep's folder; and notes.

    Raises:
        Refusal: columns are missing, the runs have several sizes, or the curves do not determine the law.
    """
    if source.is_dir():
        rows = curves_of_sweep(source, keys)
    else:
        rows = read_curves(read(source, keys.sep, keys.decimal), keys.named(KNOWN), keys.where)
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
            starts=STARTS,
        )
    except np.linalg.LinAlgError as error:
        raise NotIdentified(vague) from error
    if not np.isfinite(list(result.parameters.values())).all():
        raise NotIdentified(vague)
    return result, notes


def thinned(curve: Curve) -> Curve:
    """A curve with at most MAX_POINTS of its losses, evenly spaced."""
    keep = np.unique(np.linspace(0, len(curve.steps) - 1, MAX_POINTS).round().astype(int))
    return replace(curve, steps=curve.steps[keep], losses=curve.losses[keep])


def curves_of_sweep(folder: Path, keys: FitKeys) -> pd.DataFrame:
    """Rows of `run`, `step`, `lr` and `loss` of a sweep's finished runs of one size.

    A recorded loss is the mean over the steps since the one before, so it is placed at the middle of them.

    Raises:
        BadTable: no run of the folder left a curve.
        MixedTable: the runs have several sizes.
    """
    paths = [path for path in sorted(folder.glob(f"**/{RECORD}")) if (path.parent / CURVE).is_file()]
    if not paths:
        raise BadTable(
            f"{folder} holds no {CURVE} beside a {RECORD}: train the runs, or give a table of curves"
        )
    records = [read_record(path) for path in paths]
    runs = numbered(pd.DataFrame([vars(record) for record in records]))
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
