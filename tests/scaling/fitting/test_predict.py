"""`predict=OTHER.csv`: one prediction for each row of the other table, for a study and for a law of other columns."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import laws
from analysis.refusals import Refusal
from scaling.fitting.keys import FitKeys
from scaling.fitting.report import fit_and_report

LAW = laws.get("parallel_chen")


def streams(tmp_path: Path) -> tuple[Path, pd.DataFrame]:
    """A table of a law of parameters and parallel streams, without noise."""
    frame = pd.DataFrame(
        {"num_params": np.repeat(np.geomspace(1e8, 5e9, 6), 4), "parallel_size": np.tile([1, 2, 4, 8], 6)}
    )
    frame["loss"] = LAW.loss(
        LAW.known_values,
        params=frame["num_params"].to_numpy(float),
        streams=frame["parallel_size"].to_numpy(float),
    )
    path = tmp_path / "runs.csv"
    frame.to_csv(path, index=False)
    return path, frame


def test_a_law_of_other_columns_predicts_rows_without_a_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, _ = streams(tmp_path)
    other = tmp_path / "other.csv"
    pd.DataFrame({"parallel_size": [4, 1], "num_params": [2e10, 1e10]}).to_csv(other, index=False)
    fit_and_report(runs, FitKeys(law=LAW.name, bootstrap=0, predict=str(other)), as_json=True)
    record = json.loads(capsys.readouterr().out)
    expected = LAW.loss(LAW.known_values, params=np.array([2e10, 1e10]), streams=np.array([4.0, 1.0]))
    assert [row["loss"] for row in record["predictions"]] == pytest.approx(expected.tolist(), rel=1e-3)
    assert all(row["low"] <= row["loss"] <= row["high"] for row in record["predictions"])
    assert LAW.name in record["predictions"][0]["by_law"]


def test_losses_of_the_other_table_are_compared_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, frame = streams(tmp_path)
    keys = FitKeys(law=LAW.name, bootstrap=0, predict=str(runs), figures=False, out=str(tmp_path / "out"))
    fit_and_report(runs, keys)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{len(frame)} rows have a loss: mean error 0.00" in shown


def test_a_bad_row_of_the_other_table_is_named(tmp_path: Path) -> None:
    runs, _ = streams(tmp_path)
    other = tmp_path / "other.csv"
    pd.DataFrame({"parallel_size": [4, 0], "num_params": [2e10, 1e10]}).to_csv(other, index=False)
    with pytest.raises(Refusal, match="row 2"):
        fit_and_report(runs, FitKeys(law=LAW.name, bootstrap=0, predict=str(other)), as_json=True)
