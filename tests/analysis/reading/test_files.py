"""Files by what they hold: dialects in test_dialects.py; here what is refused, and why."""

from pathlib import Path

import pandas as pd
import pytest

from analysis.reading.files import read
from analysis.refusals import BadColumn, BadTable, BadValue


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("22,73,3.6\n36,46,3.5\n", "has no header"),
        ("params,tokens,loss\n22,73,3,66\n", "has 4 cells in row 1 where the header names 3"),
        ("<!DOCTYPE html><html>", "holds a web page"),
        ("version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        ('{"params": [1, 2], "loss": [3]}', "columns of different lengths"),
        ('{"a": 1}\n{oops\n', "not JSON: .* in line 2"),
        ("params,loss,loss\n1,2,3\n", "two columns named 'loss'"),
        ("", "has no rows"),
    ],
)
def test_what_holds_no_table_is_refused_with_the_cause(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(text)
    with pytest.raises(BadTable, match=said) as refused:
        read(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "params;loss\n1e8;3,5\n", "params loss\n1e8   3.5\n", "| params | loss |\n|---|---|\n| 1e8 | 3.5 |\n",
        "# params loss\n1e8 3.5\n", "Runs of March\nparams,loss\n1e8,3.5\n", "params,loss,\n1e8,3.5,\n",
        '[["params","loss"],[1e8,3.5]]', '{"runs": [{"params": 1e8, "loss": 3.5}]}',
        '{"params": {"0": 1e8}, "loss": {"0": 3.5}}', '{"columns":["params","loss"],"data":[[1e8,3.5]]}',
    ],
)  # fmt: skip
def test_shapes_of_one_table(tmp_path: Path, text: str) -> None:
    path = tmp_path / "runs.txt"
    path.write_text(text)
    assert read(path)[["params", "loss"]].to_numpy(dtype=float).tolist() == [[1e8, 3.5]]


def test_row_names_in_front_get_a_column(tmp_path: Path) -> None:
    path = tmp_path / "r.txt"
    path.write_text('"params" "loss"\n"1" 1e8 3.5\n"2" 2e8 3.4\n')
    assert read(path)["params"].tolist() == [1e8, 2e8]


def test_a_mark_that_can_be_both_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text('params;loss\n10;"1,234"\n20;"2,345"\n')
    with pytest.raises(BadColumn, match=r"say decimal=, or decimal=\."):
        read(path)
    assert read(path, decimal=",")["loss"].tolist() == [1.234, 2.345]
    assert read(path, decimal="point")["loss"].tolist() == [1234, 2345]
    for wrong in ({"decimal": ";"}, {"sep": "x"}):
        with pytest.raises(BadValue):
            read(path, **wrong)
    with pytest.raises(BadTable, match=r"has one column, .* say sep=;"):
        read(path, sep="|")


def test_excel(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl", reason="pandas reads Excel through openpyxl, which is in no extra")
    pd.DataFrame({"params": [1e8], "loss": [3.5]}).to_excel(tmp_path / "runs.xlsx", index=False)
    assert read(tmp_path / "runs.xlsx")["loss"].tolist() == [3.5]
