"""`scaling simulate` from its words to its answers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scaling.cli.fit import main as fit_main
from scaling.cli.simulate import QUESTIONS, main
from scaling.errors import UserError
from scaling.simulate.design import read_runs


def answer(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict:  # type: ignore[type-arg]
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("question", ["", *QUESTIONS])
def test_every_question_has_help(question: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([question, "--help"] if question else ["--help"]) == 0
    assert "keys of scaling simulate" in capsys.readouterr().out


def test_a_simulated_study_is_fitted_like_any_other_and_says_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "what-if"
    told = answer(
        ["design=isoflop:max_flops=1e20", f"out={out}", "scatter=0", "curves=true", "hardware=h100-sxm"],
        capsys,
    )
    assert told["simulated"] is True
    rows = pd.read_csv(out / "records.csv")
    assert rows["simulated"].str.contains("besiroglu2024").all()
    assert {"usd", "device_hours", "energy_kwh", "peak_memory_bytes"} <= set(rows.columns)
    assert len(pd.read_csv(out / "curves.csv")) > len(rows)
    fit_main([str(out), "bootstrap=50"])
    assert "SIMULATED" in capsys.readouterr().out
    study = json.loads((out / "fit" / "study.json").read_text())
    assert study["parameters"]["alpha"] == pytest.approx(0.3478, rel=1e-6)
    assert "(SIMULATED)" in (out / "fit" / "report.html").read_text()
    assert (
        "SIMULATED" in (out / "fit" / "figures" / "valleys.svg").read_text()
        or (out / "fit" / "figures" / "valleys.png").is_file()
    )


def test_compare_prints_each_design_beside_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "design=isoflop:budgets=3", "design=grid:sizes=4", "studies=20", "draws=0"]
    told = answer([*words, f"figure={tmp_path}/f.png"], capsys)
    assert [d["runs"] for d in told["designs"]] == [15, 20]
    assert (tmp_path / "f.png").is_file()
    with pytest.raises(UserError, match="twice"):
        main(["compare", "design=isoflop"])


def test_what_optimize_writes_is_a_design(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "chosen.yaml"
    words = ["optimize", "spend=2e19", "flops=1e21", "candidates=60", "studies=20", "draws=0", "runs=12"]
    told = answer([*words, f"write={path}"], capsys)
    assert told["cost"]["flops"] <= 2e19
    runs = read_runs(path)
    assert len(runs) == len(told["runs"]) <= 12
    with pytest.raises(UserError, match="exists already"):
        main([*words, f"write={path}"])


def test_what_cannot_be_reached_says_what_it_would_take(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["optimize", "flops=1e22", "candidates=60", "studies=10", "draws=0", "largest=2e19"]
    with pytest.raises(UserError, match="it would take"):
        main([*words, "within=0.0001"])
    told = answer([*words, "within=0.5", "spend=4e18"], capsys)
    assert any("it would take" in note for note in told["notes"])


def test_next_reads_a_study_and_proposes_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sim"
    main(["design=isoflop:min_flops=1e17,max_flops=1e19,sizes=6", f"out={out}"])
    path = tmp_path / "next.yaml"
    told = answer(["next", str(out), "spend=1e19", "candidates=60", "runs=4", f"write={path}"], capsys)
    assert told["half_width_after"] < told["half_width_now"]
    assert len(read_runs(path)) == 24 + len(told["runs"])


def test_replay_prints_r2_beside_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sim"
    main(["design=grid:sizes=6,counts=6", f"out={out}", "scatter=0"])
    frame = pd.read_csv(out / "records.csv")
    frame["split"] = np.where(frame["flops"] > frame["flops"].quantile(0.8), "test", "train")
    frame.to_csv(tmp_path / "pool.csv", index=False)
    told = answer(["replay", f"pool={tmp_path}/pool.csv", "spend=0.5", "seeds=2"], capsys)
    assert told["r2"] == pytest.approx(1.0, abs=1e-4)
    assert set(told["r2_by_method"]) == {"chosen", "v", "random"}
