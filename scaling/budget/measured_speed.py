"""The speed of the user's own runs beside the estimate, so that a budget can start from what was measured."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any, cast

import yaml

from scaling.accounting.device import Device
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import Optimizer, Precision, TrainingRecipe
from scaling.accounting.roofline import Kernels
from scaling.accounting.timing import calibration, step_time
from scaling.errors import UserError
from scaling.records.folder import RECORD, RECORDS_TABLE
from scaling.shape.shape import ModelShape

SHAPE_FIELDS = ("width", "depth", "heads", "kv_heads", "head_width", "ffn_width", "ffn", "vocab_size", "context",
                "tied_head", "qk_norm")  # fmt: skip
"""Fields of a shape that a record holds."""
Record = dict[str, Any]
"""A run's record: values as JSON has them, or as text where they come from a CSV file."""


@dataclass(frozen=True, kw_only=True)
class MeasuredSpeed:
    """Speed of one measured run over the estimate of the same run."""

    run_id: str
    factor: float
    """What `Device.speed_calibration` takes."""


def measured_speed(folder: str, params: float, device: Device, kernels: Kernels) -> MeasuredSpeed:
    """The run under a folder (runs/NAME) that comes nearest in size to `params`, beside its estimate on `device`.

    Raises:
        UserError: no such folder, or no finished run with a measured speed in it.
    """
    runs = [run for run in _finished_runs(Path(folder)) if run.get("tokens_per_second") not in (None, "")]
    runs = [run for run in runs if float(run["tokens_per_second"])]
    if not runs:
        raise UserError(
            f"measured_run={folder}: no finished run with a measured speed in it; name the folder of a sweep or of a "
            "run (runs/NAME), or give measured_tokens_per_second"
        )
    nearest = min(runs, key=lambda run: abs(log(float(run["params_total"]) / params)))
    # YAML reads the text of a CSV file as the types that a JSON file has.
    shape = ModelShape(**{name: yaml.safe_load(str(nearest[name])) for name in SHAPE_FIELDS})
    devices = int(nearest["devices"])
    sequences = max(1, round(float(nearest["batch_tokens"]) / shape.context / devices))
    # A device without a 16-bit peak is estimated in float32: the factor then holds what 16 bits gained the run.
    precision = nearest["precision"] if {"bf16", "fp16"} & set(device.peak_flops) else "32-true"
    recipe = TrainingRecipe(
        precision=cast(Precision, precision),
        optimizer=cast(Optimizer, nearest["optimizer"]),
        runtime="torch_cpu" if device.name == "cpu" else "torch",
    )
    estimated = step_time(shape, Layout(data=devices, micro_batch=sequences), device, recipe, kernels=kernels)
    factor = calibration(estimated, float(nearest["tokens_per_second"]))
    return MeasuredSpeed(run_id=nearest["run_id"], factor=factor)


def _finished_runs(folder: Path) -> list[Record]:
    """Every record.json under the folder that says done, else such rows of the records.csv of a published study."""
    if not folder.is_dir():
        raise UserError(
            f"measured_run={folder}: no such folder; give that of a sweep or of a run (runs/NAME)"
        )
    records: list[Record] = [json.loads(path.read_text()) for path in sorted(folder.glob(f"**/{RECORD}"))]
    table = folder / RECORDS_TABLE
    if not records and table.is_file():
        with table.open(newline="") as file:
            records = list(csv.DictReader(file))
    return [record for record in records if record.get("status") == "done"]
