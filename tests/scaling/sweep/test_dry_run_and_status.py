"""The plan before a sweep."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.formats import duration
from scaling.config.schema import HardwareConfig, SweepConfig, TrainConfig
from scaling.sweep import capacity, forecast
from scaling.sweep.admission import Gpu
from scaling.sweep.dry_run import print_dry_run
from scaling.sweep.placement import Placement
from scaling.sweep.plan import expected_work, plan_jobs
from scaling.training.pretrain import pretrain

Make = Callable[..., TrainConfig]

ONE = Placement(at_once=1, here=True)


def test_the_job_that_takes_longest_starts_first(study: SweepConfig) -> None:
    """Of tiny models the one with most tokens, even where a larger one takes more FLOPs: time lies beside products."""
    jobs = plan_jobs(study)
    work = [expected_work(job.job) for job in jobs]
    assert work == sorted(work, reverse=True)
    tokens = [job.job.recipe.tokens_in(job.job.recipe.segments) for job in jobs]
    assert tokens == sorted(tokens, reverse=True)


def test_the_plan_says_what_each_run_is_and_takes(
    study: SweepConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(forecast, "probe", lambda job: 1e-4 * job.params_total / 7e3)
    jobs = plan_jobs(study)
    print_dry_run(study, jobs, Placement(at_once=2, here=True))
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
    print_dry_run(study, jobs, ONE)
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
    most = max(capacity.peak_bytes(job.job, "cpu") for job in jobs)
    refuse = capacity.refuse_what_does_not_fit
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
    most = max(capacity.peak_bytes(job.job, "cuda") for job in jobs)
    seconds = [sum(forecast.job_seconds(job.job, 1e-2)) for job in jobs]

    def plan(*rooms: int, at_once: int = 8) -> str:
        there = tuple(Gpu(name=str(i), room_bytes=room) for i, room in enumerate(rooms))
        monkeypatch.setattr(capacity, "visible_gpus", lambda: there)
        print_dry_run(config, jobs, Placement(at_once=at_once, here=True, gpus=there))
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
        capacity.refuse_what_does_not_fit(
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


def test_a_plan_marks_what_does_not_fit(
    study: SweepConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = plan_jobs(study)
    sizes = sorted(capacity.peak_bytes(job.job, "cpu") for job in jobs)
    monkeypatch.setattr(forecast, "probe", lambda job: 1e-4)
    monkeypatch.setattr(capacity, "memory_bytes", lambda device: sizes[-1] - 1)
    with pytest.raises(ValueError, match=r"MiB are there"):
        print_dry_run(study, jobs, ONE)
    text = capsys.readouterr().out
    assert 1 <= text.count("does not fit") < 6
    assert text.count("does not fit") + text.count("to train") - 1 == 6
