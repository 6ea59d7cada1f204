"""The plan before a sweep, and its state from outside."""

import json
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from analysis.formats import duration
from scaling.cli import status as command
from scaling.config.schema import DesignConfig, HardwareConfig, SweepConfig, TrainConfig
from scaling.records.claims import claim
from scaling.records.files import write_json
from scaling.records.records import RECORD
from scaling.sweep import forecast, provenance
from scaling.sweep.admission import Gpu
from scaling.sweep.placement import Placement
from scaling.sweep.run import PlannedJob, expected_work, plan_jobs
from scaling.sweep.status import read_status, render
from scaling.training.pretrain import pretrain
from scaling.training.retry import record_failure

Make = Callable[..., TrainConfig]

ONE = Placement(at_once=1, here=True)


@pytest.fixture
def study(tiny_job: Make) -> SweepConfig:
    """Three jobs of two runs."""
    values: dict[str, Any] = {**vars(tiny_job([2048])), "branches": [], "name": "sweep"}
    design = DesignConfig(
        min_flops=4e7, max_flops=8e7, budgets=2, sizes=3, size_ratio=1.6,
        expected_params=7e3, expected_at_flops=6e7, expected_exponent=0.0,
    )  # fmt: skip
    return SweepConfig(**values, design=design)


# --- plan ----------------------------------------------------------------------------------------------


def test_the_job_that_takes_longest_starts_first(study: SweepConfig) -> None:
    """Of tiny models the one with most tokens, even where a larger one takes more FLOPs: time lies beside products."""
    jobs = plan_jobs(study)
    work = [expected_work(job.job) for job in jobs]
    assert work == sorted(work, reverse=True)
    tokens = [job.job.recipe.tokens_in(job.job.recipe.plan) for job in jobs]
    assert tokens == sorted(tokens, reverse=True)


