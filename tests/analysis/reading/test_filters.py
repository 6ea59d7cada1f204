"""Conditions on rows, from Python."""

import pandas as pd
import pytest

from analysis.refusals import BadColumn, BadValue
from analysis.table import load

RUNS = pd.DataFrame(
    {
        "N (M)": [100.0, 200.0, 400.0],
        "tokens": [1e9, 2e9, 8e9],
        "loss": [3.0, 2.9, 2.8],
        "opt": ["a", "b", "c"],
    }
)


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ({"params<": 3e8}, [1, 2]),
        ({"params>=": "0.2B"}, [2, 3]),
        ({"params>": 1e8, "loss>": 2.85}, [2]),
        ({"N (M)<=": 100}, [1]),
        ({"opt!=": "b"}, [1, 3]),
        ({"opt": ["a", "c"]}, [1, 3]),
        ({"flops<": 1e18}, [1]),
    ],
)
def test_conditions(where: dict[str, object], rows: list[int]) -> None:
    table = load(RUNS, where=where)
    assert table.frame["row"].tolist() == rows
    assert len(table) + len(table.excluded) == 3


def test_what_no_row_or_number_meets_is_refused() -> None:
    with pytest.raises(BadValue, match="needs one number"):
        load(RUNS, where={"loss<": "low"})
    with pytest.raises(BadColumn, match="no row has it"):
        load(RUNS, where={"loss<": 1})
    with pytest.raises(BadColumn, match="no such column"):
        load(RUNS, where={"lr<": 1})
