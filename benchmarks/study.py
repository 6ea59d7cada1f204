"""What a scaling study costs this way: tokens of a trunk, wall time of a whole study, and the laws of two optimizers.

    pip install 'scaling-simulator[bench]'
    python benchmarks/study.py [--quick] [--only ladder isoflop optimizers] [--folder FOLDER] [--out FILE]

The three parts are `study_ladder.py`, `study_isoflop.py` and `study_optimizers.py`; the study of the last is that of
the second. Wall times ask for a machine with two quiet cores. What is trained is kept in --folder, where a benchmark
that was stopped goes on. --out writes the tables as Markdown; benchmarks/results/study.md is such a file. Exits with 1
when a figure falls short.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import study_isoflop
import study_ladder
from budget_rows import Row, markdown
from rich.console import Console
from rich.table import Table
from study_isoflop import isoflop
from study_ladder import ladder
from study_optimizers import optimizers
from study_runs import WORKERS

from scaling.training.job import code_version
from scaling.training.meters import cpu_name

PARTS = ("ladder", "isoflop", "optimizers")


def main() -> int:
    """Measure and print; 1 where a figure falls short."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller studies, under ten minutes")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--folder", type=Path, help="where runs are kept; by default a temporary folder")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        rows, details = measure(folder.resolve(), arguments.quick, arguments.only)
    if arguments.out is not None:
        arguments.out.write_text("\n".join([f"{machine()}\n", markdown(rows), *details]))
    print("\n".join(details))
    print(machine())
    table = Table("quantity", "against", "reached", "asked", "", title="Whole studies", title_justify="left")
    for row in rows:
        table.add_row(row.quantity, row.against, row.reached, row.asked, "ok" if row.ok else "[red]short[/]")
    Console(highlight=False).print(table)
    return 0 if all(row.ok for row in rows) else 1


def measure(folder: Path, quick: bool, parts: list[str]) -> tuple[list[Row], list[str]]:
    """Every row that was asked for, and the details of each part as Markdown."""
    designs = study_isoflop.QUICK if quick else study_isoflop.FULL
    results = []
    if "ladder" in parts:
        results.append(ladder(folder, study_ladder.QUICK if quick else study_ladder.FULL))
    if "isoflop" in parts:
        results.append(isoflop(folder, designs))
    if "optimizers" in parts:
        results.append(optimizers(folder, designs))
    return [row for rows, _ in results for row in rows], [text for _, text in results]


def machine() -> str:
    """Processor, versions and commit behind the figures."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "lightning", "transformers"))
    cores = f"{cpu_name()}, {WORKERS} cores"
    return f"{cores}; Python {platform.python_version()}, {packages}; commit {code_version()}"


if __name__ == "__main__":
    sys.exit(main())
