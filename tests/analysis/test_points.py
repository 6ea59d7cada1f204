"""The runs of a fit: what cannot be fitted is refused by name, and clusters are kept apart."""

import numpy as np
import pandas as pd
import pytest
from simulated import TRUTH, study

from analysis import laws
from analysis.fit import fit
from analysis.refusals import (
    BadColumn,
    BadLoss,
    BadValue,
    DuplicateRows,
    NoSpread,
    NotIdentified,
    TooFewPoints,
)


def bad(**change: object) -> pd.DataFrame:
    table = study(budgets=3)
    for name, value in change.items():
        table[name] = [*table[name].head(4), value, *table[name].tail(-5)]
    return table


@pytest.mark.parametrize(
    ("table", "options", "refusal", "words"),
    [
        (bad(loss=np.nan), {}, BadLoss, "row 5"),
        (bad(loss=-1.0), {}, BadLoss, "-1.0"),
        (bad(params=0.0), {}, BadValue, "params"),
        (study().head(5), {}, TooFewPoints, "at least 6"),
        (study().assign(params=1e9), {}, NoSpread, "params"),
        (study().drop(columns="tokens"), {}, BadColumn, "missing tokens"),
        (study(), {"law": "chinchila"}, BadValue, "choose one"),
        (study(), {"objective": "huber"}, BadValue, "huber_log"),
        (study(), {"weights": "se"}, BadColumn, "se"),
        (study(), {"weights": [1.0]}, BadValue, "48"),
        (study(), {"cluster": "trunk"}, BadColumn, "trunk"),
        (study(), {"level": 90}, BadValue, "0.9"),
    ],
)
def test_refusals_name_what_is_wrong(
    table: pd.DataFrame, options: dict[str, object], refusal: type[ValueError], words: str
) -> None:
    with pytest.raises(refusal, match=words) as caught:
        fit(table, bootstrap=0, **options)  # type: ignore[arg-type]  # some are wrong on purpose
    assert "\n" not in str(caught.value)


def test_the_same_run_with_two_losses_is_refused_unless_a_seed_tells_them_apart() -> None:
    table = study(budgets=3)
    double = pd.concat([table, table.head(1).assign(loss=4.0)], ignore_index=True)
    with pytest.raises(DuplicateRows, match="rows 1 and 25"):
        fit(double, bootstrap=0)
    assert len(fit(double.assign(seed=[0] * 24 + [1]), bootstrap=0).points) == 25


def test_runs_at_one_ratio_of_tokens_to_parameters_are_refused() -> None:
    params = np.geomspace(1e8, 1e10, 20)
    loss = laws.CHINCHILLA.loss(TRUTH, params=params, tokens=20 * params)
    with pytest.raises(NotIdentified, match=r"N\^1\.00"):
        fit(pd.DataFrame({"params": params, "tokens": 20 * params, "loss": loss}), bootstrap=0)


def test_a_run_without_a_cluster_is_one_of_its_own() -> None:
    table = study(budgets=3).assign(cluster=["a", "a", "b", "b", *[float("nan")] * 20])
    assert fit(table, bootstrap=0).clusters == 22
