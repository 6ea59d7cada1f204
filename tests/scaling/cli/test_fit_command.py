"""`scaling fit` as a user types it: from a CSV to tables, JSON and files, and one line for what cannot be fitted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import laws, schedule
from analysis.result import FitResult
from scaling.cli.fit import main
from scaling.config.overrides import field_help
from scaling.fitting.keys import FitKeys, help_text

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


@pytest.mark.parametrize(("law", "rows"), [("kaplan_c", 5), ("kaplan_n", 35)])
def test_a_law_of_one_variable_takes_the_best_runs(
    table: Path, capsys: pytest.CaptureFixture[str], law: str, rows: int
) -> None:
    assert main(["losses.csv", "loss=val", f"law={law}", "bootstrap=60", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert len(record["points"]["loss"]) == rows
    assert sum(record["table"]["excluded"].values()) == 35 - rows
    assert len(record["isoflop"]["parabola"]["budgets"]) == 5  # the valleys still see every run


def test_units_mixed_conditions_and_repeats_are_keys(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = runs().assign(optimizer=["adamw", "muon"] * 17 + ["adamw"], D=lambda f: f["D"] / 1e9)
    pd.concat([frame, frame.head(1).assign(val=9.0)]).to_csv("odd.csv", index=False)
    words = ["odd.csv", "loss=val", "bootstrap=0", "--json"]
    for key, message in (
        ("units.tokens=1e9", "mixed="),
        ("mixed=[optimizer]", "units.tokens=1e9"),
        ("repeats=best", "mixed="),
    ):
        with pytest.raises(ValueError, match=message):
            main([*words, key])
    assert main([*words, "units.tokens=1e9", "mixed=[optimizer]", "repeats=best"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["parameters"]["E"] == pytest.approx(TRUTH["E"], rel=0.05)
    assert any("mixed as asked" in note for note in record["table"]["notes"])


def test_json_recovers_a_noiseless_law(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs(noise=0).to_csv("exact.csv", index=False)
    main(["exact.csv", "loss=val", "bootstrap=0", "--json"])
    record = json.loads(capsys.readouterr().out)
    for name, value in TRUTH.items():
        assert record["parameters"][name] == pytest.approx(value, rel=1e-5)


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
        (["losses.csv", "loss=val", "target_flops=-1"], "target_flops must be positive"),
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


def test_too_few_runs_say_how_many_are_needed(table: Path) -> None:
    runs().head(3).to_csv("few.csv", index=False)
    with pytest.raises(ValueError, match="at least 6"):
        main(["few.csv", "loss=val"])


def test_an_output_that_is_a_file_is_left_alone(table: Path) -> None:
    Path("taken").write_text("mine")
    with pytest.raises(ValueError, match="out=taken is a file"):
        main(["losses.csv", "loss=val", "bootstrap=0", "out=taken"])
    assert Path("taken").read_text() == "mine"


def test_an_unwritable_output_is_said_after_the_answer(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("blocked").write_text("a file where a folder should be")
    with pytest.raises(ValueError, match=r"cannot write to blocked/deep: .*out=FOLDER"):
        main(["losses.csv", "loss=val", "bootstrap=0", "out=blocked/deep"])
    assert "Fitted law" in capsys.readouterr().out


def test_a_folder_with_a_published_table(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A committed study is its records.csv; the fit goes beside it."""
    folder = Path("runs/study")
    folder.mkdir(parents=True)
    frame = runs().rename(columns={"N": "params_total", "D": "tokens", "val": "loss_nats"})
    frame = frame.assign(params_non_embedding=frame["params_total"] * 0.8, status="done", corpus="text")
    frame.to_csv(folder / "records.csv", index=False)
    assert main([str(folder), "bootstrap=0"]) == 0
    out = capsys.readouterr().out
    assert "total, embeddings included" in out
    assert (folder / "fit" / "report.html").is_file()


def test_every_key_is_documented() -> None:
    texts = field_help(FitKeys)
    assert all(texts.values())
    assert all(name in help_text() for name in texts)


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
    with pytest.raises(ValueError, match="needs a column for batch_tokens"):
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
        with pytest.raises(ValueError, match="law=kaplan_n, which needs no tokens"):
            main(["one.jsonl"])


def test_repeated_data_goes_into_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    law = laws.get("muennighoff")
    sizes = np.geomspace(7e7, 8e9, 6)
    rows = [(n, u * e, e) for n in sizes for u in (1e8, 1e9, 1e10) for e in (1, 3, 10, 40)]
    table = pd.DataFrame(rows, columns=["N", "D", "epochs"])
    x = {"params": table["N"], "tokens": table["D"], "unique_tokens": table["D"] / table["epochs"]}
    truth = law.published["muennighoff2023"]
    losses = law.loss(truth, **{name: column.to_numpy() for name, column in x.items()})
    noise = np.random.default_rng(0).standard_normal(len(table))
    table.assign(loss=losses * np.exp(0.001 * noise)).to_csv("repeats.csv", index=False)
    assert main(["repeats.csv", "law=muennighoff", "bootstrap=0"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "unique tokens are tokens over column 'epochs'" in out
    record = json.loads((tmp_path / "repeats_fit" / "study.json").read_text())
    assert record["parameters"]["R_D"] == pytest.approx(truth["R_D"], rel=0.2)
    assert "law=muennighoff knows what repeats are worth" in out


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
    with pytest.raises(ValueError, match="needs a column for learning_rate"):
        main(["curves.csv", "law=multi_power", "learning_rate=rate"])
