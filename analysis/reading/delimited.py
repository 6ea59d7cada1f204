"""Tables as text: what separates their columns, which line is the header, and the cells below it."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from io import StringIO

import pandas as pd

from analysis.reading.numbers import take_apart
from analysis.refusals import BadTable, BadValue

SEPARATORS = {
    ",": ",", "comma": ",", ";": ";", "semicolon": ";", "\t": "\t", r"\t": "\t", "tab": "\t", "|": "|", "pipe": "|",
    " ": " ", "space": " ", "spaces": " ", "whitespace": " ", ":": ":", "colon": ":",
}  # fmt: skip
"""How `sep=` can be written → what separates; a space stands for any run of spaces and tabs."""
TRIED = ("\t", ";", "|", ",", " ")
"""Separators in the order in which one is taken of several that split a text alike."""
LINES_TRIED = 200
"""A separator is judged by the first lines."""
NOTHING = frozenset({
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null", "NAN", "-", "--", "\u2013", "\u2014", "?", "#DIV/0!", "#VALUE!",
    "#REF!", "#NUM!",
})  # fmt: skip
"""How a cell says that it holds nothing."""
_RULE = re.compile(r"[|+\s:=-]+")


def separator(sep: str | None) -> str | None:
    """The separator that the caller named, None where he named none.

    Raises:
        BadValue: it is none.
    """
    if sep is not None and sep not in SEPARATORS:
        raise BadValue(
            f"sep={sep}: columns are separated by , ; | or by comma, semicolon, pipe, tab, space, colon"
        )
    return None if sep is None else SEPARATORS[sep]


def table_of_text(text: str, sep: str | None = None) -> pd.DataFrame:
    """A table from lines of text, every cell as it is written, empty ones as NaN.

    Lines above the header that have fewer cells, and comments (#), are no rows; neither are rules such as |---|---|.

    Raises:
        BadTable: there is no header, or a line has more cells than it names.
    """
    lines = text.splitlines(keepends=True)
    if lines and (named := re.fullmatch(r"sep=(.)\s*", lines[0].lstrip("\ufeff"))):  # as Excel writes it
        sep, lines = sep or named[1], lines[1:]
    lines = [line for line in lines if line.strip() and not is_rule(line)]
    if not lines:
        raise BadTable("has no rows; a table of runs has a line of names and one line for each run")
    mark = separator(sep) or likely_separator(lines)
    return table_of_cells(cells_of("".join(lines), mark))


def is_rule(line: str) -> bool:
    """Whether a line only draws one, as |---|---| under the header of a Markdown table."""
    return _RULE.fullmatch(line) is not None and line.count("-") + line.count("=") >= 3


def likely_separator(lines: Sequence[str]) -> str:
    """The separator that splits the most lines alike, and of those the one that makes the most columns."""
    head = [line for line in lines[:LINES_TRIED] if not line.startswith("#")] or list(lines[:LINES_TRIED])
    best, score = ",", (0.0, 0)
    for mark in TRIED:
        counts = Counter(len(row) for row in cells_of("".join(head), mark))
        width, alike = max(counts.items(), key=lambda item: (item[0] > 1, item[1], item[0]))
        found = (alike / sum(counts.values()), width)
        # A space stands inside names and dates, so that it separates only where nothing else does.
        if width > 1 and (found > score if mark != " " else score[0] < 0.5):
            best, score = mark, found
    return best


def cells_of(text: str, mark: str) -> list[list[object]]:
    """The cells of each line, blanks around them left out."""
    if mark == " ":
        text = "\n".join(" ".join(line.split()) for line in text.splitlines())
    try:
        rows = list(csv.reader(StringIO(text), delimiter=mark, skipinitialspace=True))
    except csv.Error as error:
        raise BadTable(f"cannot be split into columns: {error}") from error
    rows = (
        [[cell.strip() for cell in row] for row in rows if row]
        if " " in text
        else [row for row in rows if row]
    )
    if mark == "|" and rows and all(row[0] == row[-1] == "" for row in rows if len(row) > 1):
        rows = [row[1:-1] if len(row) > 1 else row for row in rows]
    return [list(row) for row in rows]


def table_of_cells(rows: Sequence[Sequence[object]]) -> pd.DataFrame:
    """A table from its rows, of which the first with as many cells as most others is the header.

    Raises:
        BadTable: that row holds numbers, two columns of one name differ, or a row is longer or shorter than the header.
    """
    filled = [trimmed(row) for row in rows]
    common = Counter(len(row) for row in filled).most_common(1)[0][0]
    at = header_at(filled, common)
    above, header, body = filled[:at], list(rows[at]), [list(row) for row in rows[at + 1 :]]
    if (
        above
        and is_numbers(header)
        and is_comment(above[-1])
        and len(above[-1]) in (len(header), len(header) + 1)
    ):
        body, header = [header, *body], uncommented(above[-1])
    elif is_comment(header):
        header = uncommented(header)
    if is_numbers(header) or not any(str(name).strip() for name in header):
        shown = ", ".join(str(cell) for cell in header[:3])
        raise BadTable(
            f"has no header: its first line holds numbers ({shown}); write the columns' names above them"
        )
    if len(header) == 1 and (inside := [mark for mark in ";\t|," if mark in str(header[0])]):
        raise BadTable(
            f"has one column, {header[0]!r}: its lines are separated otherwise; say sep={inside[0]}"
        )
    body = [row for row in body if not (is_comment(row) and len(trimmed(row)) != len(trimmed(header)))]
    header, body = aligned(header, body)
    names = [str(name).strip() or f"Unnamed: {i}" for i, name in enumerate(header)]
    columns = {
        i: [None if cell in NOTHING else cell for cell in column]
        for i, column in enumerate(zip(*body, strict=True))
    }
    # Objects, since the arrays that pandas has for text are slow to walk through, and most become numbers next.
    table = pd.DataFrame(columns or {i: [] for i in range(len(names))}, dtype=object)
    return without_copies(table, names)


def trimmed(row: Sequence[object]) -> list[object]:
    """A row without the empty cells at its end."""
    if row and row[-1] != "":
        return list(row)
    end = len(row)
    while end and row[end - 1] == "":
        end -= 1
    return list(row[:end])


def header_at(rows: Sequence[Sequence[object]], common: int) -> int:
    """Where the header stands: the first row that is about as long as most are, longer ones included."""
    for at, row in enumerate(rows):
        if len(row) >= max(common - 1, 1) and not (len(row) == 1 < common) and not is_title(row, common):
            return at
    return 0


def is_title(row: Sequence[object], common: int) -> bool:
    """Whether a row is a comment, or text above the header that happens to hold a separator."""
    return len(row) < common and (is_comment(row) or any(cell == "" for cell in row))


def is_comment(row: Sequence[object]) -> bool:
    """Whether a row begins with #."""
    return bool(row) and str(row[0]).startswith("#")


def uncommented(row: Sequence[object]) -> list[object]:
    """A header written as a comment, as numpy.savetxt does."""
    first = str(row[0]).lstrip("#").strip()
    return [first, *row[1:]] if first else list(row[1:])


def is_numbers(row: Sequence[object]) -> bool:
    """Whether no cell of a row is a name: all that are filled hold numbers."""
    cells = [cell for cell in row if cell != ""]
    return bool(cells) and all(not isinstance(cell, str) or take_apart(cell) is not None for cell in cells)


def aligned(header: list[object], body: list[list[object]]) -> tuple[list[object], list[list[object]]]:
    """Header and rows of one length: shorter rows end in empty cells, and names of rows get a column.

    Raises:
        BadTable: a row holds more cells than the header names.
    """
    width = len(header)
    while width and header[width - 1] == "" and all(len(row) < width or row[width - 1] == "" for row in body):
        width -= 1  # separators at the end of every line
    header = header[:width]
    longer = [i for i, row in enumerate(body) if len(trimmed(row)) > width]
    if longer and are_row_names(body, width):
        header, width = ["", *header], width + 1
    elif longer:
        i = longer[0]
        raise BadTable(
            f"has {len(trimmed(body[i]))} cells in row {i + 1} where the header names {width}: a mark inside a number "
            "or a name must not be the separator; put such cells in quotes, or separate by ; or tabs"
        )
    return header, [[*row, *[""] * (width - len(row))][:width] for row in body]


def are_row_names(body: Sequence[Sequence[object]], width: int) -> bool:
    """Whether every row has one cell more than the header names, in front, that names or numbers the rows (as R's)."""
    if not body or any(len(row) != width + 1 for row in body):
        return False
    first = [str(row[0]) for row in body]
    counted = first in ([str(i) for i in range(len(body))], [str(i + 1) for i in range(len(body))])
    return counted or all(take_apart(name) is None for name in first)


def without_copies(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The table with its names; raises where two columns of one name hold different things."""
    keep: dict[str, int] = {}
    for i, name in enumerate(names):
        if name in keep and not table[i].equals(table[keep[name]]):
            raise BadTable(f"has two columns named {name!r} that differ: rename one")
        keep.setdefault(name, i)
    return table[list(keep.values())].set_axis(list(keep), axis=1)