def test_the_plan_says_what_each_run_is_and_takes(
    study: SweepConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(forecast, "probe", lambda job: 1e-4 * job.params_total / 7e3)
    jobs = plan_jobs(study)
    forecast.print_dry_run(study, jobs, Placement(at_once=2, here=True))
    text = capsys.readouterr().out
    assert text.count("to train") == 7
    assert f"{sum(sum(job.job.flops_spent) for job in jobs):.3g} FLOPs" in text
    assert "6 runs in 3 jobs, 0 recorded already" in text
    assert "measured now, on a few steps of 3 sizes" in text
    assert "nothing was started" in text
    assert not study.folder.exists()
    seconds = [sum(forecast.job_seconds(j.job, 1e-4 * j.job.params_total / 7e3)) for j in jobs]
    assert duration(sum(seconds)) in text


def test_recorded_runs_are_neither_counted_nor_measured_again(
    study: SweepConfig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = sorted(plan_jobs(study), key=lambda job: job.job.params_total)
    records = [record for job in (jobs[0], jobs[2]) for record in pretrain(job.job.config)]
    monkeypatch.setattr(forecast, "probe", lambda job: pytest.fail("was measured again"))
    monkeypatch.setenv("COLUMNS", "200")
    forecast.print_dry_run(study, jobs, ONE)
    text = capsys.readouterr().out
    assert text.count("done already") == 4
    assert "4 recorded already" in text
    known, source = forecast.seconds_per_token(study, [jobs[1]], records)
    assert source == "the runs of this study that are done"
    assert all(value > 0 for value in known.values())


def test_a_probe_measures_and_leaves_nothing(study: SweepConfig, tmp_path: Path) -> None:
    job = plan_jobs(study)[0].job
    assert 0 < forecast.probe(job) < 1
    assert not study.folder.exists()


def test_another_device_is_planned_from_the_catalogue(study: SweepConfig) -> None:
    config = replace(study, hardware=HardwareConfig(name="h100-sxm"))
    jobs = plan_jobs(config)
    rates, source = forecast.seconds_per_token(config, jobs, [])
    assert "catalogue" in source
    assert set(rates) == {job.name for job in jobs}


def test_what_does_not_fit_is_refused_with_a_remedy(study: SweepConfig) -> None:
    jobs = plan_jobs(study)
    most = max(forecast.peak_bytes(job.job, "cpu") for job in jobs)
    refuse = forecast.refuse_what_does_not_fit
    refuse(jobs, "cpu", ONE, most, 1 << 40)
    refuse(jobs, "cpu", ONE, None, 1 << 40)
    with pytest.raises(ValueError, match=r"needs .* MiB are there; trainer.micro_batch_tokens=64 fits"):
        refuse(jobs, "cpu", ONE, most - 1, 1 << 40)
    with pytest.raises(ValueError, match=r"with the 1 beside it .*hydra.launcher.workers=1"):
        refuse(
            plan_jobs(study),
            "cpu",
            Placement(at_once=2, here=True, remedy="hydra.launcher.workers=1"),
            most,
            1 << 40,
        )
    with pytest.raises(ValueError, match=r"lower design.max_flops"):
        refuse(plan_jobs(study), "cpu", ONE, 1000, 1 << 40)
    with pytest.raises(ValueError, match=r"MiB are free; choose another disk with out="):
        refuse(plan_jobs(study), "cpu", ONE, None, 1000)


def test_a_plan_on_gpus_says_how_many_run_at_once_and_refuses_what_never_fits(
    study: SweepConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(forecast, "probe", lambda job: 1e-2)
    config = replace(study, trainer=replace(study.trainer, accelerator="gpu"))
    jobs = plan_jobs(config)
    most = max(forecast.peak_bytes(job.job, "cuda") for job in jobs)
    seconds = [sum(forecast.job_seconds(job.job, 1e-2)) for job in jobs]

    def plan(*rooms: int, at_once: int = 8) -> str:
        there = tuple(Gpu(name=str(i), room_bytes=room) for i, room in enumerate(rooms))
        monkeypatch.setattr(forecast, "visible_gpus", lambda: there)
        forecast.print_dry_run(config, jobs, Placement(at_once=at_once, here=True, gpus=there))
        return capsys.readouterr().out

    all_at_once = f"{duration(max(seconds))} to {duration(sum(seconds))}"
    assert f"{all_at_once} with up to 3 at once" in plan(3 * most)
    assert f"{duration(sum(seconds))} with 1 at once" in plan(most)
    assert f"{duration(sum(seconds))} with 1 at once" in plan(3 * most, at_once=1)
    assert f"{duration(max(seconds))} with 3 at once" in plan(most, most, most)
    with pytest.raises(ValueError, match=r"needs .* MiB are there; lower design.max_flops"):
        plan(most // 2)
    assert capsys.readouterr().out.count("does not fit") == 6
    pair = plan_jobs(replace(config, trainer=replace(config.trainer, devices=2)))
    with pytest.raises(ValueError, match=r"trainer.devices=2: GPUs here: 1; set trainer.devices=1"):
        forecast.refuse_what_does_not_fit(
            pair, "cuda", Placement(at_once=1, here=True, gpus=(Gpu(name="0", room_bytes=1),)), None, 1 << 40
        )


def test_jobs_are_dealt_to_the_first_free_worker() -> None:
    assert forecast.makespan([3.0, 2.0, 2.0, 1.0], 2) == 4.0
    assert forecast.makespan([3.0, 2.0], 1) == 5.0


def test_the_time_of_a_job_is_that_of_its_steps(study: SweepConfig) -> None:
    job = plan_jobs(study)[0].job
    held_out = job.corpus.validation.windows(16)
    assert held_out is not None
    spent = sum(forecast.job_seconds(job, 1e-3)) - 1e-3 * len(job.tokens) * held_out * 16 / 3
    flops_per_token = sum(job.flops_spent) / (spent / 1e-3)
    from scaling.shape.flops import train_flops_per_token

    assert flops_per_token == pytest.approx(train_flops_per_token(job.shape, "exact"))


# --- status --------------------------------------------------------------------------------------------


def begin(study: SweepConfig) -> list[PlannedJob]:
    jobs = plan_jobs(study)
    provenance.settle(study.folder, provenance.describe(study, jobs))
    return jobs


def test_a_sweep_is_seen_from_its_folder(study: SweepConfig) -> None:
    jobs = begin(study)
    states = {job.state for job in read_status(study.folder).jobs}
    assert states == {"waiting"}
    pretrain(jobs[0].job.config)
    record_failure(jobs[1].job, "out of luck")
    jobs[2].job.folder.mkdir(exist_ok=True)
    progress = {
        "step": 5, "steps": 10, "tokens_per_second": 1234.0, "loss": 2.5, "seconds_left": 60.0, "runs_done": 0,
        "runs": 2,
    }  # fmt: skip
    (jobs[2].job.folder / "progress.json").write_text(json.dumps(progress))
    with claim(jobs[2].job.folder):
        status = read_status(study.folder)
    assert [job.state for job in status.jobs] == ["done", "failed", "training"]
    assert [job.runs_recorded for job in status.jobs] == [2, 0, 0]
    assert status.jobs[1].note == "out of luck"
    assert status.jobs[2].note.endswith(f":{os.getpid()}")
    assert status.seconds_left == pytest.approx(60)
    console = Console(width=150, record=True)
    console.print(render(status))
    text = console.export_text()
    assert "2/6 runs" in text
    assert "5/10" in text
    assert "about 1 m 0 s left" in text


def test_the_time_left_is_at_the_speed_of_all_jobs_that_train(study: SweepConfig) -> None:
    jobs = begin(study)
    progress = {"step": 5, "steps": 10, "tokens_per_second": 1234.0, "loss": 2.5, "seconds_left": 60.0}
    with ExitStack() as claims:
        for job in jobs[:2]:
            job.job.folder.mkdir()
            (job.job.folder / "progress.json").write_text(json.dumps(progress))
            claims.enter_context(claim(job.job.folder))
        status = read_status(study.folder)
    flops = [job.flops for job in status.jobs]
    assert status.seconds_left == pytest.approx(60 * (1 + 2 * flops[2] / (flops[0] + flops[1])))


def test_a_terminal_of_80_columns_and_few_lines_shows_what_is_going_on(study: SweepConfig) -> None:
    jobs = begin(study)
    why = "a reason that is rather long, with [brackets], " * 3
    record_failure(jobs[2].job, why)
    with claim(jobs[1].job.folder):
        status = read_status(study.folder)
    console = Console(width=80, record=True)
    console.print(render(status, most_rows=2))
    lines = console.export_text().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert [name for line in lines for name in line.split() if name in [job.name for job in jobs]] == [
        jobs[2].name,
        jobs[1].name,
    ]
    assert any("… and 1 more jobs" in line for line in lines)
    assert "[brackets]" in " ".join(lines)


def test_a_plan_marks_what_does_not_fit(
    study: SweepConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = plan_jobs(study)
    sizes = sorted(forecast.peak_bytes(job.job, "cpu") for job in jobs)
    monkeypatch.setattr(forecast, "probe", lambda job: 1e-4)
    monkeypatch.setattr(forecast, "memory_bytes", lambda device: sizes[-1] - 1)
    with pytest.raises(ValueError, match=r"MiB are there"):
        forecast.print_dry_run(study, jobs, ONE)
    text = capsys.readouterr().out
    assert 1 <= text.count("does not fit") < 6
    assert text.count("does not fit") + text.count("to train") - 1 == 6


@pytest.mark.parametrize("text", ["[]", "{}", '{"step": "x"}', "", '{"step": 1, "steps": null}'])
def test_a_damaged_progress_is_no_progress(study: SweepConfig, text: str) -> None:
    jobs = begin(study)
    jobs[0].job.folder.mkdir()
    (jobs[0].job.folder / "progress.json").write_text(text)
    assert read_status(study.folder).jobs[0].progress is None


def test_a_file_of_another_kind_is_no_description_of_a_sweep(study: SweepConfig) -> None:
    begin(study)
    write_json(study.folder / provenance.SWEEP, {"name": "other"})
    with pytest.raises(ValueError, match=r"sweep\.json: not the description of a sweep \(it lacks code,"):
        read_status(study.folder)


def test_a_killed_job_is_seen_as_interrupted_and_a_damaged_record_as_damaged(study: SweepConfig) -> None:
    jobs = begin(study)
    jobs[0].job.folder.mkdir()
    (jobs[0].job.folder / "last.ckpt").touch()
    pretrain(jobs[1].job.config)
    path = next(jobs[1].job.folder.glob(f"*/{RECORD}"))
    path.write_text(path.read_text()[:-20])
    status = read_status(study.folder)
    assert [job.state for job in status.jobs] == ["interrupted", "damaged", "waiting"]
    assert str(path) in status.jobs[1].note


def test_watching_ends_with_the_sweep(
    study: SweepConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = begin(study)
    left = list(jobs)
    monkeypatch.setattr(time, "sleep", lambda _: pretrain(left.pop().job.config))
    assert command.main([str(study.folder), "--watch"]) == 0
    assert not left
    assert "6/6 runs" in capsys.readouterr().out
