"""Published laws with what is known of their uncertainty, and fits of the user's own runs."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import laws
from analysis.fit import fit
from scaling.budget.keys import DEFAULT_LAW
from scaling.budget.law import PUBLISHED_COVARIANCE, choose_law
from scaling.errors import UserError


def test_a_law_by_its_study_or_by_its_name() -> None:
    assert choose_law("hoffmann2022").form.name == "chinchilla"
    assert choose_law("chinchilla").form.name == "chinchilla"
    kaplan = choose_law("kaplan2020")
    assert kaplan.counts_non_embedding
    assert not choose_law(DEFAULT_LAW).counts_non_embedding
    assert kaplan.interval(np.empty(0)) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [("chinchila", "did you mean chinchilla"), ("zzz", "choose one of"), ("nowhere/else", "no such folder"),
     ("nothing.json", "fit the runs first")],
)  # fmt: skip
def test_a_law_that_is_not_there_is_refused(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose_law(name)


def test_a_fit_of_ones_own_carries_its_draws_and_the_compute_of_its_runs(tmp_path: Path) -> None:
    law = laws.get("chinchilla")
    params = np.repeat(np.geomspace(1e6, 1e8, 6), 6)
    tokens = np.tile(np.geomspace(1e8, 1e10, 6), 6)
    loss = law.loss(law.published["hoffmann2022"], params=params, tokens=tokens)
    noise = np.exp(1e-3 * np.random.default_rng(0).standard_normal(36))
    table = pd.DataFrame({"params": params, "tokens": tokens, "loss": loss * noise})
    # As `scaling fit runs/NAME` leaves it: the fit among the rest of the study, in runs/NAME/fit/study.json.
    (tmp_path / "fit").mkdir()
    study = {**json.loads(fit(table, bootstrap=50).to_json()), "table": {"runs": 36}, "plan": []}
    (tmp_path / "fit" / "study.json").write_text(json.dumps(study))
    own = choose_law(str(tmp_path))
    assert own.form == law
    assert own.draws.shape == (50, 5)
    assert own.fitted_flops == pytest.approx((6e14, 6e18))
    exponents = own.draws[:, law.parameters.index("alpha")]
    interval = own.interval(exponents)
    assert interval is not None
    assert interval[0] < own.theta[law.parameters.index("alpha")] < interval[1]
    # Few groups of runs widen it beyond the draws' own percentiles.
    assert interval[1] - interval[0] > np.ptp(np.quantile(exponents, [0.05, 0.95]))


def test_a_folder_without_a_fitted_law_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fit the runs first"):
        choose_law(str(tmp_path))
    (tmp_path / "study.json").write_text('{"table": {}}')
    with pytest.raises(UserError, match="holds no fitted law"):
        choose_law(str(tmp_path))


def test_the_default_law_carries_the_interval_of_its_study() -> None:
    law = choose_law(DEFAULT_LAW)
    at = {name: law.form.parameters.index(name) for name in ("A", "B", "E", "alpha", "beta")}
    spread = np.sqrt(np.diag(PUBLISHED_COVARIANCE[DEFAULT_LAW]))
    # Besiroglu et al. 2024 (arXiv:2404.10102), table 1: A 482.01 (124.58), B 2085.43 (1293.23), E 1.8172 (0.03),
    # alpha 0.3478 (0.02), beta 0.3658 (0.02)
    assert spread[at["A"]] == pytest.approx(124.58 / 482.01, rel=0.1)
    assert spread[at["E"]] * 1.8172 == pytest.approx(0.03, abs=0.005)
    assert spread[at["alpha"]] == pytest.approx(0.02, abs=0.005)
    assert spread[at["beta"]] == pytest.approx(0.02, abs=0.005)
    # and of the exponent of the optimum: 0.51 (0.02)
    exponent = law.draws[:, at["beta"]] / (law.draws[:, at["alpha"]] + law.draws[:, at["beta"]])
    assert exponent.mean() == pytest.approx(0.51, abs=0.01)
    assert exponent.std() == pytest.approx(0.02, abs=0.003)
