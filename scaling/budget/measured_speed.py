"""The speed of one's own runs beside the estimate, so that a budget can start from what was measured."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, fields
from math import log
from pathlib import Path
from typing import Any

from scaling.accounting.device import Device
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.roofline import Kernels
from scaling.accounting.timing import calibration, step_time
from scaling.errors import UserError
from scaling.records.folder import RECORD, RECORDS_TABLE
from scaling.shape.shape import ModelShape


@dataclass(frozen=True, kw_only=True)
class MeasuredSpeed:
    """One measured run beside the estimate of the same run."""

    run_id: str
    params: float
    tokens_per_second: float
    factor: float
    """Measured over estimated speed: what `Device.speed_calibration` takes."""


def measured_speed(folder: str, params: float, device: Device, kernels: Kernels) -> MeasuredSpeed:
    """The run under a folder (runs/NAME) that comes nearest in size to `params`, beside its estimate on `device`.

    Raises:
        UserError: no such folder, or no finished run with a measured speed in it.
    """
    runs = [run for run in _records(Path(folder)) if _number(run.get("tokens_per_second"))]
    if not runs:
        raise UserError(
            f"measured_run={folder}: no finished run with a measured speed in it; name the folder of a sweep or of a "
            "run (runs/NAME), or give measured_tokens_per_second"
        )
    nearest = min(runs, key=lambda run: abs(log(float(run["params_total"]) / params)))
    speed = float(nearest["tokens_per_second"])
    shape = ModelShape(**{name: _typed(nearest[name]) for name in _SHAPE_FIELDS})
    devices = int(nearest["devices"])
    sequences = max(1, round(float(nearest["batch_tokens"]) / shape.context / devices))
    # On a device without 16-bit units the factor holds what the run gained by those that its processor had.
    precision = nearest["precision"] if {"bf16", "fp16"} & set(device.peak_flops) else "32-true"
    recipe = TrainingRecipe(
        precision=precision,  # type: ignore[arg-type]
        optimizer=nearest["optimizer"],
        runtime="torch_cpu" if device.name == "cpu" else "torch",
    )
    estimated = step_time(shape, Layout(data=devices, micro_batch=sequences), device, recipe, kernels=kernels)
    return MeasuredSpeed(
        run_id=nearest["run_id"],
        params=float(nearest["params_total"]),
        tokens_per_second=speed,
        factor=calibration(estimated, speed),
    )


_SHAPE_FIELDS = ("width", "depth", "heads", "kv_heads", "head_width", "ffn_width", "ffn", "vocab_size", "context",
                 "tied_head", "qk_norm")  # fmt: skip
assert set(_SHAPE_FIELDS) <= {field.name for field in fields(ModelShape)}


def _records(folder: Path) -> list[dict[str, Any]]:
    """Finished runs: every record.json under the folder, else the records.csv of a published study."""
    if not folder.is_dir():
        raise UserError(
            f"measured_run={folder}: no such folder; give that of a sweep or of a run (runs/NAME)"
        )
    records: list[dict[str, Any]] = [
        json.loads(path.read_text()) for path in sorted(folder.glob(f"**/{RECORD}"))
    ]
    table = folder / RECORDS_TABLE
    if not records and table.is_file():
        with table.open(newline="") as file:
            records = list(csv.DictReader(file))
    return [record for record in records if record.get("status") == "done"]


def _number(value: object) -> float | None:
    return float(value) if value not in (None, "") else None  # type: ignore[arg-type]


def _typed(value: Any) -> Any:
    """A value of records.csv as the type that it has in record.json."""
    if not isinstance(value, str):
        return value
    if value in ("True", "False"):
        return value == "True"
    return int(value) if value.isdigit() else value
