"""`scaling fit`: fit scaling laws to a sweep or any table of parameters, tokens and loss, offline and without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.config.overrides import parse
from scaling.errors import UserError
from scaling.fitting.keys import APPROACHES, COLUMNS, FitKeys, help_text
from scaling.records.folder import FIT

if TYPE_CHECKING:
    from rich.console import Console

    from analysis.result import FitResult
    from analysis.study import Study
    from analysis.table import Table

    OtherFit = Callable[[Path, FitKeys], tuple[FitResult, list[str]]]


def main(argv: list[str]) -> int:
    """Fit and print; returns the exit status.

    Raises:
        UserError: one line, for input that cannot be fitted.
    """
    if not argv or "--help" in argv or "-h" in argv:
        print(help_text())
        return 0
    flags = [word for word in argv if word.startswith("-")]
    unknown = [flag for flag in flags if flag != "--json"]
    if unknown:
        raise UserError(f"{unknown[0]}: no such flag; scaling fit knows --json and --help")
    words = [word for word in argv if not word.startswith("-")]
    sources = [word for word in words if "=" not in word or Path(word).exists()]
    if len(sources) != 1:
        given = f"{len(sources)} were given: {', '.join(sources)}" if sources else "none was given"
        raise UserError(
            f"scaling fit needs one FILE or sweep folder; {given}. Columns are named as params=COLUMN"
        )
    keys = parse([word for word in words if word not in sources], FitKeys)
    if keys.approach not in APPROACHES:
        raise UserError(f"approach={keys.approach}: choose one of {', '.join(APPROACHES)}")
    return run(Path(sources[0]), keys, "--json" in flags)


def run(source: Path, keys: FitKeys, as_json: bool) -> int:
    """Load, analyse, print and write."""
    from rich.console import Console

    quiet = Console(stderr=True)
    other = other_fit(source, keys)
    if other is not None:
        return run_other(other, source, keys, as_json, quiet)
    with quiet.status("reading the table") as status:

        def progress(part: str) -> None:
            status.update(f"fitting: {part}")

        table = read_table(source, keys)
        study = analyse_table(table, keys, progress)
        refuse_without_answer(study, keys.approach, as_json)
    if as_json:
        from analysis.report import to_json

        print(to_json(study, keys.approach))
        if keys.out:
            from scaling.fitting.report import write_files

            write_files(study, Path(keys.out), source, quiet, keys.approach)
        return 0
    from scaling.fitting.report import print_study, write_files

    console = Console()
    print_study(study, keys.approach, console)
    folder = Path(keys.out) if keys.out else source / FIT if source.is_dir() else Path(f"{stem(source)}_fit")
    write_files(study, folder, source, quiet, keys.approach)
    console.print(
        f"\n{folder}/report.html has all of this with figures; study.json and figures/ lie beside it",
        markup=False,
    )
    return 0


def other_fit(source: Path, keys: FitKeys) -> OtherFit | None:
    """How to fit a law of something else than runs of known size and tokens; None for a study of such runs."""
    from scaling.fitting.curves import fit_curves
    from scaling.fitting.few_columns import fit_hyperparameters, fit_one_variable, has_one_variable

    if keys.law == "multi_power":
        return fit_curves
    if keys.law.startswith(("learning_rate_", "batch_tokens_")):
        return fit_hyperparameters
    if keys.law in ("kaplan_n", "kaplan_d", "kaplan_c") and has_one_variable(source, keys):
        return fit_one_variable
    return None


def run_other(other: OtherFit, source: Path, keys: FitKeys, as_json: bool, quiet: Console) -> int:
    """Fit such a law, print it and write it."""
    from rich.console import Console

    from scaling.fitting.report import print_fit, write_fit

    with quiet.status(f"fitting {keys.law}"):
        result, notes = other(source, keys)
    if as_json:
        print(result.to_json())
    else:
        print_fit(result, notes, Console())
    if keys.out or not as_json:
        folder = (
            Path(keys.out)
            if keys.out
            else Path(f"{source.name if source.is_dir() else stem(source)}_{keys.law}")
        )
        write_fit(result, folder)
        quiet.print(f"\n{folder}/fit.json has the result, figures/ lies beside it", markup=False)
    return 0


def stem(source: Path) -> str:
    """The file's name without its endings."""
    return source.name.removesuffix(".gz").rpartition(".")[0]


def read_table(source: Path, keys: FitKeys) -> Table:
    """The runs of a file or of a sweep's folder."""
    from analysis.table import load
    from scaling.records.records import load_sweep

    columns = {role: value for role in COLUMNS if (value := getattr(keys, role)) is not None}
    rows = load_sweep(source) if source.is_dir() else source
    table = load(
        rows,
        columns,
        {name: str(value) for name, value in keys.where.items()},
        keys.convention,
        units=keys.units,
        mixed=keys.mixed,
        repeats=keys.repeats,
    )
    return replace(table, source=str(source))


def analyse_table(table: Table, keys: FitKeys, progress: Callable[[str], None]) -> Study:
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


def refuse_without_answer(study: Study, approach: str, as_json: bool) -> None:
    """Raise with the reason when the approach that was asked for has no answer (with "all": when none has)."""
    from analysis.study import Refused

    parts = {"parametric": study.fit, "isoflop": study.valleys, "envelope": study.envelope}
    asked = parts if approach == "all" else {approach: parts[approach]}
    if as_json and approach == "all":
        asked = {"parametric": study.fit}
    reasons = [part.reason for part in asked.values() if isinstance(part, Refused)]
    if len(reasons) == len(asked):
        raise UserError(reasons[0])
