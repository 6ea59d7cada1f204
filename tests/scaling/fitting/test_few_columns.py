"""Laws of few columns: the best learning rates of a sweep, and Kaplan's laws of one variable."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.refusals import BadColumn
from analysis.result import FitResult
from scaling.cli.fit import main


def test_best_learning_rates_from_a_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = []
    for params in (1e7, 3e7, 1e8, 3e8):
        for ratio in (10, 30, 100):
            best = 1.79 * params**-0.713 * (ratio * params) ** 0.307
            rows += [
                {"N": params, "D": ratio * params, "lr": lr, "val_loss": 3 + 0.05 * np.log(lr / best) ** 2}
                for lr in best * np.geomspace(0.3, 3.5, 6)
            ]
    high = [{"N": 1e9, "D": 2e10, "lr": lr, "val_loss": 3 - lr} for lr in (1e-4, 2e-4, 4e-4, 8e-4)]
    pd.DataFrame(rows + high).to_csv("lr.csv", index=False)
    assert main(["lr.csv", "law=learning_rate_nd", "bootstrap=60"]) == 0
    out = capsys.readouterr().out
    assert "the best learning_rate of 12 scales" in out
    assert "1e+09 parameters on 2e+10 tokens: no interior minimum" in out
    found = FitResult.from_json((tmp_path / "lr_learning_rate_nd" / "fit.json").read_text()).parameters
    assert found["exponent_N"] == pytest.approx(-0.713, abs=1e-3)
    assert found["exponent_D"] == pytest.approx(0.307, abs=1e-3)
    with pytest.raises(BadColumn, match="needs a column for batch_tokens"):
        main(["lr.csv", "law=batch_tokens_d"])


@pytest.mark.parametrize(
    ("law", "column", "scale", "exponent"),
    [
        ("kaplan_n", "model_size", 8.8e13, 0.076),
        ("kaplan_d", "dataset_size", 5.4e13, 0.095),
        ("kaplan_c", "compute", 2.7e28, 0.050),
    ],
)
def test_a_table_of_one_variable_and_the_loss(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    law: str,
    column: str,
    scale: float,
    exponent: float,
) -> None:
    monkeypatch.chdir(tmp_path)
    x = np.geomspace(1e6, 1e10, 12) * (1e12 if law == "kaplan_c" else 1)
    bits = (scale / x) ** exponent / np.log(2)
    worse = pd.DataFrame({column: x, "val_loss (bits/token)": bits * 1.1})
    best = worse.assign(**{"val_loss (bits/token)": bits})
    pd.concat([worse, best]).to_json("one.jsonl", orient="records", lines=True)
    assert main(["one.jsonl", f"law={law}", "bootstrap=60", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert list(record["parameters"].values()) == pytest.approx([scale, exponent], rel=1e-6)
    assert len(record["points"]["loss"]) == 12
    assert "from bits/token" in record["convention"]["loss"]
    assert record["certificate"]["distinct_optima"] == 1
    if law == "kaplan_n":
        with pytest.raises(BadColumn, match="law=kaplan_n, which needs no tokens"):
            main(["one.jsonl"])


def test_a_grid_of_rates_and_batches_counts_each_by_its_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The best rate rises with the batch here, and small batches were tried with small rates only."""
    monkeypatch.chdir(tmp_path)
    rows = []
    for params in (1e7, 1e8, 1e9):
        for tokens in (1e9, 1e10, 1e11):
            rate, batch = 1.79 * params**-0.713 * tokens**0.307, 0.58 * tokens**0.571
            for v in np.arange(-3, 4):
                for u in np.arange(-3, 4) + min(int(v), 0):
                    worse = 0.02 * u**2 + 0.01 * v**2 - 0.008 * u * v
                    rows.append([params, tokens, rate * 2.0**u, batch * 2.0**v / 2048, 3 + worse])
    names = ["non_embedding_param_size", "data_size", "lr", "bsz", "lm_loss"]
    pd.DataFrame(rows, columns=names).to_csv("grid.csv", index=False)
    assert main(["grid.csv", "law=learning_rate_nd", "bootstrap=0"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert (
        "batch_sequences varies too at one scale: each learning_rate counts by the lowest loss over it" in out
    )
    found = FitResult.from_json(Path("grid_learning_rate_nd/fit.json").read_text()).parameters
    assert found == pytest.approx({"c": 1.79, "exponent_N": -0.713, "exponent_D": 0.307}, rel=0.02)
    # Several sizes at one number of tokens are the usual table of the law of the batch.
    assert (
        main(["grid.csv", "law=batch_tokens_d", "batch_tokens=bsz", "units.batch_tokens=2048", "bootstrap=0"])
        == 0
    )
    found = FitResult.from_json(Path("grid_batch_tokens_d/fit.json").read_text()).parameters
    assert found == pytest.approx({"c": 0.58, "exponent_D": 0.571}, rel=0.02)
    with pytest.raises(
        BadColumn, match=r"say batch_tokens=bsz units\.batch_tokens=2048 if 1 stands for 2048 tokens"
    ):
        main(["grid.csv", "law=batch_tokens_d"])
