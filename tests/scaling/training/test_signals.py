"""A job that is asked to end keeps where it stands, and ends, when started again, with the same record bit for bit."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scaling.cli import hydra_app
from scaling.config.schema import TrainConfig
from scaling.records.claims import holder_of
from scaling.records.folder import CHECKPOINT, PROGRESS
from scaling.records.records import RunRecord
from scaling.sweep.run import train_jobs
from scaling.sweep.workers import run_in_workers
from scaling.training.pretrain import pretrain
from scaling.training.progress import Progress
from scaling.training.retry import attempt
from scaling.training.signals import PREEMPTED, SIGNALS, Preempted, Terminated, terminate

Make = Callable[..., TrainConfig]
FORK = multiprocessing.get_context("fork")
MEASURED = {
    "wall_seconds", "seconds_spent", "tokens_per_second", "achieved_flops_per_second",
    "matmul_peak_flops_per_second", "peak_memory_bytes_measured", "retried", "trunk_id",
}  # fmt: skip


def facts(records: list[RunRecord]) -> list[dict[str, Any]]:
    """Records without what a clock or a meter fills in, and without the job's name."""
    return [{key: value for key, value in vars(r).items() if key not in MEASURED} for r in records]


@pytest.fixture
def job(tiny_job: Make) -> TrainConfig:
    """Two runs of one trunk, no checkpoint but the trunk's and what a signal asks for."""
    config = tiny_job([4096, 8192], name="asked")
    config.trainer.log_every_seconds = 0.0
    return config


@pytest.fixture
def undisturbed(tiny_job: Make) -> list[dict[str, Any]]:
    return facts(pretrain(tiny_job([4096, 8192], name="undisturbed")))


def ask_at(step: int, signum: int) -> Callable[[Any], None]:
    """A report that sends this process a signal after a step."""

    def report(progress: Any) -> None:
        if progress.step == step:
            os.kill(os.getpid(), signum)

    return report


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT interrupts as in a terminal; where tests run in several processes, each of them ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("signum", [*SIGNALS, signal.SIGINT])
@pytest.mark.parametrize("step", [1, 10, 40])
def test_a_job_that_is_asked_to_end_goes_on_where_it_stood(
    job: TrainConfig, undisturbed: list[dict[str, Any]], signum: int, step: int
) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    with pytest.raises(KeyboardInterrupt if signum == signal.SIGINT else Preempted):
        pretrain(job, ask_at(step, signum))
    assert (job.folder / CHECKPOINT).is_file()
    assert holder_of(job.folder) is None
    assert [signal.getsignal(each) for each in SIGNALS] == before
    steps: list[int] = []
    assert facts(pretrain(job, lambda progress: steps.append(progress.step))) == undisturbed
    assert steps[0] == step + 1  # nothing is trained twice


def test_the_end_of_a_branch_needs_no_checkpoint(job: TrainConfig, undisturbed: list[dict[str, Any]]) -> None:
    ends: list[int] = []

    def at_the_first_record(progress: Any) -> None:
        if progress.runs_done == 1 and not ends:
            ends.append(progress.step)
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Preempted):
        pretrain(job, at_the_first_record)
    assert len(ends) == 1
    assert not (job.folder / CHECKPOINT).exists()
    assert facts(pretrain(job)) == undisturbed


def test_a_job_that_ends_in_the_same_step_is_recorded_first(job: TrainConfig) -> None:
    def ask_at_the_end(progress: Progress) -> None:
        if progress.step == progress.steps:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Preempted):
        pretrain(job, ask_at_the_end)
    assert len(list(job.folder.glob("*/record.json"))) == 2
    assert attempt(job) is None


