"""A job's progress: written for other processes, and what its user sees."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from analysis.formats import duration, short_count
from scaling.records.folder import PROGRESS
from scaling.training.progress import Progress, progress_file, read_progress, report_job

HALF_WAY = Progress(
    step=5, steps=10, tokens_per_second=1234.0, loss=2.5, seconds_left=60.0, runs_done=0, runs=2
)


def test_progress_is_read_as_it_was_reported(tmp_path: Path) -> None:
    assert read_progress(tmp_path) is None
    report = progress_file(tmp_path)
    report(HALF_WAY)
    assert read_progress(tmp_path) == HALF_WAY
    report(replace(HALF_WAY, step=6, seconds_left=math.nan))
    later = read_progress(tmp_path)
    assert later is not None
    assert later.step == 6
    assert math.isnan(later.seconds_left)
    assert [path.name for path in tmp_path.iterdir()] == [PROGRESS]


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", '{"step": "x"}', "", "null", json.dumps({**asdict(HALF_WAY), "steps": None})],
)
def test_a_damaged_progress_is_no_progress(tmp_path: Path, text: str) -> None:
    (tmp_path / PROGRESS).write_text(text)
    assert read_progress(tmp_path) is None


@pytest.mark.parametrize(
    ("value", "text"), [(999, "999"), (33_000, "33k"), (1.234e6, "1.23M"), (2.7e12, "2.7T"), (5e9, "5B")]
)
def test_counts_have_three_digits_and_a_suffix(value: float, text: str) -> None:
    assert short_count(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12, "12 s"), (200, "3 m 20 s"), (59.6, "1 m 0 s"), (7500, "2 h 5 m"), (math.nan, "?")],
)
def test_durations_are_of_two_units_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_without_a_terminal_a_job_is_a_line_every_ten_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 1.0, 11.0, 11.0])
    monkeypatch.setattr("scaling.training.progress.time.monotonic", lambda: next(times))
    with report_job("job") as report:
        report(HALF_WAY)
        report(replace(HALF_WAY, step=6))
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "job: step 6/10, 1.23k tokens/s  loss 2.5000 nats, 1 m 0 s left"
