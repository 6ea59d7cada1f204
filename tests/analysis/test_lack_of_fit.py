"""Repeated runs give the noise floor; a law that bends, and a rung that is off, are found."""

import numpy as np
import pandas as pd
import pytest
from simulated import study

from analysis.fit import fit
from analysis.lack_of_fit import pure_error, rungs_off
from analysis.sections.lack_of_fit import floor_words, rung_words
from analysis.table import load

NOISE = 0.003


def replicated() -> pd.DataFrame:
    """The same study under two seeds."""
    both = [study(noise=NOISE, seed=seed).assign(seed=seed) for seed in (1, 2)]
    return pd.concat(both, ignore_index=True)


def test_replicates_give_the_noise_floor_and_a_right_law_passes() -> None:
    found = pure_error(fit(replicated(), bootstrap=0), 5)
    assert found is not None
    assert found.freedom == 48
    assert found.noise == pytest.approx(NOISE, rel=0.3)
    assert found.p_value > 0.01
    assert floor_words(found).startswith("Noise floor")


def test_a_law_that_bends_elsewhere_fails() -> None:
    runs = replicated()
    compute = np.log(runs["params"] * runs["tokens"])
    bent = runs.assign(loss=runs["loss"] * (1 + 0.02 * np.sin(2 * compute)))
    found = pure_error(fit(bent, bootstrap=0), 5)
    assert found is not None
    assert found.p_value < 1e-6
    assert floor_words(found).startswith("Warning")


def test_without_repeats_there_is_no_floor() -> None:
    assert pure_error(fit(study(), bootstrap=0), 5) is None


def test_a_rung_that_is_off_is_named_and_no_other() -> None:
    runs = study(noise=NOISE)
    rung = load(runs).frame["budget"].to_numpy() == np.sort(load(runs).frame["budget"].unique())[2]
    off = runs.assign(loss=runs["loss"] * np.where(rung, 1.03, 1.0))
    table = load(off)
    (found,) = rungs_off(table, fit(off, bootstrap=0))
    assert found.role == "budget"
    assert found.value == pytest.approx(table.frame.loc[rung, "budget"].iloc[0])
    assert found.mean_residual > 0.01
    assert "FLOPs lie +" in rung_words(found)
    assert rungs_off(load(runs), fit(runs, bootstrap=0)) == ()
