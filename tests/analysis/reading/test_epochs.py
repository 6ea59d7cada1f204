"""Unique tokens from passes over them: those of a row, or of a whole run."""

import pandas as pd
import pytest

from analysis.refusals import BadColumn
from analysis.table import load


def curve(unique: float, passes: int, run: str, params: float) -> pd.DataFrame:
    tokens = [unique * passes * k / 4 for k in range(1, 5)]
    return pd.DataFrame(
        {"run": run, "params": params, "tokens": tokens, "loss": [3.0, 2.8, 2.7, 2.65], "epochs": passes}
    )


CURVES = pd.concat([curve(1e9, 4, "a", 1e8), curve(2e9, 8, "b", 2e8)])


def test_passes_of_a_whole_run_give_one_set_of_unique_tokens() -> None:
    frame = load(CURVES).frame
    assert frame.groupby("cluster")["unique_tokens"].agg(["min", "max"]).to_numpy().tolist() == [
        [1e9] * 2,
        [2e9] * 2,
    ]


def test_passes_of_each_row_give_the_same() -> None:
    by_row = CURVES.assign(epochs=CURVES["tokens"] / CURVES["run"].map({"a": 1e9, "b": 2e9}))
    assert load(by_row).frame["unique_tokens"].tolist() == [1e9] * 4 + [2e9] * 4


def test_tokens_of_an_epoch_are_the_unique_tokens() -> None:
    table = load(CURVES.assign(tokens_per_epoch=CURVES["run"].map({"a": 1e9, "b": 2e9})))
    assert table.frame["unique_tokens"].tolist() == [1e9] * 4 + [2e9] * 4


def test_unique_tokens_that_vary_along_a_run_are_refused() -> None:
    with pytest.raises(BadColumn, match="unique tokens of run 'a' vary from"):
        load(CURVES.assign(unique_tokens=CURVES["tokens"] / CURVES["epochs"]))
