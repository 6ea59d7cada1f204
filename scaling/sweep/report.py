"""What a sweep prints and leaves: its plan before it starts; its tables, fit and figures at its end."""

from pathlib import Path

import pandas as pd
from omegaconf import OmegaConf
from rich import box
from rich.console import Console
from rich.table import Table

from analysis.formats import duration, short_count
from scaling.config.corpus import LexiconCorpus
from scaling.config.schema import SweepConfig
from scaling.errors import UserError
from scaling.fitting.keys import FitKeys
from scaling.records.files import write_atomically
from scaling.records.folder import RECORDS_TABLE, STUDY_CONFIG
from scaling.records.records import load_sweep, write_table
from scaling.sweep.plan import PlannedJob


def write_config(config: SweepConfig, folder: Path) -> None:
    """Leave the study's resolved config in its folder."""
    write_atomically(folder / STUDY_CONFIG, OmegaConf.to_yaml(OmegaConf.structured(config)).encode())


def print_plan(config: SweepConfig, planned: list[PlannedJob], waiting: list[PlannedJob]) -> None:
    """Say what will be trained, before it is."""
    console = Console(stderr=True)
    runs = sum(len(job.job.tokens) for job in planned)
    sizes = sorted({job.job.params_total for job in planned})
    flops = sum(sum(job.job.flops_spent) for job in waiting)
    done = sum(record is not None for job in planned for record in job.job.recorded())
    design = config.design
    asked = (
        "listed one by one"
        if design.runs
        else f"on {design.budgets} compute budgets from {design.min_flops:.3g} to {design.max_flops:.3g} FLOPs"
    )
    console.print(
        f"[bold]{config.name}[/]: {runs} runs of {len(sizes)} sizes, {short_count(sizes[0])} to "
        f"{short_count(sizes[-1])} parameters, {asked}; {len(planned)} training jobs",
        highlight=False,
    )
    if done:
        console.print(f"{done} runs are recorded already; {runs - done} to train", highlight=False)
    if waiting:
        console.print(f"to train: {flops:.3g} FLOPs (exact count, with attention and head)", highlight=False)


def conclude(config: SweepConfig, planned: list[PlannedJob], failures: dict[str, str]) -> int:
    """Collect the records, analyse them, print tables and write figures; returns how many runs are not done."""
    console = Console()
    for job, reason in failures.items():
        console.print(f"[red]failed[/] {job}: {reason}", highlight=False)
    runs = [record for job in planned for record in job.job.recorded()]
    missing = runs.count(None)
    if missing == len(runs):
        raise UserError(f"{config.folder}: no run was trained; see the reasons above")
    table = load_sweep(config.folder)
    write_table(table, config.folder)
    print_runs(console, table)
    if int((table["status"] == "done").sum()) >= 4:
        from scaling.fitting.report import fit_and_report  # matplotlib is slow to import

        fit_and_report(config.folder, FitKeys(), as_json=False)
    if table["entropy_nats"].notna().all():
        assert isinstance(config.corpus, LexiconCorpus)
        print_truth(console, table, config.corpus.a)
    for label, files in {"records": RECORDS_TABLE, "this study's config": STUDY_CONFIG}.items():
        console.print(f"{label}: {config.folder / files}", highlight=False)
    diverged = sum(record is not None and record.status != "done" for record in runs)
    if missing:
        console.print(
            f"[red]{missing} planned runs are not trained[/]; the same command trains them", highlight=False
        )
    if diverged:
        console.print(f"[red]{diverged} planned runs diverged[/]; see the last column above", highlight=False)
    return missing + diverged


def print_runs(console: Console, runs: pd.DataFrame) -> None:
    """The runs as a table, by budget and size; fits 80 columns."""
    table = Table(title="Runs", title_justify="left", box=None, padding=(0, 1), pad_edge=False)
    for column in ("FLOPs", "params", "shape", "tokens", "D/N", "loss ± se", "bits/B", "tok/s", "MiB"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")  # what a reader must know of a run: not done, or text seen more than once
    previous = None
    for row in runs.sort_values(["budget_flops", "params_total", "seed"]).to_dict("records"):
        if previous is not None and row["budget_flops"] != previous:
            table.add_section()
        previous = row["budget_flops"]
        status = "" if row["status"] == "done" else f"{row['status']}: {row['reason']}"
        if row["epochs"] > 1:
            status += f"{row['epochs']:.1f} epochs: text was repeated"
        table.add_row(
            f"{row['budget_flops']:.2g}",
            short_count(row["params_total"]),
            f"{row['width']}×{row['depth']}",
            short_count(row["tokens"]),
            f"{row['tokens'] / row['params_total']:.3g}",
            "–" if pd.isna(row["loss_nats"]) else f"{row['loss_nats']:.4f} ± {row['loss_se_nats']:.4f}",
            "–" if pd.isna(row["bits_per_byte"]) else f"{row['bits_per_byte']:.3f}",
            "–" if pd.isna(row["tokens_per_second"]) else short_count(row["tokens_per_second"]),
            "–"
            if pd.isna(row["peak_memory_bytes_measured"])
            else f"{row['peak_memory_bytes_measured'] / 2**20:.0f}",
            status,
        )
    console.print(table)
    console.print(
        "shape: width × depth; D/N: tokens a parameter; loss: validation, nats/token, with the standard error of the "
        "finite validation set (common to all runs, which see the same text); MiB: peak live tensors. "
        f"Job time spent: {duration(runs['seconds_spent'].sum())}.",
        highlight=False,
        style="dim",
    )


def print_truth(console: Console, runs: pd.DataFrame, zipf_tail: float) -> None:
    """The fit beside what is known of a synthetic language: an observation, not a test.

    A learner of a Zipf list with tail a that keeps the N most frequent words, or has met those seen in D draws,
    misses a tail that falls as N^-a and as D^(-a / (1 + a)) (Hutter, 2021, arXiv:2102.04074; Michaud et al.,
    2023, arXiv:2303.13506).
    """
    from analysis.fit import fit
    from analysis.refusals import Refusal
    from analysis.table import load

    try:
        result = fit(load(runs))
    except Refusal as reason:
        console.print(f"no fit to hold beside the truth: {reason}", highlight=False)
        return
    truth = {
        "E": float(runs["entropy_nats"].iloc[0]),
        "alpha": zipf_tail,
        "beta": zipf_tail / (1 + zipf_tail),
    }
    meaning = {
        "E": "entropy of the language, nats/token (exact)",
        "alpha": "memorising a Zipf list by capacity: a",
        "beta": "memorising a Zipf list by sampling: a/(1 + a)",
    }
    table = Table(title="Fit beside the truth", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("parameter", "fitted", "90 % interval", "theory", "what theory says"):
        table.add_column(column)
    for name, value in truth.items():
        interval = result.intervals.get(name)
        table.add_row(
            name,
            f"{result.parameters[name]:.4f}",
            "not estimated" if interval is None else f"{interval[0]:.4f} – {interval[1]:.4f}",
            f"{value:.4f}",
            meaning[name],
        )
    console.print(table)
    lowest = float(runs["loss_nats"].min())
    console.print(
        f"lowest loss reached: {lowest:.4f} nats, {lowest - truth['E']:.4f} above the entropy",
        highlight=False,
    )
