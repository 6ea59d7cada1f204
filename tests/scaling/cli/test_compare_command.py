"""`scaling compare` as a user types it: two files, one file split, and one line for what does not compare."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scaling.cli.compare import main
from scaling.cli.main import help_text
from scaling.errors import UserError


def runs(gain: float, seed: int) -> pd.DataFrame:
    """Five budgets of seven sizes; tokens are worth `gain` times as much."""
    rng = np.random.default_rng(seed)
    flops = np.repeat(1e18 * 4.0 ** np.arange(5), 7)
    params = 0.12 * (flops / 6) ** 0.51 * np.tile(np.geomspace(0.25, 4, 7), 5)
    tokens = flops / 6 / params
    loss = (1.8 + 480 / params**0.35 + 2100 / (gain * tokens) ** 0.37) * np.exp(
        0.002 * rng.standard_normal(len(flops))
    )
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs(1.0, 0).to_csv("old.csv", index=False)
    runs(1.4, 1).to_csv("new.csv", index=False)
    pd.concat([runs(1.0, 0).assign(optimizer="adamw"), runs(1.4, 1).assign(optimizer="muon")]).to_csv(
        "both.csv", index=False
    )


def test_two_files_and_one_split_by_a_column_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["old.csv", "new.csv", "bootstrap=60", "--json"]) == 0
    apart = json.loads(capsys.readouterr().out)
    assert main(["both.csv", "by=optimizer", "bootstrap=60", "--json"]) == 0
    split = json.loads(capsys.readouterr().out)
    assert list(split["studies"]) == ["adamw", "muon"]
    ratios = [
        [row["multiplier"] for row in each["pairs"][0]["compute_multipliers"]] for each in (apart, split)
    ]
    np.testing.assert_allclose(ratios[0], ratios[1], rtol=1e-6)
    # Tokens worth 1.4 times as much are compute worth 1.4 times as much, wherever the best split is taken.
    assert all(1.25 < ratio < 1.6 for ratio in ratios[0][:5])
    assert not list(Path().glob("compare_*"))  # JSON alone writes no files


def test_prints_words_and_writes_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["old.csv", "new.csv", "bootstrap=60", "out=here"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "new is the more efficient" in text
    assert "Do the exponents differ?" in text
    assert {"report.html", "compare.json", "compare.md"} <= {path.name for path in Path("here").iterdir()}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["old.csv"], "one source alone"),
        (["both.csv", "by=colour"], "by=colour: no such column"),
        (["both.csv", "old.csv", "by=optimizer"], "splits one table"),
        (["old.csv", "old.csv"], "does not differ from itself"),
        (["bootstrap=60"], "needs two sweep folders"),
    ],
)
def test_what_cannot_be_compared_is_one_line(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        main(words)


def test_conditions_are_heard_as_a_fit_hears_them(capsys: pytest.CaptureFixture[str]) -> None:
    everything = pd.read_csv("both.csv")
    ceiling = float(everything["params"].quantile(0.8))
    everything = everything.assign(dataset="c4")
    third = everything.assign(dataset="pile", loss=3.0)
    pd.concat([everything, third]).to_csv("three.csv", index=False)
    everything[everything["params"] < ceiling].to_csv("small.csv", index=False)
    assert main(["small.csv", "by=optimizer", "bootstrap=0", "--json"]) == 0
    by_hand = json.loads(capsys.readouterr().out)
    words = ["three.csv", "by=optimizer", f"where.params<{ceiling!r}", "where.dataset!=pile"]
    assert main([*words, "bootstrap=0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == by_hand["pairs"]
    # One on the column that splits the table chooses the studies.
    sgd = everything[everything["params"] < ceiling].assign(optimizer="sgd", loss=3.0)
    pd.concat([pd.read_csv("small.csv"), sgd]).to_csv("fourth.csv", index=False)
    assert main(["fourth.csv", "by=optimizer", "where.optimizer!=sgd", "bootstrap=0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == by_hand["pairs"]
    with pytest.raises(UserError, match="no such key"):
        main(["both.csv", "by=optimizer", "colour=red"])


def test_other_tokenizers_need_bits_per_byte() -> None:
    for name, tokenizer in (("old", "gpt2"), ("new", "llama")):
        table = pd.read_csv(f"{name}.csv").assign(tokenizer=tokenizer)
        table.assign(bpb=table["loss"] / 3).to_csv(f"{name}.csv", index=False)
    with pytest.raises(UserError, match=r"tokenizers differ .*loss=bpb"):
        main(["old.csv", "new.csv", "--json"])
    assert main(["old.csv", "new.csv", "loss=bpb", "bootstrap=0", "--json"]) == 0


def test_help_names_the_command_and_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert "compare " in help_text()
    assert main(["--help"]) == 0
    assert "by " in capsys.readouterr().out
