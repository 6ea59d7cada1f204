"""`scaling fit` as a user types it: from a CSV to tables, JSON and files, and one line for what cannot be fitted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scaling.cli.fit import main

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


def runs(noise: float = 0.002) -> pd.DataFrame:
    """Five IsoFLOP budgets of seven sizes under a known law."""
    rng = np.random.default_rng(0)
    rows = []
    for flops in 1e18 * 4.0 ** np.arange(5):
        params = 0.12 * (flops / 6) ** 0.51 * np.geomspace(0.25, 4, 7)
        tokens = flops / 6 / params
        loss = TRUTH["E"] + TRUTH["A"] / params ** TRUTH["alpha"] + TRUTH["B"] / tokens ** TRUTH["beta"]
        rows.append(
            pd.DataFrame({"N": params, "D": tokens, "val": loss * np.exp(noise * rng.standard_normal(7))})
        )
    return pd.concat(rows, ignore_index=True)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    runs().to_csv("losses.csv", index=False)
    return tmp_path / "losses.csv"


def test_prints_tables_and_writes_files(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["losses.csv", "loss=val", "bootstrap=60"]) == 0
    out = capsys.readouterr().out
    for words in (
        "Fitted law",
        "IsoFLOP optima",
        "Approaches side by side",
        "What to train next",
        "column 'N'",
    ):
        assert words in out
    folder = table.parent / "losses_fit"
    assert {path.name for path in folder.iterdir()} == {"study.json", "study.md", "report.html", "figures"}
    assert len(list((folder / "figures").glob("*.png"))) == len(list((folder / "figures").glob("*.svg"))) >= 7


def test_json_alone_on_standard_output(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["losses.csv", "params=N", "tokens=D", "loss=val", "bootstrap=60", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert set(record["parameters"]) == set(TRUTH)
    assert {"objective", "intervals", "exponents", "certificate", "convention"} <= set(record)
    assert record["exponents"]["a"] + record["exponents"]["b"] == pytest.approx(1)
    assert sorted(path.name for path in table.parent.iterdir()) == ["losses.csv"]


def test_json_has_the_exponents_of_the_asked_approach(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = {}
    for approach in ("all", "isoflop"):
        assert main(["losses.csv", "loss=val", f"approach={approach}", "bootstrap=60", "--json"]) == 0
        records[approach] = json.loads(capsys.readouterr().out)
    valleys = records["isoflop"]["isoflop"]["parabola"]
    assert records["isoflop"]["exponents"] == valleys["exponents"] != records["all"]["exponents"]
    assert records["isoflop"]["intervals"]["a"] == valleys["intervals"]["a"]
    assert records["isoflop"]["parameters"] == records["all"]["parameters"]


@pytest.mark.parametrize(
    ("approach", "there", "gone"),
    [("isoflop", "IsoFLOP optima", "Fitted law"), ("parametric", "Fitted law", "IsoFLOP")],
)
def test_one_approach(
    table: Path, capsys: pytest.CaptureFixture[str], approach: str, there: str, gone: str
) -> None:
    assert main(["losses.csv", "loss=val", f"approach={approach}", "bootstrap=0"]) == 0
    out = capsys.readouterr().out
    assert there in out
    assert gone not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "needs one FILE"),
        (["losses.csv", "other.csv"], "2 were given"),
        (["missing.csv"], "does not exist"),
        (["losses.csv"], "no column for loss"),
        (["losses.csv", "loss=val", "lawn=kaplan"], "lawn"),
        (["losses.csv", "loss=val", "law=kaplans"], "unknown law 'kaplans'"),
        (["losses.csv", "loss=val", "objective=hubert"], "hubert"),
        (["losses.csv", "loss=val", "approach=4"], "choose one of all"),
        (["losses.csv", "loss=val", "level=2"], "level"),
        (["losses.csv", "loss=val", "bootstrap=many"], "bootstrap=many"),
        (["losses.csv", "loss=val", "where.N=7"], "no row has it"),
        (["losses.csv", "loss=val", "target_flops=-1"], "target_flops=-1.0: must be positive"),
        (["losses.csv", "loss=val", "weights=loss_se"], "loss_se"),
        (["losses.csv", "loss=val", "--jsn"], "no such flag"),
        (["losses.csv", "loss=val", "approach=envelope"], "envelope"),
    ],
)
def test_bad_input_gives_one_line(table: Path, words: list[str], message: str) -> None:
    if not words:
        words = ["loss=val"]
    with pytest.raises(ValueError, match=message) as refused:
        main(words)
    assert "\n" not in str(refused.value)
    assert sorted(path.name for path in table.parent.iterdir()) == ["losses.csv"]


def test_neither_torch_nor_lightning_is_imported(table: Path) -> None:
    code = (
        "import sys; from scaling.cli.fit import main; main(['losses.csv', 'loss=val', 'bootstrap=0']); "
        "bad = {'torch', 'lightning', 'hydra'} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr


def test_the_script_exits_with_one_line_on_bad_input(table: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scaling", "fit", "losses.csv"], capture_output=True, text=True
    )
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
