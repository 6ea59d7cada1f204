"""`scaling budget` as a user meets it: keys, JSON, tables at any width, one-line errors, nothing heavy imported."""

import json
import subprocess
import sys

import budget as benchmark
import pytest

from scaling.budget.history import HISTORY
from scaling.budget.rules_of_thumb import (
    A100_PER_PF_DAY,
    V100_PER_PF_DAY,
    device_days,
    store_bytes,
    train_bytes,
)
from scaling.cli.budget import main


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_published_model_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    result = answer(capsys, "model=llama-2-7b", "tokens=2T", "devices=8", "hardware=a100-80gb")
    assert result["params_total"] == 6_738_415_616
    assert result["params_non_embedding"] == 6_738_415_616 - 2 * 32_000 * 4096
    assert result["train_flops"] == 6 * 6_738_415_616 * 2e12
    assert result["devices"] == 8
    assert result["fits"] is True
    assert 0 < result["peak_memory_bytes"] <= result["device_memory_bytes"]
    assert sum(result["params_by_component"].values()) == result["params_total"]
    assert sum(result["step_seconds_by_part"].values()) == pytest.approx(result["step_seconds"])
    assert result["price_usd"] == pytest.approx(result["device_hours"] * result["usd_per_device_hour"])
    assert result["steps"] * result["batch_tokens"] >= 2e12


def test_a_model_by_overrides(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("model.width=256", "model.depth=6", "tokens=1e9", "hardware=a100-80gb")
    small = answer(capsys, *words)
    wide = answer(capsys, *words[1:], "model.width=512")
    assert wide["params_total"] > small["params_total"]
    assert wide["train_flops"] > small["train_flops"]
    renamed = answer(capsys, "model=llama-2-7b", "model.context=2048", "tokens=1e9")
    assert renamed["params_total"] == 6_738_415_616
    sized = answer(capsys, "model.params=1B", "tokens=20B")
    assert sized["params_total"] == pytest.approx(1e9, rel=0.01)


def test_a_layout_as_given(capsys: pytest.CaptureFixture[str]) -> None:
    result = answer(capsys, "model=llama-2-70b", "devices=64", "layout.tensor=8", "layout.zero_stage=3")
    assert result["layout"]["data"] == 8
    assert result["layout"]["sequence"] is True
    alone = answer(capsys, "model=gpt2", "layout.micro_batch=4")
    more = answer(capsys, "model=gpt2", "layout.micro_batch=8")
    assert more["peak_memory_bytes"] > alone["peak_memory_bytes"]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    "words",
    [
        ["model=llama-2-7b", "tokens=2T"],
        ["model=mixtral-8x7b", "devices=64"],
        ["fits", "model=llama-2-70b", "devices=256"],
        ["solve", "money=10000", "hardware=h100-sxm", "days=7"],
        ["history"],
        ["hardware"],
    ],
    ids=" ".join,
)
def test_tables_stay_within_the_terminal(
    words: list[str], width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 10
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)  # nothing was cut off


def test_what_does_not_fit_says_what_would(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model=llama-2-7b"]) == 0
    text = capsys.readouterr().out
    assert "Does not fit" in text
    assert "devices=2" in text
    assert "24 bytes a parameter to train: 161.7 GB" in text


def test_rules_of_thumb_say_what_courses_say() -> None:
    assert store_bytes(1e9) == 4e9
    assert train_bytes(1e9) == 24e9
    assert device_days(8.64e19, V100_PER_PF_DAY) == 8
    assert device_days(8.64e19, A100_PER_PF_DAY) == 2


def test_history_reproduces_gpt3s_table_and_judges_by_20_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.gpt3_table_agreement() == (17, 17)
    rows = {row["name"]: row for row in answer(capsys, "history")}
    assert rows["BERT-Large"]["train_pf_days"] == pytest.approx(6.16, abs=0.005)
    assert rows["T5-11B"]["train_pf_days"] == pytest.approx(382, abs=0.5)
    assert rows["GPT-3 175B"]["train_pf_days"] == pytest.approx(3640, abs=5)
    assert rows["GPT-3 175B"]["verdict"] == "under-trained"
    assert rows["Chinchilla"]["verdict"] == "about optimal"
    assert rows["Llama 3 8B"]["verdict"] == "over-trained"
    assert all(model.source for model in HISTORY)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=llama-2-7c"], "did you mean llama-2-7b"),
        (["model.widht=3"], "did you mean model.width"),
        (["tokens=1e9"], "which model?"),
        (["model=gpt2", "tokens=-1"], "must be positive"),
        (["model=gpt2", "tokens=abc"], "tokens=abc"),
        (["model=gpt2", "devices=0"], "at least 1"),
        (["model=gpt2", "devices=8", "layout.tensor=3"], "not a multiple"),
        (["model=gpt2", "layout.tensor=5"], "does not divide heads=12"),
        (["model=gpt2", "layout.pipeline=13"], "at most 12"),
        (["model=gpt2", "layout.data=4", "devices=8"], "leave one of them out"),
        (["model=gpt2", "model.heads=7"], "does not divide model.width=768"),
        (["model=gpt2", "model.params=1e9"], "exclude each other"),
        (["model=gpt2", "hardware=a101"], "did you mean a100"),
        (["model=gpt2", "recompute=sometimes"], "recompute=sometimes is unknown"),
        (["model=gpt2", "precision=bf17"], "precision='bf17' is unknown"),
        (["model=gpt2", "price=-1"], "price=-1"),
        (["model=gpt2", "batch_tokens=0"], "batch_tokens=0 must be positive"),
        (["model=gpt2", "days=0"], "days=0 must be positive"),
        (["model=gpt2", "tokens=inf"], "tokens=inf must be a positive, finite number"),
        (["solve", "flops=nan"], "flops=nan must be"),
        (["model=llama-2-7b", "tokens=2T", "days=0.001"], "days=0.001 cannot be met"),
        (["fits", "model=t5-base"], "`scaling budget` gives their parameters"),
        (["model=gpt2", "--jsno"], "no such flag"),
        (["solev", "flops=1e20"], "scaling budget solve"),
        (["history", "model=gpt2"], "takes no keys"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_ill_input_is_one_line_with_a_remedy(words: list[str], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        main(words)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("question", [[], ["--help"], ["solve", "--help"], ["fits", "-h"]])
def test_help_names_every_key(question: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(question) == 0
    text = capsys.readouterr().out
    for key in ("hardware", "batch_tokens", "model.context", "a100-80gb", "solve"):
        assert key in text
    if question == ["solve", "--help"]:
        assert "unique_tokens" in text
        assert "law" in text


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from scaling.cli.budget import main; main(['model=gpt2', '--json']); "
        "main(['solve', 'flops=1e20', '--json']); "
        "heavy = {'torch', 'lightning', 'hydra', 'pandas', 'matplotlib', 'scipy'} & set(sys.modules); "
        "print(sorted(heavy), file=sys.stderr); sys.exit(bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_script_exits_with_2_and_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scaling", "budget", "model=nothing"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: model='nothing'")
    assert done.stderr.count("\n") == 1
