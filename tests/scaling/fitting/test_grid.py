"""Tables fit the terminal: no word and no number is broken, however narrow it is."""

import io
import re

import pytest
from rich.console import Console

from scaling.fitting.grid import grids, wrap

HEADER = ("cut FLOPs", "fitted", "inside intervals", "mean error", "90% interval", "laws combined")
ROWS = (("5.41e11", "15", "not estimated", "12.77 %", "1.4450–1.4877", "not estimated"),) * 2


def printed(width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    for grid in grids(HEADER, ROWS, width):
        console.print(grid)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [24, 40, 60, 80, 200])
def test_every_word_is_printed_whole(width: int) -> None:
    text = printed(width)
    assert max(map(len, text.splitlines())) <= width
    shown = re.findall(r"[^\s–]+", text)
    for cell in (*HEADER, *ROWS[0]):
        assert set(re.findall(r"[^\s–]+", cell)) <= set(shown), cell
    whole = {word for cell in (*HEADER, *ROWS[0]) for word in re.findall(r"[^\s–]+", cell)}
    assert set(shown) <= whole


def test_a_number_keeps_its_percent_sign_and_an_interval_breaks_after_its_dash() -> None:
    assert wrap("about 12.77 %", 9) == "about\n12.77 %"
    assert wrap("1.4450–1.4877", 8) == "1.4450–\n1.4877"
    assert wrap("1.4450–1.4877", 13) == "1.4450–1.4877"


def test_a_table_too_wide_is_split_by_columns_and_repeats_the_first() -> None:
    assert len(grids(HEADER, ROWS, 200)) == 1
    narrow = grids(HEADER, ROWS, 30)
    assert len(narrow) > 1
    assert all(str(grid.columns[0].header).replace("\n", " ") == "cut FLOPs" for grid in narrow)
    assert sum(len(grid.columns) - 1 for grid in narrow) == len(HEADER) - 1
