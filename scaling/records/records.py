"""The record that each run leaves behind, and the records of a sweep as one table.

Records are all that passes from training to analysis. Imports no torch.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scaling.errors import UserError
from scaling.records.files import (
    Damaged,
    JsonObject,
    digest,
    read_json,
    set_aside,
    write_atomically,
    write_json,
)
from scaling.records.folder import FAILED, RECORD, RECORDS_TABLE, VALIDATION_LOSSES

log = logging.getLogger(__name__)

SCHEMA_VERSION = 2
FILES = "files"
"""Key of `record.json` for the checksums of the run's other files."""


@dataclass(frozen=True, kw_only=True)
class PlannedFacts:
    """What is known of a run before it trains."""

    # identity
    run_id: str
    trunk_id: str
    """The training job: its runs branch from one trunk, so that their losses are not independent."""
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
    entropy_nats: float | None
    """Irreducible loss of the corpus, nats a token, where it is known exactly."""
    tokenizer: str
    tokens: int
    """Training tokens of the run as if trained alone."""
    unique_tokens: int
    epochs: float
    batch_tokens: int
    """Tokens of the last optimizer step, the largest: the batch may grow with the tokens seen."""
    micro_batch_tokens: int
    """Tokens of a forward pass on each device; it changes the loss by rounding alone."""
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
    """All matrix products, those of attention and head too, forward and backward."""


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """What a run came to: its status, its loss and its measured cost. None means not measured, never zero."""

    status: str
    """done, diverged or failed."""
    reason: str | None
    """Why a run is not done."""
    retried: str | None = None
    """What an earlier attempt at the run failed of, and what was changed."""

    # loss
    loss_nats: float | None = None
    """Validation loss, nats a token."""
    loss_se_nats: float | None = None
    """Its standard error from the finite validation set."""
    bits_per_byte: float | None = None
    validation_tokens: int = 0

    # cost
    tokens_spent: int = 0
    """Tokens trained for this run and no earlier one of its job."""
    wall_seconds: float | None = None
    """Training seconds of the run as if trained alone."""
    seconds_spent: float | None = None
    """Training seconds for this run and no earlier one of its job."""
    tokens_per_second: float | None = None
    achieved_flops_per_second: float | None = None
    matmul_peak_flops_per_second: float | None = None
    """The device's matmul peak, measured in the same process and precision."""
    peak_memory_bytes_predicted: int | None = None
    peak_memory_bytes_measured: int | None = None
    """Bytes of live tensors at the peak on the CPU; `max_memory_allocated` on CUDA."""
    peak_memory_bytes_reserved: int | None = None
    """`max_memory_reserved` on CUDA."""
    device: str | None = None
    devices: int | None = None
    threads: int | None = None
    versions: str | None = None
    """Python, torch and lightning."""


@dataclass(frozen=True, kw_only=True)
class RunRecord(PlannedFacts, RunOutcome):
    """One run: what was planned and what came of it."""

    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of(cls, planned: PlannedFacts, outcome: RunOutcome) -> "RunRecord":
        """The record of a planned run with its outcome."""
        return cls(**vars(planned), **vars(outcome))

    def flat(self) -> JsonObject:
        """The record's values by `KEYS`, as JSON and tables hold them."""
        return {key: getattr(self, key) for key in KEYS}


KEYS = (
    "run_id", "trunk_id", "status", "reason", "identity", "code_version", "seed", "budget_flops", "budget_convention",
    "width", "depth", "heads", "kv_heads", "head_width", "ffn_width", "ffn", "vocab_size", "context", "tied_head",
    "qk_norm", "params_total", "params_non_embedding", "params_embedding", "params_attention", "params_ffn",
    "params_norms", "params_head", "corpus", "corpus_fingerprint", "tokenizer", "tokens", "tokens_spent",
    "unique_tokens", "epochs", "batch_tokens", "micro_batch_tokens", "steps", "optimizer", "schedule", "lr",
    "warmup_tokens", "precision", "train_flops_6nd", "train_flops_exact", "loss_nats", "loss_se_nats",
    "bits_per_byte", "entropy_nats", "validation_tokens", "wall_seconds", "seconds_spent", "tokens_per_second",
    "achieved_flops_per_second", "matmul_peak_flops_per_second", "peak_memory_bytes_predicted",
    "peak_memory_bytes_measured", "peak_memory_bytes_reserved", "device", "devices", "threads", "versions", "retried",
    "schema_version",
)  # fmt: skip
"""The keys of `record.json` and columns of `records.csv`, in their order, which never changes within a schema."""


