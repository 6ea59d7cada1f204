"""What a user sees of a sweep: its table, and the lines that take its place where there is no terminal."""

import time
from dataclasses import replace

import pytest
from rich.console import Console

from scaling.cli import status as command
from scaling.config.schema import SweepConfig
from scaling.records.claims import this_process
from scaling.records.folder import STUDY_PLAN
from scaling.sweep.display import newly_recorded, render, show_sweep
from scaling.sweep.plan import PlannedJob
from scaling.sweep.status import JobStatus, RunStatus, State, SweepStatus
from scaling.training.pretrain import pretrain
from scaling.training.progress import Progress

HALF_WAY = Progress(
    step=5, steps=10, tokens_per_second=1234.0, loss=2.5, seconds_left=60.0, runs_done=0, runs=2
)
WAITING = RunStatus(name="run", flops=1e9)
DONE = replace(WAITING, recorded=True, status="done", loss_nats=2.25)
DIVERGED = replace(WAITING, recorded=True, status="diverged", reason="loss was [nan]")


def job(name: str, state: State, *runs: RunStatus, progress: Progress | None = None) -> JobStatus:
    holder = this_process() if state == "training" else None
    return JobStatus(name=name, state=state, runs=runs, holder=holder, progress=progress)


def shown(status: SweepStatus, width: int, most_rows: int | None = None) -> list[str]:
    console = Console(width=width, record=True)
    console.print(render(status, most_rows, elapsed_seconds=75))
    return console.export_text().splitlines()


def test_the_table_says_how_far_each_job_and_the_whole_is() -> None:
    status = SweepStatus(
        name="sweep",
        jobs=(
            job("small", "done", DONE, DONE),
            job("middle", "training", WAITING, WAITING, progress=HALF_WAY),
            job("large", "waiting", WAITING),
        ),
    )
    lines = shown(status, 150)
    assert lines[0] == (
        "sweep: 2/5 runs, 60% of 5e+09 FLOPs; jobs: 1 done, 1 training, 1 waiting; 1.23k tokens/s; 1 m 15 s gone; "
        "about 2 m 0 s left"
    )
    assert lines[2].split() == ["small", "done", "2/2"]
    here = f"{this_process().host}:{this_process().pid}"
    assert lines[3].split() == ["middle", "training", "0/2", "5/10", "2.5000", "1.23k", here]
    assert lines[4].split() == ["large", "waiting", "0/1"]


def test_a_terminal_of_80_columns_and_few_lines_shows_what_is_going_on() -> None:
    why = "a reason that is rather long, with [brackets], " * 3
    status = SweepStatus(
        name="sweep",
        jobs=(
            job("params60976-seed0", "waiting", WAITING),
            job("params41184-seed0", "training", WAITING, progress=HALF_WAY),
            job("params17816-seed0", "failed", replace(WAITING, status="failed", reason=why)),
        ),
    )
    lines = shown(status, 80, most_rows=2)
    assert all(len(line) <= 80 for line in lines)
    names = [word for line in lines for word in line.split() if word.startswith("params")]
    assert names == ["params17816-seed0", "params41184-seed0", "params17816-seed0:"]
    assert any("… and 1 more jobs" in line for line in lines)
    assert "[brackets]" in " ".join(lines)


def test_runs_recorded_between_two_looks_are_counted_on() -> None:
    before = SweepStatus(name="sweep", jobs=(job("a", "done", DONE), job("b", "training", WAITING)))
    now = replace(before, jobs=(before.jobs[0], job("b", "done", DIVERGED), job("c", "done", DONE)))
    assert newly_recorded(before, now) == ["[2/3] run: diverged: loss was [nan]", "[3/3] run: 2.2500 nats"]
    assert newly_recorded(before, now, everything=False) == ["[2/3] run: diverged: loss was [nan]"]
    assert newly_recorded(now, now) == []


def test_without_a_terminal_each_run_that_ends_is_a_line(
    study: SweepConfig, jobs: list[PlannedJob], capsys: pytest.CaptureFixture[str]
) -> None:
    pretrain(jobs[1].job.config)
    with show_sweep(study.folder):
        records = pretrain(jobs[0].job.config)
    assert capsys.readouterr().err.splitlines() == [
        f"[{number}/6] {record.run_id}: {record.loss_nats:.4f} nats"
        for number, record in enumerate(records, 3)
    ]


def test_on_a_terminal_the_table_is_shown_and_damage_does_not_end_the_sweep(
    study: SweepConfig,
    jobs: list[PlannedJob],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with show_sweep(study.folder):
        (study.folder / STUDY_PLAN).write_text("not what was written")
    text = capsys.readouterr().err
    assert all(job.name in text for job in jobs)


def test_watching_ends_with_the_sweep(
    study: SweepConfig,
    jobs: list[PlannedJob],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    left = list(jobs)
    monkeypatch.setattr(time, "sleep", lambda _: pretrain(left.pop().job.config))
    assert command.main([str(study.folder), "--watch"]) == 0
    assert not left
    assert "6/6 runs" in capsys.readouterr().out