@pytest.mark.parametrize("sent", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_queue_that_listens_has_the_last_word(
    job: TrainConfig, monkeypatch: pytest.MonkeyPatch, sent: int
) -> None:
    """As under submitit, which listens to one of the two: by then the checkpoint is there and the claim given back."""
    seen: list[tuple[int, bool, bool]] = []

    def requeue(signum: int, frame: Any) -> None:
        seen.append((signum, (job.folder / CHECKPOINT).is_file(), holder_of(job.folder) is None))
        raise SystemExit(-1)

    before = signal.signal(signal.SIGUSR2, requeue)
    try:
        with pytest.raises(SystemExit):
            attempt_reporting(job, ask_at(10, sent), monkeypatch)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert seen == [(signal.SIGUSR2, True, True)]


def attempt_reporting(
    job: TrainConfig, report: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> str | None:
    monkeypatch.setattr("scaling.training.retry.progress_file", lambda folder: report)
    return attempt(job)


def test_what_slurm_cancels_is_not_requeued_and_what_it_warns_is(
    job: TrainConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """SIGTERM comes with both; Slurm's word for the job's state tells them apart. Submitit ignores the signal."""
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(
        '#!/bin/sh\necho "JobId=$4 JobName=x JobState=$(cat "$(dirname "$0")/state") Reason=None"\n'
    )
    scontrol.chmod(0o755)
    for key, value in {"SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": "7", "SLURM_NTASKS": "1"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    requeued: list[int] = []
    before = [signal.getsignal(each) for each in SIGNALS]
    try:
        signal.signal(signal.SIGTERM, lambda signum, frame: None)
        signal.signal(signal.SIGUSR2, lambda signum, frame: requeued.append(signum))
        for step, state, expected in ((10, "COMPLETING", []), (20, "RUNNING", [signal.SIGUSR2])):
            (tmp_path / "state").write_text(state)
            with pytest.raises(SystemExit) as stop:
                attempt_reporting(job, ask_at(step, signal.SIGTERM), monkeypatch)
            assert stop.value.code == 143  # no result: Slurm decides
            assert requeued == expected
    finally:
        for signum, handler in zip(SIGNALS, before, strict=True):
            signal.signal(signum, handler)
    assert not list(job.folder.glob("**/hpc_ckpt*"))  # Lightning's own, which would requeue as well


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_worker_that_is_asked_to_end_is_started_again(
    job: TrainConfig, undisturbed: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mark = tmp_path / "asked"

    def once(progress: Any) -> None:
        if progress.step == 10 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr("scaling.training.retry.progress_file", lambda folder: once)
    assert run_in_workers([job], 1, start="fork") == [None]
    assert mark.exists()
    records = pretrain(job)
    assert facts(records) == undisturbed
    assert records[0].retried is None


def test_a_sweep_that_is_asked_to_end_waits_for_its_workers_checkpoints(
    tiny_job: Make, undisturbed: list[dict[str, Any]]
) -> None:
    jobs = [tiny_job([4096, 8192], name=f"job{i}", seed=0) for i in range(2)]
    for config in jobs:
        config.trainer.log_every_seconds = 0.0

    def sweep() -> None:
        for signum in SIGNALS:
            signal.signal(signum, terminate)
        sys.argv = ["sweep"]
        hydra_app.run(lambda: run_in_workers(jobs, 2, start="fork"))

    process = FORK.Process(target=sweep)
    process.start()
    wait_for(lambda: all((config.folder / PROGRESS).is_file() for config in jobs))
    assert process.pid is not None
    os.kill(process.pid, signal.SIGTERM)
    process.join(60)
    assert process.exitcode == 143
    assert all(holder_of(config.folder) is None for config in jobs)
    assert all((config.folder / CHECKPOINT).is_file() for config in jobs)
    for config in jobs:
        assert facts(pretrain(config)) == undisturbed


def test_the_program_says_what_ended_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def app() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(10)

    monkeypatch.setattr(sys, "argv", ["train"])
    monkeypatch.setattr(os, "environ", dict(os.environ))
    before = [signal.getsignal(each) for each in SIGNALS]
    try:
        with pytest.raises(SystemExit) as stop:
            hydra_app.run(app)
    finally:
        for signum, handler in zip(SIGNALS, before, strict=True):
            signal.signal(signum, handler)
    assert stop.value.code == 128 + signal.SIGUSR1
    assert "ended by SIGUSR1; the same command goes on" in capsys.readouterr().err


def test_jobs_that_were_asked_to_end_are_launched_again_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Planned:
        name = "job"
        recorded = False

        class job:
            folder = Path("nowhere")
            tidy = staticmethod(lambda: None)

    answers = [PREEMPTED] * 5

    def launch(jobs: list[Any]) -> dict[str, str]:
        if answers:
            return {"job": answers.pop()}
        Planned.recorded = True
        return {}

    assert train_jobs([Planned()], launch) == {}  # type: ignore[list-item]
    assert Terminated(signal.SIGTERM).signum == signal.SIGTERM
