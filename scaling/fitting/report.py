"""A fitted study on the terminal and on disk."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.fit_figure import SIZE
from analysis.present import FLAGS, sections
from analysis.report import write
from analysis.result import FitResult
from analysis.study import Study
from analysis.style import draw, save
from scaling.errors import UserError

SHOWN = {
    "parametric": ("Runs", "Fitted law", "What to train next", "The largest", "Backtest", "Which law"),
    "isoflop": ("Runs", "IsoFLOP"),
    "envelope": ("Runs", "Approaches"),
}


def print_study(study: Study, approach: str, console: Console) -> None:
    """The sections as tables and sentences."""
    for section in sections(study):
        if approach != "all" and not section.title.startswith(SHOWN[approach]):
            continue
        console.print()
        console.print(Text(section.title, style="bold cyan"))
        if section.rows:
            grid = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
            for k, name in enumerate(section.header):
                grid.add_column(
                    name, justify="left" if k == 0 or section.title == "Runs" else "right", overflow="fold"
                )
            for row in section.rows:
                cells = row if console.width >= 110 else [cell.replace("–", "– ") for cell in row]
                grid.add_row(*(Text(cell) for cell in cells))
            console.print(grid)
        for words in section.words:
            style = "yellow" if words.startswith(FLAGS) else ""
            console.print(Text(words, style=style))


def print_fit(result: FitResult, notes: list[str], console: Console) -> None:
    """One fitted law in words."""
    for note in notes:
        console.print(Text(f"Note: {note}."))
    console.print(Text(("\n" if notes else "") + result.summary()))


def write_fit(result: FitResult, folder: Path) -> None:
    """JSON and figure of one fitted law."""
    refuse_file(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fit.json").write_text(result.to_json() + "\n", encoding="utf-8")
    save(draw(result.plot, SIZE), folder / "figures", "fit")


def refuse_file(folder: Path) -> None:
    """Raise where a file has the folder's name."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"out={folder} is a file; name a folder")


def write_files(study: Study, folder: Path, source: Path, console: Console, approach: str) -> None:
    """JSON, report and figures of a study, the asked approach's exponents at the top of the JSON."""
    refuse_file(folder)
    with console.status("drawing figures"):
        try:
            write(study, folder, title=f"Scaling study of {source.name}", approach=approach)
        except OSError as error:
            raise UserError(
                f"cannot write to {folder}: {error.strerror or error}; name another folder with out=FOLDER"
            ) from error
