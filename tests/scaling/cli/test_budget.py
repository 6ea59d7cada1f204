"""`scaling budget` as a user meets it: JSON, tables at any width, help, one-line errors, nothing heavy imported."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scaling.cli.budget import main
from scaling.errors import UserError

# One line a question, and the figures that its JSON must hold.
QUESTIONS: dict[str, dict[str, Any]] = {
    "model=llama-2-7b tokens=2T": {"params_total": 6_738_415_616, "train_flops": 6 * 6_738_415_616 * 2e12},
    "model=t5-3b tokens=1T": {"peak_memory_bytes": None},
    "fits model=llama-2-70b devices=256": {"devices": 256},
    "solve money=10000 hardware=h100-sxm days=7": {"law": "besiroglu2024", "interval_level": 0.9},
    "serve model=deepseek-v3 weights=fp8 devices=8": {"devices": 8, "weights": "fp8"},
    "finetune model=llama-3-8b": {"method": "lora"},
}


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("line", QUESTIONS)
def test_figures_for_programs(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    figures: dict[str, Any] = json.loads(printed(capsys, *line.split(), "--json"))
    assert {name: figures[name] for name in QUESTIONS[line]} == QUESTIONS[line]


@pytest.mark.parametrize("question", ["history", "hardware"])
def test_lists_for_programs(question: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(printed(capsys, question, "--json"))
    assert len(rows) > 20
    assert len({row["name"] for row in rows}) == len(rows)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("line", [*QUESTIONS, "model=mixtral-8x7b devices=64", "history", "hardware"])
def test_tables_stay_within_the_terminal(
    line: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = printed(capsys, *line.split()).splitlines()
    assert len(lines) > 10
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)  # nothing was cut off


def test_what_does_not_fit_says_what_would(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "model=llama-2-7b")
    assert "Does not fit" in text
    assert "devices=2" in text
    assert "24 bytes a parameter to train: 161.7 GB" in text


def test_a_closed_form_stands_beside_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("verify", "model.width=64", "model.depth=1", "model.vocab_size=256", "model.context=64")
    rows = json.loads(printed(capsys, *words, "--json"))
    assert rows[0]["component"] == "parameters"
    assert rows[0]["relative_error"] == 0
    assert f"{rows[0]['traced']:,.0f}" in printed(capsys, *words)


def test_a_solution_is_written_where_the_user_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("solve", "flops=2e12", "hardware=cpu", "model.vocab_size=256", "model.context=64", "write=tiny")
    assert "experiment=tiny" in printed(capsys, *words)
    assert (tmp_path / "experiment" / "tiny.yaml").is_file()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tokens=1e9", "which model?"),
        ("model=gpt2 --jsno", "no such flag"),
        ("solev flops=1e20", "did you mean solve"),
        ("anything", "or a question: solve, fits"),
        ("history model=gpt2", "scaling budget history takes no keys"),
        ("solve flops=nan", "flops=nan: must be finite"),
    ],
)
def test_ill_input_is_one_line_with_a_remedy(line: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        main(line.split())
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("", ["batch_tokens", "layout.tensor", "a100-80gb"]),
        ("--help", ["batch_tokens", "model.context"]),
        ("solve --help", ["unique_tokens", "law (default besiroglu2024)", "batch_tokens", "model.context"]),
        ("fits -h", ["devices", "layout.tensor"]),
        ("serve --help", ["weights (default bf16)", "tokens", "model.context"]),
        ("finetune --help", ["method (default lora)", "attention_only (default false)"]),
        ("verify --help", ["accumulation (default 1)", "precision (default 32-true)"]),
        ("history --help", ["[--json]"]),
    ],
)
def test_help_names_the_keys(line: str, keys: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *line.split())
    for key in keys:
        assert key in text


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from scaling.cli.budget import main; main(['--help']); "
        "assert not {'rich', 'numpy'} & set(sys.modules); "
        "main(['solve', 'flops=1e20']); main(['model=gpt2', '--json']); "
        "heavy = {'torch', 'lightning', 'hydra', 'pandas', 'matplotlib', 'scipy'} & set(sys.modules); "
        "print(sorted(heavy), file=sys.stderr); sys.exit(bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_script_exits_with_2_and_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scaling", "budget", "model=nothing"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: model='nothing'")
    assert done.stderr.count("\n") == 1
