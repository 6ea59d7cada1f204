"""Tables on a terminal of any width: cells wrap between words alone, and a table too wide is split by columns."""

import re
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

GAP = 2
"""Spaces between neighbouring columns."""
_WORD = re.compile(r"[^\s–]+(?:–(?=\S))?(?: %)?|–")
"""What stays on one line: a word, or a number with its percent sign; a line may end after an interval's dash."""

Row = Sequence[str]


def words_of(cell: str) -> list[str]:
    """A cell's words, none of which may be broken."""
    return _WORD.findall(cell)


def wrap(cell: str, width: int) -> str:
    """The cell in lines of at most `width` characters, broken between words alone; a longer word keeps its length."""
    lines: list[str] = []
    line = ""
    for word in words_of(cell):
        joined = line + ("" if not line or line.endswith("–") else " ") + word
        if line and len(joined) > width:
            lines.append(line)
            line = word
        else:
            line = joined
    return "\n".join([*lines, line])


def column_widths(columns: Sequence[Row], width: int) -> list[int] | None:
    """A width for each column, so that all stand beside each other in `width`; None where their words are too long.

    Args:
        columns: the cells of each column, its heading first.
        width: characters of a line.
    """
    least = [max((len(word) for cell in cells for word in words_of(cell)), default=0) for cells in columns]
    widths = [max(map(len, cells)) for cells in columns]
    room = width - GAP * (len(columns) - 1)
    if sum(least) > room:
        return None
    while sum(widths) > room:
        widest = max((k for k in range(len(widths)) if widths[k] > least[k]), key=lambda k: widths[k])
        widths[widest] -= 1
    return widths


def grids(header: Row, rows: Sequence[Row], width: int, *, numbers: bool = True) -> list[Table]:
    """A table, or several that each repeat the first column and show as many others as fit.

    Args:
        header: the columns' headings.
        rows: their cells.
        width: characters of a line.
        numbers: whether columns after the first stand to the right.
    """
    columns = [[name, *(row[k] for row in rows)] for k, name in enumerate(header)]
    tables = []
    rest = list(range(1, len(columns)))
    while True:
        count = len(rest)
        while count > 1 and column_widths([columns[k] for k in (0, *rest[:count])], width) is None:
            count -= 1
        tables.append(_table([columns[k] for k in (0, *rest[:count])], width, numbers))
        rest = rest[count:]
        if not rest:
            return tables


def _table(columns: Sequence[Row], width: int, numbers: bool) -> Table:
    widths = column_widths(columns, width)
    if widths is None:  # one word is longer than the line: it is not broken for that
        widths = [max(len(word) for cell in cells for word in words_of(cell) or [""]) for cells in columns]
    grid = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0))
    for k, (cells, column_width) in enumerate(zip(columns, widths, strict=True)):
        grid.add_column(
            Text(wrap(cells[0], column_width)),
            justify="right" if numbers and k else "left",
            width=column_width,
            no_wrap=True,
        )
    for row in zip(*(cells[1:] for cells in columns), strict=True):
        grid.add_row(*(Text(wrap(cell, size)) for cell, size in zip(row, widths, strict=True)))
    return grid
