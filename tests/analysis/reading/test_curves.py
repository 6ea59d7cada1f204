"""Tables of whole loss curves: which columns are read, and which rows are refused."""

import pandas as pd
import pytest

from analysis.reading.curves import read_curves
from analysis.refusals import BadColumn, BadLoss

CURVE = pd.DataFrame({"Global Step": [10, 20, 30], "lr": [1e-3, 5e-4, 0.0], "train_loss": [4.0, 3.5, 3.2]})


def test_columns_are_found_by_well_known_names() -> None:
    frame = read_curves(CURVE.assign(schedule=["a", "a", "b"]), {}, {})
    assert frame["step"].tolist() == [10, 20, 30]
    assert frame["run"].tolist() == ["a", "a", "b"]
    assert read_curves(CURVE, {}, {"lr": 1e-3})["loss"].tolist() == [4.0]
    assert (
        read_curves(CURVE, {}, {})["run"].tolist() == ["1"] * 3
    )  # nothing names runs: all rows are one curve


def test_a_missing_column_is_refused() -> None:
    with pytest.raises(BadColumn, match=r"a column for cluster, .* has Global Step, lr, train_loss: say"):
        read_curves(CURVE, {"cluster": "run"}, {})
    with pytest.raises(BadColumn, match="a column for step"):
        read_curves(CURVE.drop(columns="Global Step"), {}, {})


@pytest.mark.parametrize("loss", [float("nan"), -1.0])
def test_a_row_without_numbers_is_refused(loss: float) -> None:
    with pytest.raises(BadLoss, match=r"row 2 \(1 such rows\)"):
        read_curves(CURVE.assign(train_loss=[4.0, loss, 3.2]), {}, {})
