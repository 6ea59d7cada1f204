"""Pools of finished runs: costs by formula, replays that see only what they chose, and how they are judged."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import laws, objectives
from scaling.errors import UserError
from scaling.simulate.formula import cost_of
from scaling.simulate.pool import Pool, pools_of, r_squared, read_both
from scaling.simulate.pool_choice import choose_rows
from scaling.simulate.replay import METHODS, play

LAW = laws.CHINCHILLA
THETA = LAW.coordinates(LAW.published["besiroglu2024"])


def pool(noise: float = 0.0, seed: int = 0) -> Pool:
    rng = np.random.default_rng(seed)
    params = np.exp(rng.uniform(np.log(1e7), np.log(1e9), 120))
    tokens = params * np.exp(rng.uniform(np.log(3), np.log(100), 120))
    far = np.geomspace(3e9, 1e10, 8)

    def loss(n: np.ndarray, d: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(LAW.predict(THETA[None], {"params": n, "tokens": d})[0][0]))

    seen = loss(params, tokens) * np.exp(noise * rng.standard_normal(120))
    return Pool(
        "", {"params": params, "tokens": tokens}, (seen,), 6 * params * tokens,
        {"params": far, "tokens": 20 * far}, (loss(far, 20 * far),), np.arange(1, 121),
    )  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_a_replay_keeps_its_budget_and_finds_the_law_without_noise(method: str) -> None:
    played = play([pool()], LAW, objectives.get("mse_log"), 0.2, method, 0)
    assert played.spent <= 0.2 * (1 + 1e-9)
    assert len(set(played.chosen[0])) == len(played.chosen[0])
    assert played.r2 == pytest.approx(1.0, abs=1e-6)


def test_chosen_runs_foretell_the_target_better_than_random_ones() -> None:
    chosen, random = (
        np.mean(
            [
                play([pool(0.01, seed)], LAW, objectives.get("mse_log"), 0.1, method, seed).r2
                for seed in range(4)
            ]
        )
        for method in ("chosen", "random")
    )
    assert chosen > random


def test_losses_of_runs_not_chosen_do_not_matter() -> None:
    first = pool(0.005)
    chosen = list(play([first], LAW, objectives.get("mse_log"), 0.1, "chosen", 0).chosen[0])
    other = first.seen[0] * 2
    other[chosen] = first.seen[0][chosen]
    changed = Pool(first.group, first.x, (other,), first.cost, first.target_x, first.held, first.row)
    assert list(play([changed], LAW, objectives.get("mse_log"), 0.1, "chosen", 0).chosen[0]) == chosen


def test_r_squared_is_clipped() -> None:
    truth = np.array([1.0, 2.0, 3.0])
    assert r_squared(truth, truth) == 1.0
    assert r_squared(truth, np.full(3, 2.0)) == 0.0
    assert r_squared(truth, truth + 100) == -1.0
    assert r_squared(truth, np.array([1.0, np.nan, 3.0])) == -1.0


def test_a_cost_is_a_formula_of_columns_and_nothing_else() -> None:
    frame = pd.DataFrame({"params": [1.0, 2.0], "tokens": [10.0, 20.0]})
    assert cost_of(frame, "6*params*tokens").tolist() == [60.0, 240.0]
    assert cost_of(frame, "1").tolist() == [1.0, 1.0]
    assert cost_of(frame, "params**2/(tokens-5)").tolist() == pytest.approx([0.2, 4 / 15])
    for formula, said in (
        ("6*prams", "params"),
        ("__import__('os')", "only numbers"),
        ("params-1", "row 1 would cost 0"),
        ("params*", "not a formula"),
    ):
        with pytest.raises(UserError, match=said):
            cost_of(frame, formula)


def test_one_table_may_hold_pool_and_target(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    pd.DataFrame(
        {
            "N": [1e6, 2e6, 4e6],
            "D": [1e8, 1e8, 2e8],
            "loss": [4.0, 3.5, 3.0],
            "split": ["train", "train", "test"],
        }
    ).to_csv(path, index=False)
    frame, region = read_both(str(path), "", {})
    (found,) = pools_of(frame, region, LAW, {"params": "N", "tokens": "D"}, [], None, None, {})
    assert found.cost.tolist() == [6e14, 1.2e15]
    assert found.row.tolist() == [1, 2]
    assert found.held[0].tolist() == [3.0]
    with pytest.raises(UserError, match=r"columns\.params="):
        pools_of(frame, region, LAW, {}, [], None, None, {})


def test_rows_chosen_before_any_loss_leave_little_more_error_than_all() -> None:
    rows, every, few = choose_rows(pool(), LAW, 0.2, None, 40)
    assert every < few < 4 * every
    given = pool()
    assert given.cost[rows].sum() <= 0.2 * given.cost.sum()
