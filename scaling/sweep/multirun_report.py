"""What a multirun (`scaling train -m`) ends with: one table of all its jobs, on the terminal and as records.csv."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from analysis.formats import duration, short_count
from scaling.records.files import Damaged
from scaling.records.records import KEYS, read_record, write_table
from scaling.sweep.multirun import Outcome, read_outcomes

OVERRIDES = "overrides"
"""Column of a multirun's table: the words that tell the row's job apart; the other columns are those of a record."""


def conclude(study: Path, began: str, tuning: bool = False) -> int:
    """Print and write the table of a multirun; returns how many of its jobs failed or diverged.

    Args:
        study: the multirun's folder.
        began: when it began; jobs of earlier multiruns of that name are in the table, and are not counted.
        tuning: whether its jobs are trials, of which some may come to nothing: they count where none is done.
    """
    outcomes = read_outcomes(study)
    if not outcomes:
        return 0
    console = Console()
    table = multirun_table(outcomes)
    path = write_table(table, study)
    print_table(console, table)
    bad = 0
    for outcome in outcomes:
        if outcome.began != began:
            continue
        statuses = multirun_table([outcome])["status"]
        bad += bool((statuses != "done").any())
        if outcome.reason is not None:
            words = " ".join(outcome.overrides) or outcome.folder
            console.print(
                f"[red]failed[/] {words}: {outcome.reason}", highlight=False, markup=True, soft_wrap=True
            )
    console.print(f"records: {path}", highlight=False, soft_wrap=True)
    if bad:
        console.print(f"[red]{bad} jobs failed or diverged[/]; the same command trains those that failed")
    return 0 if tuning and (table["status"] == "done").any() else bad


def multirun_table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row for each run of each job; a job that made no run, since its config cannot train, has a row as well."""
    rows = []
    for outcome in outcomes:
        overrides = {OVERRIDES: " ".join(outcome.overrides)}
        records = []
        for file in outcome.records:
            try:
                records.append(read_record(Path(file)).flat())
            except (Damaged, OSError) as error:
                records.append({"status": "damaged", "reason": str(error)})
        nothing = {"status": "failed", "reason": outcome.reason, "trunk_id": Path(outcome.folder).name}
        rows += [{**record, **overrides} for record in records or [nothing]]
    frame = pd.DataFrame(rows, columns=[*KEYS, OVERRIDES])
    return frame.sort_values([OVERRIDES, "tokens"], kind="stable", ignore_index=True)


def print_table(console: Console, runs: pd.DataFrame) -> None:
    """The runs of a multirun, the words that tell them apart first."""
    table = Table(title="Runs", title_justify="left", box=None, padding=(0, 1), pad_edge=False)
    table.add_column("overrides", overflow="fold", min_width=12)
    for column in ("params", "tokens", "loss ± se", "bits/B", "time"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("status", overflow="fold")
    for row in runs.to_dict("records"):
        status = row["status"] if row["status"] == "done" else f"{row['status']}: {row['reason']}"
        loss = f"{row['loss_nats']:.4f} ± {row['loss_se_nats']:.4f}" if pd.notna(row["loss_nats"]) else "–"
        table.add_row(
            row[OVERRIDES] or "–",
            "–" if pd.isna(row["params_total"]) else short_count(row["params_total"]),
            "–" if pd.isna(row["tokens"]) else short_count(row["tokens"]),
            loss,
            "–" if pd.isna(row["bits_per_byte"]) else f"{row['bits_per_byte']:.3f}",
            "–" if pd.isna(row["wall_seconds"]) else duration(row["wall_seconds"]),
            status,
        )
    console.print(table, markup=False)
