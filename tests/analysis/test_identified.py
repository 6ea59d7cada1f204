"""Whether runs determine a law: many over decades of compute do, few over little compute do not."""

import numpy as np
import pandas as pd
from simulated import TRUTH, study

from analysis import laws
from analysis.fit import fit
from analysis.identified import identification


def test_runs_over_decades_of_compute_identify_the_law() -> None:
    found = identification(fit(study(noise=0.002), bootstrap=100))
    assert found.identified
    assert found.words.startswith("Identified")


def test_noisy_runs_over_little_compute_do_not() -> None:
    params = np.repeat([1.9e8, 3.7e8, 7.6e8, 1.3e9], 5)
    tokens = params * np.tile([10.0, 20.0, 40.0, 100.0, 200.0], 4)
    loss = laws.CHINCHILLA.loss(TRUTH, params=params, tokens=tokens)
    loss = loss * np.exp(0.01 * np.random.default_rng(0).standard_normal(20))
    found = identification(
        fit(pd.DataFrame({"params": params, "tokens": tokens, "loss": loss}), bootstrap=100)
    )
    assert not found.identified
    assert found.doubtful
    assert "could be anything from" in found.words


def test_without_intervals_nothing_is_called_identified() -> None:
    found = identification(fit(study(noise=0.002), bootstrap=0))
    assert not found.identified
    assert "cannot be said" in found.words
