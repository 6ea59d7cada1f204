"""How far a training job is: what it reports, the file that keeps the report, and what its user sees.

A job writes its progress into its folder, so that other processes can show it, whichever launcher started the job.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from analysis.formats import duration, short_count
from scaling.records.folder import PROGRESS, RECORD
from scaling.records.records import RunRecord


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a job reports of itself while it trains."""

    step: int
    """Optimizer steps done, of all its runs."""
    steps: int
    """Optimizer steps to do."""
    tokens_per_second: float
    loss: float
    """Mean training loss of the latest steps, nats a token."""
    seconds_left: float
    """Time to the end at the speed so far; NaN before there is a speed."""
    runs_done: int
    runs: int


def progress_file(folder: Path) -> Callable[[Progress], None]:
    """A function that writes a job's progress into its folder, for `read_progress` in other processes."""

    def report(progress: Progress) -> None:
        temporary = folder / f".{PROGRESS}"
        temporary.write_text(json.dumps(asdict(progress)))
        temporary.replace(folder / PROGRESS)

    return report


def read_progress(folder: Path) -> Progress | None:
    """What a job last reported; None where it has not begun, has just ended, or its file is damaged."""
    try:
        values = json.loads((folder / PROGRESS).read_text())
        numbers = all(isinstance(value, int | float) for value in values.values())
        return Progress(**values) if numbers else None
    except (OSError, ValueError, AttributeError, TypeError):
        return None


@contextmanager
def report_job(name: str) -> Iterator[Callable[[Progress], None]]:
    """A progress bar for one job on the terminal; where there is no terminal, a line every ten seconds."""
    console = Console(stderr=True)
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
    )
    with ProgressBar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, text="starting")
        last_line = time.monotonic()

        def report(progress: Progress) -> None:
            nonlocal last_line
            text = f"{short_count(progress.tokens_per_second)} tokens/s  loss {progress.loss:.4f} nats"
            bar.update(task, total=progress.steps, completed=progress.step, text=text)
            if not console.is_terminal and time.monotonic() - last_line >= 10:
                last_line = time.monotonic()
                left = duration(progress.seconds_left)
                console.print(f"{name}: step {progress.step}/{progress.steps}, {text}, {left} left")

        yield report


def print_records(records: list[RunRecord], folder: Path) -> None:
    """Print what came of each run of a job: loss, model, data, compute, speed and memory."""
    console = Console()
    for record in records:
        memory = record.peak_memory_bytes_measured
        rate, peak = record.achieved_flops_per_second, record.matmul_peak_flops_per_second
        loss = (
            f"{record.status}: {record.reason}"
            if record.loss_nats is None
            else f"{record.loss_nats:.4f} ± {record.loss_se_nats:.4f} nats/token, {record.bits_per_byte:.4f} bits/byte"
        )
        rows = {
            "loss": loss,
            "model": f"{record.params_total:,} parameters ({record.params_non_embedding:,} non-embedding), "
            f"{record.width} × {record.depth}",
            "data": f"{record.tokens:,} tokens of {record.corpus}, {record.epochs:.2f} epochs"
            + (" (text was repeated)" if record.epochs > 1 else ""),
            "compute": f"{record.train_flops_exact:.3g} FLOPs exact, {record.train_flops_6nd:.3g} by 6ND",
            "speed": "not measured"
            if record.tokens_per_second is None or rate is None or not peak or record.wall_seconds is None
            else f"{short_count(record.tokens_per_second)} tokens/s, {rate / 1e9:.3g} GFLOP/s, "
            f"{rate / peak:.0%} of the matmul peak, {duration(record.wall_seconds)}",
            "memory": "not measured"
            if memory is None
            else f"{memory / 2**20:.1f} MiB at the peak"
            + (
                ""
                if record.peak_memory_bytes_predicted is None
                else f" (predicted {record.peak_memory_bytes_predicted / 2**20:.1f})"
            ),
        }
        for name, text in rows.items():
            console.print(f"[bold]{name:8}[/] {text}", highlight=False)
        console.print(f"[bold]record[/]   {folder / record.run_id / RECORD}", highlight=False, soft_wrap=True)
