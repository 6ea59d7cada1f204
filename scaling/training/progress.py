"""What a user sees while models train: a progress line for one job, a live table for a sweep.

Jobs tell where they stand through `progress.json` in their folders, so that the display works whichever launcher
carries the jobs, and from another terminal as well.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from analysis.formats import duration, short_count
from scaling.records.records import RECORD, RunRecord
from scaling.training.job import PROGRESS


def progress_file(folder: Path) -> Callable[[Any], None]:
    """A reporter that leaves a job's progress in its folder."""

    def report(progress: Any) -> None:
        temporary = folder / f".{PROGRESS}"
        temporary.write_text(json.dumps(asdict(progress)))
        temporary.replace(folder / PROGRESS)

    return report


@contextmanager
def report_job(name: str) -> Iterator[Callable[[Any], None]]:
    """A progress bar for one job on the terminal; plain lines where there is none."""
    console = Console(stderr=True)
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, text="starting")
        last_line = time.monotonic()

        def report(progress: Any) -> None:
            nonlocal last_line
            text = f"{short_count(progress.tokens_per_second)} tokens/s  loss {progress.loss:.4f} nats"
            bar.update(task, total=progress.steps, completed=progress.step, text=text)
            if not console.is_terminal and time.monotonic() - last_line >= 10:
                last_line = time.monotonic()
                left = duration(progress.seconds_left)
                console.print(f"{name}: step {progress.step}/{progress.steps}, {text}, {left} left")

        yield report


def print_records(records: list[RunRecord], folder: Path) -> None:
    """What a training job came to, a few lines a run."""
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


class SweepDisplay:
    """Live view of a sweep: runs and FLOPs done, time left, and each job under way."""

    def __init__(self, folder: Path, jobs: dict[str, list[tuple[str, float]]]) -> None:
        """`jobs`: for each job's folder name, its runs as (run folder name, FLOPs spent on it)."""
        self.folder, self.jobs = folder, jobs
        self.total_flops = sum(flops for runs in jobs.values() for _, flops in runs)
        self.total_runs = sum(len(runs) for runs in jobs.values())
        self.console = Console(stderr=True)
        self._stop = threading.Event()
        self._started = time.monotonic()
        self._flops_before = self._state()[1]
        self._announced: set[Path] = set()

    def _state(self) -> tuple[int, float, list[tuple[str, dict[str, Any]]]]:
        """Runs recorded, FLOPs done, and the progress of jobs under way."""
        recorded, flops, active = 0, 0.0, []
        for job, runs in self.jobs.items():
            left = 0.0
            for run, cost in runs:
                if (self.folder / job / run / RECORD).is_file():
                    recorded += 1
                    flops += cost
                else:
                    left += cost
            path = self.folder / job / PROGRESS
            if left and path.is_file():
                try:
                    progress = json.loads(path.read_text())
                except (OSError, json.JSONDecodeError):  # between two writes of a job that just ended
                    continue
                job_flops = sum(cost for _, cost in runs)
                flops += max(
                    0.0, job_flops * progress["step"] / max(1, progress["steps"]) - (job_flops - left)
                )
                active.append((job, progress))
        return recorded, flops, active

    def render(self) -> Group:
        recorded, flops, active = self._state()
        elapsed = time.monotonic() - self._started
        rate = (flops - self._flops_before) / elapsed if elapsed > 1 else 0.0
        left = (self.total_flops - flops) / rate if rate > 0 else float("nan")
        speed = sum(progress["tokens_per_second"] for _, progress in active)
        head = (
            f"[bold]{recorded}[/]/{self.total_runs} runs  "
            f"[bold]{flops / self.total_flops:.0%}[/] of {self.total_flops:.3g} FLOPs  "
            f"{short_count(speed)} tokens/s  {duration(elapsed)} gone, "
            f"[bold]{duration(left)}[/] left"
        )
        table = Table(box=None, padding=(0, 2), show_header=bool(active), header_style="dim")
        for column in ("training", "step", "runs", "loss", "tokens/s"):
            table.add_column(column, justify="left" if column == "training" else "right")
        for job, progress in active:
            table.add_row(
                job,
                f"{progress['step']}/{progress['steps']}",
                f"{progress['runs_done']}/{progress['runs']}",
                f"{progress['loss']:.4f}",
                short_count(progress["tokens_per_second"]),
            )
        return Group(head, table)

    def _announce(self) -> None:
        """A line for each run recorded since the last look; on a terminal, for those that are not done."""
        for job, runs in self.jobs.items():
            for run, _ in runs:
                path = self.folder / job / run / RECORD
                if path not in self._announced and path.is_file():
                    record = json.loads(path.read_text())
                    self._announced.add(path)
                    if self.console.is_terminal and record["status"] == "done":
                        continue
                    loss = record["loss_nats"]
                    text = f"{record['status']}: {record['reason']}" if loss is None else f"{loss:.4f} nats"
                    self.console.print(
                        f"[{len(self._announced)}/{self.total_runs}] {run}: {text}", highlight=False
                    )

    def __enter__(self) -> "SweepDisplay":
        if self.console.is_terminal:
            self._live = Live(
                get_renderable=self.render, console=self.console, refresh_per_second=2, transient=True
            )
            self._live.start()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(1.0):
            self._announce()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._announce()
        if self.console.is_terminal:
            self._live.stop()
