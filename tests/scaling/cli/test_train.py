"""How `scaling train` ends: refused before it trains, diverged, or with the next step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # a process with Lightning each

SMALL = """
corpus=lexicon corpus.words=50 corpus.validation_bytes=2048 trainer=cpu logger=none model.width=16 model.depth=1
model.context=16 optim.batch_tokens=128 schedule.warmup_tokens=128 tokens=4096
""".split()  # noqa: SIM905


def train(out: Path, cache: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scaling", "train", *SMALL, f"out={out}", f"cache={cache}", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, "COLUMNS": "200"}
    )


def test_a_model_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, cache: Path) -> None:
    ended = train(tmp_path, cache, "model.width=8192", "model.depth=64")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert "MiB" in line
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_diverged_run_ends_with_status_1(tmp_path: Path, cache: Path) -> None:
    ended = train(tmp_path, cache, "optim=adamw", "optim.lr=1e5", "optim.grad_clip=null")
    assert ended.returncode == 1
    assert "diverged" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_a_finished_run_names_the_next_step(tmp_path: Path, cache: Path) -> None:
    ended = train(tmp_path, cache)
    assert ended.returncode == 0, ended.stderr
    assert f"scaling sample {tmp_path}" in ended.stderr


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = train(tmp_path / "file", cache)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert str(tmp_path / "file") in line
