"""From a file or a sweep's folder to a study, by the keys that a user gives."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated_isoflop import TRUTH, isoflop_study

from analysis import laws
from analysis.isoflop import Valleys
from analysis.refusals import BadColumn, DuplicateRows, MixedTable
from analysis.result import FitResult
from analysis.study import Study
from scaling.errors import UserError
from scaling.fitting.keys import FitKeys
from scaling.fitting.study import fit_study


def study_of(folder: Path, frame: pd.DataFrame, keys: FitKeys, need_law: bool = False) -> Study:
    frame.to_csv(folder / "runs.csv", index=False)
    return fit_study(folder / "runs.csv", replace(keys, bootstrap=0), need_law=need_law)


@pytest.mark.parametrize(("law", "rows"), [("kaplan_c", 5), ("kaplan_n", 35)])
def test_a_law_of_one_variable_takes_the_best_runs(tmp_path: Path, law: str, rows: int) -> None:
    study = study_of(tmp_path, isoflop_study(noise=0.002), FitKeys(law=law))
    assert isinstance(study.fit, FitResult)
    assert len(study.fit.points) == rows
    assert len(study.table.excluded) == 35 - rows
    assert isinstance(study.valleys, Valleys)
    assert len(study.valleys.valleys) == 5  # the valleys still see every run


def test_units_mixed_conditions_and_repeats_are_keys(tmp_path: Path) -> None:
    frame = isoflop_study(noise=0.002).assign(optimizer=["adamw", "muon"] * 17 + ["adamw"])
    frame["tokens"] /= 1e9
    odd = pd.concat([frame, frame.head(1).assign(loss=9.0)])
    told = FitKeys(units={"tokens": 1e9}, mixed=["optimizer"], repeats="best")
    for fewer, kind, mend in (
        (replace(told, units={}), BadColumn, "units.tokens=1e9"),
        (replace(told, mixed=[]), MixedTable, "mixed="),
        (replace(told, repeats="refuse"), DuplicateRows, "repeats=best"),
    ):
        with pytest.raises(kind, match=mend):
            study_of(tmp_path, odd, fewer)
    study = study_of(tmp_path, odd, told)
    assert isinstance(study.fit, FitResult)
    assert study.fit.parameters["E"] == pytest.approx(TRUTH["E"], rel=0.05)
    assert any("mixed as asked" in note for note in study.table.notes)


def test_an_approach_without_an_answer_is_refused_with_the_reason(tmp_path: Path) -> None:
    few = isoflop_study(budgets=1, sizes=5)
    assert isinstance(study_of(tmp_path, few, FitKeys()).valleys, Valleys)  # one approach has an answer
    with pytest.raises(UserError, match="at least 6"):
        study_of(tmp_path, few, FitKeys(), need_law=True)
    with pytest.raises(UserError, match="at least 6"):
        study_of(tmp_path, few, FitKeys(approach="parametric"))


def test_a_folder_with_a_published_table(tmp_path: Path) -> None:
    """A committed study is its records.csv."""
    frame = isoflop_study(noise=0.002).rename(columns={"params": "params_total", "loss": "loss_nats"})
    frame = frame.assign(params_non_embedding=frame["params_total"] * 0.8, status="done", corpus="text")
    frame.to_csv(tmp_path / "records.csv", index=False)
    study = fit_study(tmp_path, FitKeys(bootstrap=0))
    assert study.table.convention["params"] == "column 'params_total', total, embeddings included"
    assert study.table.source == str(tmp_path)


def test_repeated_data_goes_into_a_study(tmp_path: Path) -> None:
    law = laws.MUENNIGHOFF
    sizes = np.geomspace(7e7, 8e9, 6)
    rows = [(n, u * e, e) for n in sizes for u in (1e8, 1e9, 1e10) for e in (1, 3, 10, 40)]
    table = pd.DataFrame(rows, columns=["N", "D", "epochs"])
    x = {"params": table["N"], "tokens": table["D"], "unique_tokens": table["D"] / table["epochs"]}
    truth = law.published["muennighoff2023"]
    losses = law.loss(truth, **{name: column.to_numpy() for name, column in x.items()})
    noise = np.random.default_rng(0).standard_normal(len(table))
    study = study_of(tmp_path, table.assign(loss=losses * np.exp(0.001 * noise)), FitKeys(law="muennighoff"))
    assert "unique tokens are tokens over column 'epochs'" in study.table.notes
    assert isinstance(study.fit, FitResult)
    assert study.fit.parameters["R_D"] == pytest.approx(truth["R_D"], rel=0.2)
    assert any("law=muennighoff knows what repeats are worth" in note for note in study.table.notes)
