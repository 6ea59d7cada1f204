"""`scaling fit`: fit scaling laws to a sweep or any table of parameters, tokens and loss, offline and without torch."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.overrides import field_help, parse

if TYPE_CHECKING:
    from rich.console import Console

    from analysis.study import Study
    from analysis.table import Table

APPROACHES = ("all", "parametric", "isoflop", "envelope")
COLUMNS = ("params", "tokens", "loss", "flops", "loss_se", "cluster", "budget", "unique_tokens")


@dataclass
class FitKeys:
    """What `scaling fit FILE` can be told."""

    law: str = "chinchilla"
    """loss law to fit: chinchilla, kaplan, gadre, muennighoff, kaplan_n, kaplan_d or kaplan_c"""
    approach: str = "all"
    """all, parametric (approach 3), isoflop (approach 2, valleys) or envelope (approach 1, training curves)"""
    objective: str = "huber_log"
    """what is minimised: huber_log (δ = 1e-3), mse_log, mse, mae, mae_log, asymmetric_mae or huber_density"""
    weights: str | None = None
    """loss_se: measure each residual in units of its recorded standard error"""
    params: str | None = None
    """column that holds the number of parameters"""
    tokens: str | None = None
    """column that holds the training tokens"""
    loss: str | None = None
    """column that holds the loss in nats/token"""
    flops: str | None = None
    """column that holds the training FLOPs; without one they are 6 · params · tokens"""
    loss_se: str | None = None
    """column that holds the standard error of each loss"""
    cluster: str | None = None
    """column that names the training job a run branched from: such runs are resampled together"""
    budget: str | None = None
    """column that names each run's compute budget in FLOPs; without one budgets are inferred from shared FLOPs"""
    unique_tokens: str | None = None
    """column that holds the unique tokens (data-constrained law)"""
    where: dict[str, Any] = field(default_factory=dict)
    """use only rows with this value: where.COLUMN=VALUE"""
    convention: dict[str, str] = field(default_factory=dict)
    """what you know and the file does not say: convention.params="without embeddings\""""
    level: float = 0.9
    """probability of every interval"""
    bootstrap: int = 1000
    """bootstrap resamples; 0 leaves the law's intervals not estimated"""
    seed: int = 0
    """seed of the bootstrap"""
    target_flops: float | None = None
    """compute to plan for; by default 10 times the largest in the table"""
    out: str | None = None
    """folder for study.json, report.html and figures; by default runs/NAME/fit for a sweep, else FILE_fit here"""


def help_text() -> str:
    """The command's help, from the docstrings of its keys."""
    texts = field_help(FitKeys)
    width = max(len(name) for name in texts)
    defaults = {f.name: getattr(FitKeys(), f.name) for f in fields(FitKeys)}
    rows = []
    for name, text in texts.items():
        default = defaults[name]
        rows.append(f"  {name:{width}}  {text}" + (f" [{default}]" if default not in (None, {}) else ""))
    keys = "\n".join(rows)
    return f"""usage: scaling fit FILE|runs/NAME [key=value …] [--json]

Fit scaling laws to a table of runs (CSV, TSV, Parquet or JSON lines, also .gz) or to a sweep's folder, by all three
classical approaches, with intervals, a test on the table's own largest runs, and a plan for more compute.

  --json  print the result alone on standard output, and write files only where out= says

keys (default in brackets):
{keys}

examples:
  scaling fit runs/quickstart
  scaling fit losses.csv params=N tokens=D loss=val_loss
  scaling fit losses.csv where.dataset=c4 law=gadre objective=mse_log
  scaling fit losses.csv --json | jq .exponents
"""


def main(argv: list[str]) -> int:
    """Fit and print; returns the exit status.

    Raises:
        ValueError: one line, for input that cannot be fitted.
    """
    if not argv or "--help" in argv or "-h" in argv:
        print(help_text())
        return 0
    flags = [word for word in argv if word.startswith("-")]
    unknown = [flag for flag in flags if flag != "--json"]
    if unknown:
        raise ValueError(f"{unknown[0]}: no such flag; scaling fit knows --json and --help")
    words = [word for word in argv if not word.startswith("-")]
    sources = [word for word in words if "=" not in word or Path(word).exists()]
    if len(sources) != 1:
        given = f"{len(sources)} were given: {', '.join(sources)}" if sources else "none was given"
        raise ValueError(
            f"scaling fit needs one FILE or sweep folder; {given}. Columns are named as params=COLUMN"
        )
    keys = parse([word for word in words if word not in sources], FitKeys)
    if keys.approach not in APPROACHES:
        raise ValueError(f"approach={keys.approach}: choose one of {', '.join(APPROACHES)}")
    return run(Path(sources[0]), keys, "--json" in flags)


