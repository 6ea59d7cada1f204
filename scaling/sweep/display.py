"""How a sweep's state is shown: one table, for `scaling status` and for the terminal that runs `scaling sweep`."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from analysis.formats import duration, short_count
from scaling.errors import UserError
from scaling.sweep.status import JobStatus, RunStatus, State, SweepStatus, read_status

LOOK_SECONDS = 1.0
"""Time between two looks at a sweep that is shown while it trains."""
LINES_AROUND = 6
"""Lines of the terminal that are kept for what stands above and below the jobs."""
STYLES: dict[State, str] = {
    "done": "green",
    "training": "bold",
    "failed": "red",
    "damaged": "red",
    "interrupted": "yellow",
}
SHOWN_FIRST: tuple[State, ...] = ("failed", "damaged", "training", "interrupted", "waiting", "done")
"""The order in which jobs are shown where there is no room for all."""
COUNTED: tuple[State, ...] = ("done", "training", "interrupted", "waiting", "failed", "damaged")
"""The order in which the first line counts jobs."""


def render(status: SweepStatus, most_rows: int | None = None, elapsed_seconds: float | None = None) -> Group:
    """A sweep's state for the terminal: a line for the whole, a row for each job, and below why some are not done.

    Args:
        status: the state to show.
        most_rows: how many jobs to show, those of `SHOWN_FIRST`; None: all.
        elapsed_seconds: how long the sweep has been running; None: not known.
    """
    jobs = list(status.jobs)
    if most_rows is not None and len(jobs) > most_rows:
        jobs = sorted(jobs, key=lambda job: SHOWN_FIRST.index(job.state))[:most_rows]
    more = [f"… and {len(status.jobs) - len(jobs)} more jobs"] if len(jobs) < len(status.jobs) else []
    reasons = [
        f"[red]{job.name}[/]: {escape(job.reasons)}"
        for job in jobs
        if job.reasons and job.state != "training"
    ]
    return Group(_headline(status, elapsed_seconds), _table(jobs), *more, *reasons)


def _headline(status: SweepStatus, elapsed_seconds: float | None) -> str:
    runs, recorded = status.runs, sum(job.runs_recorded for job in status.jobs)
    flops, done = sum(run.flops for run in runs), sum(job.flops_done for job in status.jobs)
    counts = ", ".join(f"{number} {state}" for state in COUNTED if (number := status.count(state)))
    parts = [
        f"[bold]{status.name}[/]: [bold]{recorded}[/]/{len(runs)} runs, "
        f"[bold]{done / flops:.0%}[/] of {flops:.3g} FLOPs",
        f"jobs: {counts}",
    ]
    if status.tokens_per_second:
        parts.append(f"{short_count(status.tokens_per_second)} tokens/s")
    if elapsed_seconds is not None:
        parts.append(f"{duration(elapsed_seconds)} gone")
    if status.seconds_left is not None:
        parts.append(f"about {duration(status.seconds_left)} left")
    return "; ".join(parts)


def _table(jobs: list[JobStatus]) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    for column in ("job", "state", "runs", "step", "loss", "tokens/s", "where"):
        table.add_column(
            column, justify="left" if column in ("job", "state", "where") else "right", no_wrap=True
        )
    for job in jobs:
        progress, style = job.progress, STYLES.get(job.state)
        training = job.state == "training"
        table.add_row(
            job.name,
            f"[{style}]{job.state}[/]" if style else job.state,
            f"{job.runs_recorded}/{len(job.runs)}",
            f"{progress.step}/{progress.steps}" if progress else "",
            f"{progress.loss:.4f}" if progress else "",
            short_count(progress.tokens_per_second) if progress and training else "",
            f"{job.holder.host}:{job.holder.pid}" if job.holder and training else "",
        )
    return table


def rows_of(console: Console) -> int:
    """How many jobs a terminal has room for."""
    return max(1, console.height - LINES_AROUND)


def newly_recorded(before: SweepStatus, now: SweepStatus, everything: bool = True) -> list[str]:
    """A line for each run that was recorded between two looks: how many are recorded by then, its name, its loss.

    `everything`: also those that are done; otherwise those that diverged.
    """

    def recorded(status: SweepStatus) -> dict[tuple[str, str], RunStatus]:
        return {(job.name, run.name): run for job in status.jobs for run in job.runs if run.recorded}

    known = recorded(before)
    new = [run for key, run in recorded(now).items() if key not in known]
    return [
        f"[{number}/{len(now.runs)}] {run.name}: "
        + (f"{run.status}: {run.reason}" if run.loss_nats is None else f"{run.loss_nats:.4f} nats")
        for number, run in enumerate(new, start=len(known) + 1)
        if everything or run.status != "done"
    ]


@contextmanager
def show_sweep(folder: Path) -> Iterator[None]:
    """Show a sweep while it trains: its table on a terminal; elsewhere a line for each run that ends."""
    console = Console(stderr=True)
    terminal, started, ended = console.is_terminal, time.monotonic(), threading.Event()
    status = read_status(folder)

    def table() -> Group:
        return render(status, rows_of(console), time.monotonic() - started)

    def look() -> None:
        nonlocal status
        try:
            before, status = status, read_status(folder, status)
        except (OSError, UserError):
            return  # The sweep itself deals with what cannot be read; showing it must not end it.
        for line in newly_recorded(before, status, everything=not terminal):
            console.print(line, markup=False, highlight=False)
        if live is not None:
            live.update(table(), refresh=True)

    def keep_looking() -> None:
        while not ended.wait(LOOK_SECONDS):
            look()

    watcher = threading.Thread(target=keep_looking, daemon=True, name=f"display of {folder}")
    view = Live(table(), console=console, auto_refresh=False, transient=True) if terminal else nullcontext()
    with view as live:
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
            look()
