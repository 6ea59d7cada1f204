"""`scaling fit FILE task_loss=… accuracy=… chance=…`: what larger models will score on a task."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from analysis.downstream import Downstream, fit_downstream
from analysis.formats import between, compute, count
from analysis.reading.files import read
from analysis.refusals import Refusal
from analysis.report import finite, plain
from analysis.sections.section import Section
from analysis.study import PLAN_FACTOR
from scaling.errors import UserError
from scaling.fitting.keys import FitKeys
from scaling.fitting.report import print_sections, refuse_file
from scaling.fitting.study import read_table
from scaling.records.records import load_sweep


def report_downstream(source: Path, keys: FitKeys, as_json: bool) -> None:
    """Fit both steps, print them with a prediction for more compute, and write `downstream.json` where `out` says.

    Raises:
        UserError, Refusal: a key is missing, or the task cannot be fitted.
    """
    for name in ("task_loss", "accuracy", "chance"):
        if getattr(keys, name) is None:
            raise UserError(
                f"a task is predicted from task_loss=COLUMN, accuracy=COLUMN and chance=SHARE; {name} is missing"
            )
    assert keys.accuracy is not None
    assert keys.chance is not None
    rows = load_sweep(source) if source.is_dir() else read(source, keys.sep, keys.decimal)
    if keys.accuracy not in rows.columns:
        raise UserError(
            f"accuracy={keys.accuracy}: no such column; the table has {', '.join(map(str, rows.columns))}"
        )
    table = read_table(source, replace(keys, loss=keys.task_loss), rows)
    accuracy = rows[keys.accuracy].to_numpy(dtype=float)[table.frame["row"].to_numpy() - 1]
    found = fit_downstream(
        table,
        accuracy,
        keys.chance,
        keys.law,
        level=keys.level,
        bootstrap=min(keys.bootstrap, 300),
        seed=keys.seed,
    )
    largest = float(table.frame["flops"].max())
    section, record = told(
        found, [largest, keys.target_flops or PLAN_FACTOR * largest], float(accuracy.max())
    )
    text = json.dumps(finite(record), indent=2, allow_nan=False, default=plain)
    if as_json:
        print(text)
    else:
        print_sections((section,), Console())
    if keys.out:
        refuse_file(Path(keys.out))
        Path(keys.out).mkdir(parents=True, exist_ok=True)
        (Path(keys.out) / "downstream.json").write_text(text + "\n", encoding="utf-8")


def told(found: Downstream, budgets: list[float], best: float) -> tuple[Section, dict[str, object]]:
    """Both steps in words and for programs, with predictions at the best split of each budget."""
    try:
        plan = found.task_loss.optimal(budgets)
        frame = found.predict(plan["params"].to_numpy(), plan["tokens"].to_numpy()).assign(flops=budgets)
        said: list[str] = []
    except Refusal as reason:
        frame, said = None, [f"Warning: no prediction for more compute: {reason}."]
    task_law = ", ".join(f"{name} {value:.4g}" for name, value in found.task_loss.parameters.items())
    curve = ", ".join(f"{name} {value:.4g}" for name, value in found.parameters.items())
    words = [
        f"Step 1, task loss from size and tokens ({found.task_loss.law}): {task_law}.",
        f"Step 2, accuracy from task loss, a sigmoid: {curve}. Signal to noise {found.signal_to_noise:.3g}: a run "
        f"scatters by {found.scatter:.3f} about the curve.",
        *said,
    ]
    if best < found.chance + 0.75 * (found.parameters["ceiling"] - found.chance):
        ceiling = found.parameters["ceiling"]
        words.append(
            f"Warning: the best run scores {best:.3f}, far below the fitted ceiling of {ceiling:.3f}: "
            "no run shows where accuracy levels off, and predictions near it are a guess."
        )
    rows = () if frame is None else tuple(
        (
            compute(r["flops"]),
            count(r["params"]),
            count(r["tokens"]),
            f"{r['loss']:.4f}",
            between(r["loss_low"], r["loss_high"], lambda v: f"{v:.4f}"),
            f"{r['accuracy']:.3f}",
            between(r["accuracy_low"], r["accuracy_high"]),
        )
        for r in frame.to_dict("records")
    )  # fmt: skip
    level = f"{found.level:.0%} interval"
    header = ("compute FLOPs", "params", "tokens", "task loss", level, "accuracy", level)
    record: dict[str, object] = {
        "task_loss": {"law": found.task_loss.law, "parameters": found.task_loss.parameters},
        "sigmoid": found.parameters,
        "signal_to_noise": found.signal_to_noise,
        "scatter": found.scatter,
        "level": found.level,
        "predictions": [] if frame is None else frame.replace({np.nan: None}).to_dict("records"),
    }
    return Section("The task in two steps", header, rows, tuple(words)), record
