"""A fitted study, or one fitted law, on the terminal and on disk."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from analysis import laws
from analysis.optima import Optima
from analysis.predictions import Predictions
from analysis.present import sections
from analysis.reading.few_columns import HYPERPARAMETERS
from analysis.report import to_json, write
from analysis.result import FitResult
from analysis.sections.choice import predictions_section
from analysis.sections.section import FLAGS, Section
from analysis.study import Study
from scaling.errors import UserError
from scaling.fitting.curves import fit_curves
from scaling.fitting.few_columns import (
    fit_any_law,
    fit_hyperparameters,
    fit_one_variable,
    has_one_variable,
    with_columns_counted,
)
from scaling.fitting.grid import grids
from scaling.fitting.keys import FitKeys
from scaling.fitting.optima import fit_table_of_optima
from scaling.fitting.predict import predict_by_law
from scaling.fitting.study import fit_study
from scaling.records.folder import FIGURES, FIT, FITTED_LAW

STUDIED = {"params", "tokens", "flops", "unique_tokens"}
"""What a study's table holds beside the loss; a law that reads something else is fitted alone."""

OneLawFit = Callable[[Path, FitKeys], tuple[FitResult | Optima, list[str]]]

SHOWN = {
    "parametric": (
        "Runs",
        "Fitted law",
        "What to train next",
        "What it costs",
        "The largest",
        "Backtest",
        "Which law",
        "Predictions",
    ),
    "isoflop": ("Runs", "IsoFLOP"),
    "envelope": ("Runs", "Approaches"),
}


def fit_and_report(source: Path, keys: FitKeys, *, as_json: bool = False) -> None:
    """Fit what the keys ask for, print it, and write its files.

    Args:
        source: a table of runs, or a sweep's folder.
        keys: what the user asked for.
        as_json: print JSON alone, and write files only where `keys.out` says.

    Raises:
        UserError, Refusal: the source cannot be fitted, or the files cannot be written.
    """
    keys = with_columns_counted(source, keys)
    one_law = one_law_fit(source, keys)
    if one_law is not None:
        report_one_law(one_law, source, keys, as_json)
    else:
        report_study(source, keys, as_json)


def one_law_fit(source: Path, keys: FitKeys) -> OneLawFit | None:
    """How to fit a law that reads something else than size, tokens and loss of runs; None where a study answers."""
    if keys.law == "multi_power":
        return fit_curves
    if keys.law == "optimum":
        return fit_table_of_optima
    law = laws.get(keys.law)
    if law.target in HYPERPARAMETERS:
        return fit_hyperparameters
    if not set(law.variables) <= STUDIED or law.target != "loss":
        return fit_any_law
    if law.variables in (("params",), ("tokens",), ("flops",)) and has_one_variable(source, keys):
        return fit_one_variable
    return None


def report_study(source: Path, keys: FitKeys, as_json: bool) -> None:
    """Fit a study by all approaches, print it, and write its files."""
    messages = Console(stderr=True)
    with messages.status("reading the table") as status:
        study = fit_study(source, keys, lambda part: status.update(f"fitting: {part}"), need_law=as_json)
    if as_json:
        print(to_json(study, keys.approach))
    else:
        print_study(study, keys.approach, Console())
    beside = source / FIT if source.is_dir() else Path(f"{stem(source)}_fit")
    folder = Path(keys.out) if keys.out else beside
    if keys.out or not as_json:
        write_files(study, folder, source, messages, keys)
    if not as_json:
        Console().print(
            f"\n{folder}/report.html has all of this with figures; study.json and figures/ lie beside it"
            if keys.figures
            else f"\n{folder}/report.html has all of this; study.json lies beside it",
            markup=False,
        )


def report_one_law(one_law: OneLawFit, source: Path, keys: FitKeys, as_json: bool) -> None:
    """Fit one law, print it, and write its files."""
    messages = Console(stderr=True)
    with messages.status(f"fitting {keys.law}"):
        result, notes = one_law(source, keys)
        predicted = predict_by_law(result, keys) if isinstance(result, FitResult) else None
    if as_json:
        print(with_predictions(result.to_json(), predicted))
    else:
        print_fit(result, notes, Console())
        if predicted is not None:
            print_sections([predictions_section(predicted)], Console())
    if keys.out or not as_json:
        name = source.name if source.is_dir() else stem(source)
        folder = Path(keys.out or f"{name}_{keys.law}")
        write_fit(result, folder, keys.figures)
        beside = ", figures/ lies beside it" if keys.figures else ""
        messages.print(f"\n{folder}/fit.json has the result{beside}", markup=False)


def with_predictions(record: str, predicted: Predictions | None) -> str:
    """The JSON of a fit, with `predictions` where another table was predicted."""
    if predicted is None:
        return record
    return json.dumps(json.loads(record) | {"predictions": predicted.records()}, indent=2)


def stem(source: Path) -> str:
    """The file's name without its endings."""
    return source.name.removesuffix(".gz").rpartition(".")[0]


def print_study(study: Study, approach: str, console: Console) -> None:
    """The sections of an approach (for "all": every one) as tables and sentences."""
    wanted = SHOWN.get(approach, ("",))
    print_sections([part for part in sections(study) if part.title.startswith(wanted)], console)


def print_sections(told: Iterable[Section], console: Console) -> None:
    """Sections as tables and sentences."""
    for section in told:
        console.print()
        console.print(Text(section.title, style="bold cyan"))
        if section.lead:
            console.print(sentence(section.lead))
        if section.rows:
            for grid in grids(section.header, section.rows, console.width, numbers=section.title != "Runs"):
                console.print(grid)
        for words in section.words:
            console.print(sentence(words))


def sentence(words: str) -> Text:
    """A sentence for the terminal, marked where a reader must not miss it."""
    return Text(words, style="yellow" if words.startswith(FLAGS) else "")


def print_fit(result: FitResult | Optima, notes: list[str], console: Console) -> None:
    """One fitted law in words."""
    for note in notes:
        console.print(Text(f"Note: {note}."))
    console.print(Text(("\n" if notes else "") + result.summary()))


def write_fit(result: FitResult | Optima, folder: Path, figures: bool) -> None:
    """JSON and, where figures are asked for, the figure of one fitted law."""
    refuse_file(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FITTED_LAW).write_text(result.to_json() + "\n", encoding="utf-8")
    if figures:
        from analysis.fit_figure import SIZE  # matplotlib is slow to import
        from analysis.style import draw, save

        save(draw(result.plot, SIZE), folder / FIGURES, "fit")


def refuse_file(folder: Path) -> None:
    """Raise where a file has the folder's name."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"out={folder} is a file; name a folder")


def write_files(study: Study, folder: Path, source: Path, console: Console, keys: FitKeys) -> None:
    """JSON, report and figures of a study, the asked approach's exponents at the top of the JSON."""
    refuse_file(folder)
    with console.status("drawing figures" if keys.figures else "writing the report"):
        try:
            title = f"Scaling study of {source.name}"
            write(study, folder, title=title, approach=keys.approach, figures=keys.figures)
        except OSError as error:
            raise UserError(
                f"cannot write to {folder}: {error.strerror or error}; name another folder with out=FOLDER"
            ) from error
