"""The rows of another table predicted, in its order."""

import numpy as np
import pandas as pd
import pytest
from simulated_isoflop import isoflop_study

from analysis.forecast import Forecaster, forecaster
from analysis.predictions import predict_rows, read_rows_to_predict
from analysis.refusals import BadColumn, Refusal
from analysis.table import Table, load


@pytest.fixture(scope="module")
def runs() -> Table:
    return load(isoflop_study(noise=0.002, budgets=6))


@pytest.fixture(scope="module")
def known(runs: Table) -> Forecaster:
    return forecaster(runs.frame, names=("chinchilla", "gadre"))


OTHER = pd.DataFrame({"tokens": [1e12, 2e10, 1e12], "params": [5e9, 1e9, 5e9]})


def test_every_row_is_predicted_in_its_order_copies_too(runs: Table, known: Forecaster) -> None:
    predicted = predict_rows(known, read_rows_to_predict(OTHER, runs))
    assert predicted.rows["params"].tolist() == [5e9, 1e9, 5e9]
    records = predicted.records()
    assert [set(record) for record in records] == [{"loss", "low", "high", "by_law"}] * 3
    assert records[0] == records[2]
    assert predicted.forecast.loss[1] > predicted.forecast.loss[0]
    assert set(predicted.forecast.by_law) == {"chinchilla", "gadre"}
    assert np.isnan(predicted.mean_error)


def test_losses_are_compared_where_there_are_some(runs: Table, known: Forecaster) -> None:
    blank = predict_rows(known, read_rows_to_predict(OTHER, runs))
    loss = [blank.forecast.loss[0] * 1.0005, np.nan, blank.forecast.high[2] * 1.5]
    predicted = predict_rows(known, read_rows_to_predict(OTHER.assign(loss=loss), runs))
    assert predicted.known.tolist() == [True, False, True]
    assert predicted.errors[0] == pytest.approx(1 / 1.0005 - 1)
    assert predicted.covered == 0.5
    assert "observed" not in predicted.records()[1]
    assert predicted.records()[0]["observed"] == pytest.approx(loss[0])


def test_a_row_that_cannot_be_is_named(runs: Table) -> None:
    with pytest.raises(Refusal, match="row 2"):
        read_rows_to_predict(OTHER.assign(params=[1e9, -1.0, 2e9]), runs)


def test_a_missing_column_is_named(runs: Table) -> None:
    with pytest.raises(BadColumn, match="no column for tokens"):
        read_rows_to_predict(OTHER[["params"]], runs)


def test_another_way_of_counting_parameters_is_refused(runs: Table) -> None:
    with pytest.raises(BadColumn, match="params would be 'params_non_embedding', but the runs' are 'params'"):
        read_rows_to_predict(OTHER.rename(columns={"params": "params_non_embedding"}), runs)


def test_columns_are_those_that_the_caller_named() -> None:
    named = {"params": "size", "tokens": "data", "loss": "xent_c4"}
    frame = isoflop_study().rename(columns={"params": "size", "tokens": "data", "loss": "xent_c4"})
    runs = load(frame, named)
    rows = read_rows_to_predict(OTHER.rename(columns={"params": "size", "tokens": "data"}), runs, named)
    assert rows["params"].tolist() == [5e9, 1e9, 5e9]
    assert rows["loss"].isna().all()
