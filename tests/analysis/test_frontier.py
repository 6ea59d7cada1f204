"""Approach 1: the envelope recovers the law's optimum, and refuses what shows none."""

import numpy as np
import pandas as pd
import pytest
from simulated_isoflop import EXPONENT_A, best_params, loss_of

from analysis.frontier import envelope
from analysis.refusals import NoMinimum, NoSpread, TooFewPoints
from analysis.table import load


def curves(sizes: int = 13, noise: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Every size followed from a tenth to ten times its own optimal tokens."""
    rng = np.random.default_rng(seed)
    rows = []
    for flops in np.geomspace(1e18, 1e21, sizes):
        params = float(best_params(flops))
        tokens = flops / 6 / params * np.geomspace(0.05, 20, 25)
        loss = loss_of(np.full(25, params), tokens) * np.exp(noise * rng.standard_normal(25))
        rows.append(
            pd.DataFrame({"params": params, "tokens": tokens, "loss": loss, "run_id": f"{params:.0f}"})
        )
    return pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize("noise", [0.0, 0.001])
def test_exponents_and_size_of_a_known_law(noise: float) -> None:
    result = envelope(load(curves(noise=noise)))
    assert result.params_law.exponent == pytest.approx(EXPONENT_A, abs=0.02)
    assert float(result.params_law.predict(1e20)) == pytest.approx(best_params(1e20), rel=0.1)
    low, high = result.params_law.exponent_interval
    assert low < EXPONENT_A < high
    assert high - low < 0.2


def test_the_envelope_lies_on_or_below_every_curve() -> None:
    result = envelope(load(curves()))
    for _, winner in result.winners.iloc[::50].iterrows():
        log_flops = np.log(winner["flops"])
        for _, curve in result.curves.groupby("params"):
            there = np.interp(log_flops, np.log(curve["flops"]), np.log(curve["loss"]), left=9, right=9)
            assert np.log(winner["loss"]) <= there + 1e-9


def test_budgets_whose_best_size_was_hardly_tried_do_not_count() -> None:
    result = envelope(load(curves()))
    sizes = np.sort(result.curves["params"].unique())
    line = result.params_law.predict(result.winners["flops"].to_numpy())
    assert (line > sizes[0]).all()
    assert (line < sizes[-1]).all()
    assert result.winners["flops"].max() < result.curves["flops"].max() / 5


def test_noise_does_not_flatten_the_line() -> None:
    """Budgets that counted by who wins at them would put the exponent at .47 here, since ends win by chance."""
    sizes, ratios = np.geomspace(5e7, 5e9, 20), np.geomspace(5, 320, 6)
    params, tokens = np.repeat(sizes, 6), np.outer(sizes, ratios).ravel()
    clean = loss_of(params, tokens)
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        noise = 0.0028 * (rng.standard_normal(120) + np.repeat(rng.standard_normal(20), 6))
        runs = pd.DataFrame({"params": params, "tokens": tokens, "loss": clean * np.exp(noise)})
        found.append(envelope(load(runs)).params_law.exponent)
    assert np.mean(found) == pytest.approx(EXPONENT_A, abs=3 * np.std(found) / np.sqrt(30))
    assert np.std(found) < 0.04


def test_refusals() -> None:
    frame = curves()
    few = frame[frame["params"].isin(np.sort(frame["params"].unique())[:3])]
    with pytest.raises(TooFewPoints, match="3 sizes with two or more token counts"):
        envelope(load(few))
    single = frame.groupby("params", as_index=False).first()
    with pytest.raises(TooFewPoints, match="0 sizes"):
        envelope(load(single))
    apart = frame.assign(tokens=frame["tokens"] * 1e-12 * (frame["params"] / frame["params"].min()) ** 12)
    with pytest.raises(NoSpread, match="overlap"):
        envelope(load(apart))
    # The larger the better at any compute: the largest size wins everywhere.
    with pytest.raises(NoMinimum, match="add sizes"):
        envelope(load(frame.assign(loss=3 + 1e3 / frame["params"] ** 0.5)))
