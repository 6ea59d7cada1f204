"""`scaling fit` of a task in two steps and of groups jointly, as a user types it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scaling.cli.fit import main
from scaling.errors import UserError


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    flops = np.repeat(1e18 * 4.0 ** np.arange(5), 7)
    params = 0.12 * (flops / 6) ** 0.51 * np.tile(np.geomspace(0.25, 4, 7), 5)
    tokens = flops / 6 / params
    loss = (0.5 + 100 / params**0.35 + 500 / tokens**0.37) * np.exp(0.003 * rng.standard_normal(35))
    accuracy = 0.25 + 0.6 / (1 + np.exp(6 * (loss - 0.9))) + 0.005 * rng.standard_normal(35)
    pd.DataFrame(
        {
            "params": params,
            "tokens": tokens,
            "bpb": loss,
            "acc": accuracy,
            "optimizer": ["adamw", "muon"] * 17 + ["muon"],
        }
    ).to_csv("task.csv", index=False)


def test_a_task_is_predicted_in_two_steps(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["task.csv", "task_loss=bpb", "accuracy=acc", "chance=.25", "mixed=[optimizer]", "bootstrap=40"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["signal_to_noise"] > 20
    first, second = found["predictions"]
    assert 0.25 < first["accuracy"] < second["accuracy"] < 0.9
    assert second["accuracy_low"] < second["accuracy"] < second["accuracy_high"]
    assert main(words) == 0
    assert "Step 2, accuracy from task loss" in " ".join(capsys.readouterr().out.split())


def test_a_missing_key_is_named() -> None:
    with pytest.raises(UserError, match="chance is missing"):
        main(["task.csv", "task_loss=bpb", "accuracy=acc", "--json"])


def test_groups_are_fitted_jointly(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["task.csv", "loss=bpb", "joint=optimizer", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["exponents_differ_p"] > 0.01
    assert set(found["models"][0]["groups"]) == {"adamw", "muon"}
