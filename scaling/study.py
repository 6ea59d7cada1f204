"""What a sweep prints and leaves: its plan before it starts; its tables, fit and figures at its end."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from scaling.display import format_count, format_seconds
from scaling.records import load_sweep, write_atomically, write_table

if TYPE_CHECKING:
    from scaling.config import SweepConfig
    from scaling.sweep import PlannedJob

CONFIG = "config.yaml"


def write_config(config: "SweepConfig", folder: Path) -> None:
    """Leave the study's resolved config in its folder."""
    write_atomically(folder / CONFIG, OmegaConf.to_yaml(OmegaConf.structured(config)).encode())


def print_plan(config: "SweepConfig", planned: "list[PlannedJob]", waiting: "list[PlannedJob]") -> None:
    """Say what will be trained, before it is."""
    console = Console(stderr=True)
    runs = sum(len(job.job.tokens) for job in planned)
    sizes = sorted({job.job.params_total for job in planned})
    flops = sum(sum(job.job.flops_spent) for job in waiting)
    done = sum(record is not None for job in planned for record in job.job.recorded())
    console.print(
        f"[bold]{config.name}[/]: {runs} runs of {len(sizes)} sizes, {format_count(sizes[0])}–{format_count(sizes[-1])} "
        f"parameters, on {config.design.budgets} compute budgets from {config.design.min_flops:.3g} to "
        f"{config.design.max_flops:.3g} FLOPs; {len(planned)} training jobs",
        highlight=False,
    )
    if done:
        console.print(f"{done} runs are recorded already; {runs - done} to train", highlight=False)
    if waiting:
        console.print(f"to train: {flops:.3g} FLOPs (exact count, with attention and head)", highlight=False)


def conclude(config: "SweepConfig", planned: "list[PlannedJob]", failures: dict[str, str]) -> int:
    """Collect the records, analyse them, print tables and write figures; returns how many runs are not done."""
    console = Console()
    missing = [
        (job.name, folder.name)
        for job in planned
        for folder, record in zip(job.job.run_folders, job.job.recorded(), strict=True)
        if record is None
    ]
    for job, reason in failures.items():
        console.print(f"[red]failed[/] {job}: {reason}", highlight=False)
    if len(missing) == sum(len(job.job.tokens) for job in planned):
        raise ValueError(f"{config.folder}: no run was trained; see the reasons above")
    table = load_sweep(config.folder)
    write_table(table, config.folder)
    print_runs(console, table)
    analyse(console, config.folder)
    unfinished = len(missing) + int((table["status"] != "done").sum())
    if unfinished:
        console.print(
            f"[red]{unfinished} planned runs are not done[/]; the same command trains what is missing"
        )
    return unfinished


def print_runs(console: Console, runs: Any) -> None:
    """The runs as a table, by budget and size."""
    table = Table(title="runs", title_justify="left", header_style="bold")
    for column in (
        "budget FLOPs",
        "parameters",
        "width×depth",
        "tokens",
        "tokens/param",
        "loss",
        "± se",
        "bits/byte",
    ):
        table.add_column(column, justify="right")
    table.add_column("tokens/s", justify="right")
    table.add_column("peak memory", justify="right")
    table.add_column("status")
    previous = None
    for row in runs.sort_values(["budget_flops", "params_total", "seed"]).itertuples():
        if previous is not None and row.budget_flops != previous:
            table.add_section()
        previous = row.budget_flops
        known = row.loss_nats == row.loss_nats and row.loss_nats is not None
        table.add_row(
            f"{row.budget_flops:.3g}",
            f"{row.params_total:,}",
            f"{row.width}×{row.depth}",
            format_count(row.tokens),
            f"{row.tokens / row.params_total:.1f}",
            f"{row.loss_nats:.4f}" if known else "–",
            f"{row.loss_se_nats:.4f}" if known else "–",
            f"{row.bits_per_byte:.4f}" if known else "–",
            format_count(row.tokens_per_second) if row.tokens_per_second == row.tokens_per_second else "–",
            f"{row.peak_memory_bytes_measured / 2**20:.1f} MiB"
            if row.peak_memory_bytes_measured == row.peak_memory_bytes_measured
            else "–",
            row.status + (f" ({row.epochs:.1f} epochs)" if row.epochs > 1 else ""),
        )
    console.print(table)
    console.print(f"trained in {format_seconds(runs['seconds_spent'].sum())} of job time")


def analyse(console: Console, folder: Path) -> None:
    """Fit the study and leave tables and figures beside its records."""
