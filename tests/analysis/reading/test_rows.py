"""Rows that are fitted: repeats, missing numbers, and indices that repeat."""

import numpy as np
import pandas as pd
import pytest

from analysis import fit
from analysis.refusals import BadLoss, BadTable, BadValue
from analysis.table import load

RUNS = pd.DataFrame(
    {
        "params": np.tile([1e7, 3e7, 1e8, 3e8], 3),
        "tokens": np.repeat([1e9, 4e9, 1.6e10], 4),
    }
).assign(loss=lambda t: 1.8 + 482 / t["params"] ** 0.348 + 2085 / t["tokens"] ** 0.366)


def test_an_index_that_repeats_is_no_matter() -> None:
    twice = pd.concat([RUNS, RUNS.assign(loss=RUNS["loss"] + 0.01)])
    assert load(twice, repeats="best").frame["loss"].tolist() == RUNS["loss"].tolist()


def test_repeats_that_are_kept_are_fitted() -> None:
    table = load(pd.concat([RUNS, RUNS.assign(loss=RUNS["loss"] + 0.01)]), repeats="keep")
    assert len(fit(table, bootstrap=0).points) == 24


def test_rows_without_a_loss_are_dropped_only_when_asked() -> None:
    gaps = RUNS.assign(loss=RUNS["loss"].mask(RUNS.index == 4))
    with pytest.raises(BadLoss, match=r"row 5.*missing=drop"):
        load(gaps)
    assert load(gaps, missing="drop").excluded_by_reason() == {"no loss": 1}
    with pytest.raises(BadLoss, match="-1"):  # a wrong number is not a missing one
        load(RUNS.assign(loss=-1.0), missing="drop")
    with pytest.raises(BadValue, match="missing=skip"):
        load(RUNS, missing="skip")


def test_columns_may_be_numbered_and_the_index_named() -> None:
    numbered = RUNS.set_axis([0, 1, 2], axis=1)
    assert len(load(numbered, {"params": "0", "tokens": "1", "loss": "2"})) == 12
    assert len(load(RUNS.set_index("params"))) == 12
    with pytest.raises(BadTable, match="two columns are named 'loss'"):
        load(RUNS.set_axis(["params", "loss", "loss"], axis=1))
    with pytest.raises(BadTable, match="got list"):
        load([1, 2])  # type: ignore[arg-type]