def write_record(record: RunRecord, folder: Path, files: Sequence[str] = (), name: str = RECORD) -> None:
    """Write a run's record into its folder, with the checksums of the run's other `files` there."""
    digests = {file: digest(folder / file) for file in files}
    write_json(folder / name, {**record.flat(), FILES: digests})
    if name == RECORD:
        (folder / FAILED).unlink(missing_ok=True)


def read_record(path: Path) -> RunRecord:
    """Read one record, after checking it and the files that belong to it.

    Raises:
        Damaged: one line naming the file, when the record or a file of its run is not what was written.
        UserError: for a whole record of another version of this program.
    """
    values = read_json(path)
    if values.get("schema_version") != SCHEMA_VERSION:
        raise UserError(
            f"{path}: record of schema {values.get('schema_version')}, this version reads schema {SCHEMA_VERSION}; "
            "choose another name= or go back to the version that wrote it"
        )
    digests = values.pop(FILES, None)
    if not isinstance(digests, dict) or values.keys() != set(KEYS):
        odd = sorted(values.keys() ^ set(KEYS)) or [FILES]
        raise Damaged(f"{path}: not a run record (missing or unknown: {', '.join(odd)})")
    for name, stated in digests.items():
        file = path.parent / name
        if not file.is_file():
            raise Damaged(f"{file}: missing, though the run's record names it")
        if digest(file) != stated:
            raise Damaged(f"{file}: damaged (its checksum does not match the run's record)")
    return RunRecord(**values)


def read_or_set_aside(path: Path) -> RunRecord | None:
    """Read a record; None where there is none. A damaged one is set aside, with a warning that names it.

    Raises:
        UserError: for a whole record of another version of this program.
    """
    if not path.is_file():
        return None
    try:
        return read_record(path)
    except Damaged as error:
        aside = set_aside(path)
        log.warning("%s; its record is set aside as %s, and the run is trained again", error, aside)
        return None


def load_sweep(folder: str | Path) -> pd.DataFrame:
    """A sweep as one table with a row for each run, ordered by size and tokens.

    Reads every `record.json` under the folder, and `failed.json` of runs without one; where there are neither, the
    `records.csv` of a published study.

    Adds `loss_se_paired_nats`: the standard error of the difference between a run's loss and the best run's, on the
    same validation windows. It is the error that counts when runs are compared: the sampling error that all runs share
    moves the level of the loss curve, not its shape.

    Raises:
        UserError: when the folder is missing, holds no records, or a damaged one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; train a sweep there first or name another")
    paths = sorted(folder.glob(f"**/{RECORD}"))
    paths += sorted(path for path in folder.glob(f"**/{FAILED}") if not path.with_name(RECORD).exists())
    if not paths:
        if (folder / RECORDS_TABLE).is_file():
            return pd.read_csv(folder / RECORDS_TABLE)
        raise UserError(f"{folder}: no run records in it; is it the folder of a sweep (runs/NAME)?")
    try:
        records = [read_record(path) for path in paths]
    except Damaged as error:
        raise UserError(
            f"{error}; the command that trained this study sets it aside and trains it again"
        ) from error
    frame = pd.DataFrame([record.flat() for record in records])
    frame["loss_se_paired_nats"] = _paired_errors(frame, paths)
    return frame.sort_values(["params_total", "tokens", "seed"], kind="stable").reset_index(drop=True)


def _paired_errors(frame: pd.DataFrame, paths: list[Path]) -> list[float | None]:
    done = frame["loss_nats"].notna()
    if not done.any():
        return [None] * len(frame)
    losses = [
        # A pickle could hold code, so that it is refused even if its checksum is right.
        np.load(path.parent / VALIDATION_LOSSES, allow_pickle=False)
        if (path.parent / VALIDATION_LOSSES).is_file()
        else None
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
    path = folder / RECORDS_TABLE
    write_atomically(path, frame.to_csv(index=False).encode())
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return path
    write_atomically(path.with_suffix(".parquet"), frame.to_parquet(index=False))
    return path
