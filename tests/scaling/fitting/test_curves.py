"""Whole loss curves from a table and from a sweep's folder."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import laws, schedule
from analysis.refusals import BadColumn, BadTable
from scaling.cli.fit import main
from scaling.fitting.curves import fit_curves
from scaling.fitting.keys import FitKeys


def curves() -> pd.DataFrame:
    """Recorded losses of the multi-power law under a cosine, a decay at the end and a constant learning rate."""
    law, steps, warm = laws.get("multi_power"), 1000, 50
    truth = {"L0": 2.6, "A": 0.65, "B": 400.0, "C": 2.0, "alpha": 0.42, "beta": 0.6, "gamma": 0.65}
    t, at = np.arange(1, steps + 1), np.arange(5, steps + 1, 5)
    shapes = {
        "cosine": 0.1 + 0.45 * (1 + np.cos(np.pi * np.clip((t - warm) / (steps - warm), 0, 1))),
        "decay": np.clip((steps - t) / (0.2 * steps), 0.1, 1),
        "constant": np.ones(steps),
    }
    parts = []
    for name, shape in shapes.items():
        rates = 3e-4 * np.minimum(1, t / warm) * shape
        bare = schedule.Curve(rates, warm, at[at > warm], np.empty(0))
        losses = np.exp(law.predict(law.coordinates(truth)[None], schedule.columns([bare]))[0][0])
        early = np.full((at <= warm).sum(), 99.0)
        parts.append(
            pd.DataFrame({"run": name, "step": at, "lr": rates[at - 1], "loss": np.r_[early, losses]})
        )
    return pd.concat(parts)


def test_whole_curves_from_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    curves().to_csv("curves.csv", index=False)
    assert main(["curves.csv", "law=multi_power", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["law"] == "multi_power"
    assert len(record["points"]["loss"]) == 3 * 40
    assert max(record["points"]["loss"]) < 99  # losses of the warm-up are not the law's
    assert record["objective"] < 120 * 1e-3 * 1e-3  # a mean residual below 0.1 % of the loss
    assert record["parameters"]["L0"] == pytest.approx(2.6, rel=0.05)
    with pytest.raises(BadColumn, match="needs a column for learning_rate"):
        main(["curves.csv", "law=multi_power", "learning_rate=rate"])


@pytest.mark.parametrize(
    ("key", "keys"),
    [
        ("cluster", FitKeys(cluster="absent")),
        ("step", FitKeys(step="absent")),
        ("loss", FitKeys(loss="absent")),
    ],
)
def test_a_column_that_is_not_there_is_refused_by_its_key(tmp_path: Path, key: str, keys: FitKeys) -> None:
    curves().to_csv(tmp_path / "curves.csv", index=False)
    with pytest.raises(
        BadColumn, match=f"needs a column for {key}.*the table has run, step, lr, loss: say {key}="
    ):
        fit_curves(tmp_path / "curves.csv", keys)


def test_a_folder_without_curves_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTable, match=r"holds no curve\.csv beside a record\.json"):
        fit_curves(tmp_path, FitKeys(law="multi_power"))
