"""Sweeps killed at random come to the same table; damaged files are found. The long form is `benchmarks/chaos.py`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # kills whole sweeps

ROOT = Path(__file__).parents[3]


def test_killed_sweeps_come_to_the_same_table_and_damaged_files_are_found() -> None:
    """In a process of its own, from which sweeps can be forked by the dozen."""
    words = ["--kills", "50", "--mutants", "1000", "--seed", "1"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "chaos.py"), *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    rows = dict(re.findall(r"^\| (.+?) \| .*? \| (\d+)", done.stdout, re.MULTILINE))
    assert int(rows["kills survived"]) >= 50
    assert int(rows["mutants read"]) == 1000
    assert int(rows["runs compared with an undisturbed sweep"]) >= 6
    for nothing in (
        "runs lost",
        "runs trained twice",
        "values that differ in any bit",
        "wrong values accepted",
    ):
        assert rows[nothing] == "0"


def test_the_readme_shows_the_measured_tables() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in ("chaos", "soak", "throughput"):
        shown = re.search(rf"<!-- benchmarks/results/{name}.md -->\n(.*?)<!-- end -->", readme, re.DOTALL)
        assert shown is not None
        assert shown[1] == (ROOT / "benchmarks" / "results" / f"{name}.md").read_text()
    chaos = (ROOT / "benchmarks" / "results" / "chaos.md").read_text()
    kills, mutants = (
        int(re.findall(rf"\| {what} \| \D*(\d+)", chaos)[0]) for what in ("kills survived", "mutants read")
    )
    assert kills >= 500
    assert mutants >= 10_000
    assert "MISSED" not in (ROOT / "benchmarks" / "results" / "soak.md").read_text()
