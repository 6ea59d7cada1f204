"""What a run leaves behind: one `record.json`, and a sweep's records as one table.

The records are all that passes from training to analysis. Imports no torch.
"""

import json
import os
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

SCHEMA_VERSION = 1
RECORD = "record.json"
TABLE = "records.csv"
VALIDATION_LOSSES = "validation.npy"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One trained run. Null means not measured, never zero."""

    # identity
    run_id: str
    trunk_id: str
    """Training job; runs that share it branched from one trunk and are not independent."""
    status: str
    """done, diverged or failed."""
    reason: str | None
    """Why a run is not done."""
    identity: str
    """Hash of the resolved config, corpus and seed: equal identities train to the same loss."""
    code_version: str
    seed: int
    budget_flops: float | None
    """Compute budget that the run belongs to, in FLOPs by `budget_convention`."""
    budget_convention: str | None

    # shape
    width: int
    depth: int
    heads: int
    kv_heads: int
    head_width: int
    ffn_width: int
    ffn: str
    vocab_size: int
    context: int
    tied_head: bool
    qk_norm: bool
    params_total: int
    params_non_embedding: int
    params_embedding: int
    params_attention: int
    params_ffn: int
    params_norms: int
    params_head: int

    # data and recipe
    corpus: str
    corpus_fingerprint: str
    tokenizer: str
    tokens: int
    """Training tokens of the run as if trained alone."""
    tokens_spent: int
    """Tokens trained for this run and no earlier one of its job."""
    unique_tokens: int
    epochs: float
    batch_tokens: int
    steps: int
    optimizer: str
    schedule: str
    lr: float
    warmup_tokens: float
    precision: str

    # compute
    train_flops_6nd: float
    """6 * params_total * tokens."""
    train_flops_exact: float
    """Matrix products with attention and head, forward and backward."""

    # outcome
    loss_nats: float | None
    """Validation loss, nats a token."""
    loss_se_nats: float | None
    """Its standard error from the finite validation set."""
    bits_per_byte: float | None
    entropy_nats: float | None
    """Irreducible loss of the corpus, where it is known exactly."""
    validation_tokens: int

    # cost
    wall_seconds: float
    """Training seconds of the run as if trained alone."""
    seconds_spent: float
    tokens_per_second: float | None
    achieved_flops_per_second: float | None
    matmul_peak_flops_per_second: float | None
    """The device's matmul peak, measured in the same process and precision."""
    peak_memory_bytes_predicted: int | None
    peak_memory_bytes_measured: int | None
    """Live tensor bytes on the CPU; max_memory_allocated on CUDA."""
    peak_memory_bytes_reserved: int | None
    """CUDA's max_memory_reserved."""
    device: str
    devices: int
    threads: int
    versions: str
    """Python, torch and lightning."""
    schema_version: int = SCHEMA_VERSION


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, and durably: another file never stands half-written in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_record(record: RunRecord, folder: Path) -> None:
    """Put a run's record into its folder, atomically."""
    write_atomically(folder / RECORD, json.dumps(asdict(record), indent=1, allow_nan=False).encode())


def read_record(path: Path) -> RunRecord:
    """Read one record.

    Raises:
        ValueError: one line, when the file is not a whole record of this schema.
    """
    try:
        values: Any = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: not a run record ({error}); delete it and the run is trained again"
        ) from error
    if not isinstance(values, dict) or values.get("schema_version") != SCHEMA_VERSION:
        found = values.get("schema_version") if isinstance(values, dict) else type(values).__name__
        raise ValueError(f"{path}: record of schema {found}, this version reads schema {SCHEMA_VERSION}")
    expected = {field.name for field in fields(RunRecord)}
    if missing := sorted(expected - values.keys()):
        raise ValueError(
            f"{path}: record without {', '.join(missing)}; delete it and the run is trained again"
        )
    if unknown := sorted(values.keys() - expected):
        raise ValueError(f"{path}: record with unknown {', '.join(unknown)}")
    return RunRecord(**values)


def load_sweep(folder: str | Path) -> pd.DataFrame:
    """A sweep as one table, a row a run, ordered by size and tokens.

    Reads every `record.json` under the folder; where there are none, the `records.csv` of a published study.
    `loss_se_paired_nats` is added: the standard error of a run's loss against the best run's on the same
    validation windows, which is what counts when runs are compared (the sampling error common to all of them
    moves the level of the curve, not its shape).

    Raises:
        ValueError: when the folder is missing or holds no records.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; train a sweep there first or name another")
    paths = sorted(folder.glob(f"**/{RECORD}"))
    if not paths:
        if (folder / TABLE).is_file():
            return pd.read_csv(folder / TABLE)
        raise ValueError(f"{folder}: no run records in it; is it the folder of a sweep (runs/NAME)?")
    records = [read_record(path) for path in paths]
    frame = pd.DataFrame([asdict(record) for record in records])
    frame["loss_se_paired_nats"] = _paired_errors(frame, paths)
    return frame.sort_values(["params_total", "tokens", "seed"], kind="stable").reset_index(drop=True)


def _paired_errors(frame: pd.DataFrame, paths: list[Path]) -> list[float | None]:
    import numpy as np

    done = frame["loss_nats"].notna()
    if not done.any():
        return [None] * len(frame)
    losses = [
        np.load(path.parent / VALIDATION_LOSSES) if (path.parent / VALIDATION_LOSSES).is_file() else None
        for path in paths
    ]
    best = losses[int(frame["loss_nats"].to_numpy(dtype=float, na_value=np.inf).argmin())]
    result: list[float | None] = []
    for values in losses:
        if values is None or best is None or values.shape != best.shape:
            result.append(None)
        else:
            result.append(float(np.std(values - best, ddof=1) / np.sqrt(len(values))))
    return result


def write_table(frame: pd.DataFrame, folder: Path) -> Path:
    """Write a sweep's table as CSV, and as Parquet beside it where pyarrow is installed; returns the CSV's path."""
    path = folder / TABLE
    write_atomically(path, frame.to_csv(index=False).encode())
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return path
    frame.to_parquet(path.with_suffix(".parquet"), index=False)
    return path
