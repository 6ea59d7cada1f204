"""The page of concepts: its commands run as they stand, and print the lines it shows."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # runs every command of a page

ROOT = Path(__file__).resolve().parents[3]
BLOCK = re.compile(r"```(sh|text)\n(.*?)```", re.DOTALL)


def words(line: str) -> str:
    """A line without its spacing and rules."""
    return " ".join(line.split())


def test_every_command_runs_and_prints_what_the_page_shows(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "runs/reference/quickstart", tmp_path / "runs/reference/quickstart")
    configs = json.loads((ROOT / "tests/published/configs.json").read_text())
    (tmp_path / "my-model").mkdir()
    (tmp_path / "my-model/config.json").write_text(json.dumps(configs["meta-llama/Llama-3.2-1B"]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}
    printed: list[str] = []
    commands = 0
    for kind, text in BLOCK.findall((ROOT / "docs/concepts.md").read_text()):
        if kind == "text":
            for line in text.splitlines():
                assert any(words(line) in seen for seen in printed), f"docs/concepts.md shows {line!r}"
            continue
        printed = []
        for command in text.splitlines():
            program, *arguments = shlex.split(command, comments=True)
            assert program == "scaling"
            result = subprocess.run(
                [sys.executable, "-m", "scaling", *arguments],
                cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert result.returncode == 0, f"{command}\n{result.stderr}"
            printed += [words(line) for line in result.stdout.splitlines()]
            commands += 1
    assert commands >= 10