def run(source: Path, keys: FitKeys, as_json: bool) -> int:
    """Load, analyse, print and write."""
    from rich.console import Console

    quiet = Console(stderr=True)
    with quiet.status("reading the table") as status:

        def progress(part: str) -> None:
            status.update(f"fitting: {part}")

        table = read_table(source, keys)
        study = analyse_table(table, keys, progress)
        refuse_without_answer(study, keys.approach, as_json)
    if as_json:
        from analysis.report import to_json

        print(to_json(study))
        if keys.out:
            write_files(study, Path(keys.out), source, quiet)
        return 0
    console = Console()
    print_study(study, keys.approach, console)
    folder = (
        Path(keys.out) if keys.out else source / "fit" if source.is_dir() else Path(f"{stem(source)}_fit")
    )
    write_files(study, folder, source, quiet)
    console.print(
        f"\n[bold]{folder}/report.html[/] has all of this with figures; study.json and figures/ lie beside it"
    )
    return 0


def stem(source: Path) -> str:
    """The file's name without its endings."""
    return source.name.removesuffix(".gz").rpartition(".")[0]


def read_table(source: Path, keys: FitKeys) -> "Table":
    """The runs of a file or of a sweep's folder."""
    from analysis.table import load
    from scaling.records import load_sweep

    columns = {role: value for role in COLUMNS if (value := getattr(keys, role)) is not None}
    rows = load_sweep(source) if source.is_dir() else source
    table = load(rows, columns, {name: str(value) for name, value in keys.where.items()}, keys.convention)
    return replace(table, source=str(source))


def analyse_table(table: "Table", keys: FitKeys, progress: Callable[[str], None]) -> "Study":
    """All that the runs tell."""
    from analysis.study import analyse

    return analyse(
        table,
        law=keys.law,
        objective=keys.objective,
        weights=keys.weights,
        level=keys.level,
        bootstrap=keys.bootstrap,
        seed=keys.seed,
        target_flops=keys.target_flops,
        progress=progress,
    )


def refuse_without_answer(study: "Study", approach: str, as_json: bool) -> None:
    """Raise with the reason when the approach that was asked for has no answer (with "all": when none has)."""
    from analysis.study import Refused

    parts = {"parametric": study.fit, "isoflop": study.valleys, "envelope": study.envelope}
    asked = parts if approach == "all" else {approach: parts[approach]}
    if as_json and approach == "all":
        asked = {"parametric": study.fit}
    reasons = [part.reason for part in asked.values() if isinstance(part, Refused)]
    if len(reasons) == len(asked):
        raise ValueError(reasons[0])


SHOWN = {
    "parametric": ("Runs", "Fitted law", "What to train next", "The largest", "Backtest", "Which law"),
    "isoflop": ("Runs", "IsoFLOP"),
    "envelope": ("Runs", "Approaches"),
}


def print_study(study: "Study", approach: str, console: "Console") -> None:
    """The sections as tables and sentences."""
    from rich.table import Table as RichTable
    from rich.text import Text

    from analysis.present import sections

    for section in sections(study):
        if approach != "all" and not section.title.startswith(SHOWN[approach]):
            continue
        console.print()
        console.print(Text(section.title, style="bold cyan"))
        if section.rows:
            grid = RichTable(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
            for k, name in enumerate(section.header):
                grid.add_column(
                    name, justify="left" if k == 0 or section.title == "Runs" else "right", overflow="fold"
                )
            for row in section.rows:
                grid.add_row(*(Text(cell) for cell in row))
            console.print(grid)
        for words in section.words:
            style = "yellow" if words.startswith(("DISAGREE", "Warning", "not available")) else ""
            console.print(Text(words, style=style))


def write_files(study: "Study", folder: Path, source: Path, console: "Console") -> None:
    """JSON, report and figures of a study."""
    from analysis.report import write

    if folder.exists() and not folder.is_dir():
        raise ValueError(f"out={folder} is a file; name a folder")
    with console.status("drawing figures"):
        write(study, folder, title=f"Scaling study of {source.name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
