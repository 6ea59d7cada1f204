"""Tables for laws of few columns: which columns are read, in which units, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from analysis import laws
from analysis.reading.few_columns import Told, has_one_variable, read_few_columns
from analysis.refusals import BadColumn, BadValue

SWEEP = pd.DataFrame(
    {
        "params (M)": [10.0, 10.0, 30.0],
        "Tokens_B": [1.0, 1.0, 2.0],
        "lr": [1e-3, 2e-3, 1e-3],
        "val_loss (bits/token)": [4.0, 3.9, 3.8],
    }
)
LAW = laws.LEARNING_RATE_ND


def test_units_in_names_are_read_and_stated() -> None:
    frame, stated = read_few_columns(SWEEP, LAW, Told())
    assert frame["params"].tolist() == [1e7, 1e7, 3e7]
    assert frame["flops"].tolist() == [6e16, 6e16, 3.6e17]
    assert frame["loss"].to_numpy() == pytest.approx(SWEEP["val_loss (bits/token)"] * np.log(2))
    assert stated["tokens"] == "column 'Tokens_B', in units of 1e+09, convention not stated"
    assert stated["loss"] == "column 'val_loss (bits/token)', nats/token, from bits/token"


def test_what_the_caller_says_comes_first() -> None:
    told = Told(
        {"learning_rate": "params (M)"}, {"learning_rate": 2.0}, {"lr": 1e-3}, {"learning_rate": "peak"}
    )
    frame, stated = read_few_columns(SWEEP, LAW, told)
    assert frame["learning_rate"].tolist() == [20.0, 60.0]
    assert stated["learning_rate"] == "column 'params (M)', in units of 2, peak"


def test_unfinished_runs_are_not_read() -> None:
    frame, _ = read_few_columns(SWEEP.assign(status=["done", "failed", float("nan")]), LAW, Told())
    assert frame["row"].tolist() == [1]


def test_columns_that_differ_are_refused_where_the_law_needs_them() -> None:
    rivals = SWEEP.assign(max_lr=SWEEP["lr"] * 2)
    with pytest.raises(BadColumn, match="learning_rate could be 'lr' or 'max_lr', which differ"):
        read_few_columns(rivals, LAW, Told())
    assert len(read_few_columns(rivals.rename(columns={"lr": "learning_rate"}), LAW, Told())[0]) == 3
    assert len(read_few_columns(SWEEP.assign(test_loss=3.0), LAW, Told())[0]) == 3  # it reads no loss


def test_what_is_missing_or_no_number_is_refused() -> None:
    with pytest.raises(
        BadColumn,
        match=r"law=batch_tokens_d needs a column for batch_tokens \(tokens in a batch\); the table has params",
    ):
        read_few_columns(SWEEP, laws.BATCH_TOKENS_D, Told())
    with pytest.raises(BadColumn, match="learning_rate=rate: no such column"):
        read_few_columns(SWEEP, LAW, Told({"learning_rate": "rate"}))
    with pytest.raises(BadValue, match=r"row 2 \(1 such rows\)"):
        read_few_columns(SWEEP.assign(lr=[1e-3, 0.0, 1e-3]), LAW, Told())


def test_one_variable_is_told_from_two() -> None:
    assert has_one_variable(SWEEP[["Tokens_B", "lr"]], {})
    assert not has_one_variable(SWEEP, {})
    assert not has_one_variable(SWEEP[["Tokens_B", "lr"]], {"params": "lr"})
