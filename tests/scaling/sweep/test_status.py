"""A sweep's state, read from its folder."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from scaling.config.schema import SweepConfig
from scaling.errors import UserError
from scaling.records.claims import claim, this_process
from scaling.records.files import write_json
from scaling.records.folder import CHECKPOINT, RECORD, STUDY_PLAN
from scaling.sweep.plan import PlannedJob
from scaling.sweep.status import read_status
from scaling.training.pretrain import pretrain
from scaling.training.progress import Progress, progress_file
from scaling.training.retry import record_failure

HALF_WAY = Progress(
    step=5, steps=10, tokens_per_second=1234.0, loss=2.5, seconds_left=60.0, runs_done=0, runs=2
)


def test_a_sweep_is_seen_from_its_folder(study: SweepConfig, jobs: list[PlannedJob]) -> None:
    before = read_status(study.folder)
    assert {job.state for job in before.jobs} == {"waiting"}
    assert before.seconds_left is None
    records = pretrain(jobs[0].job.config)
    record_failure(jobs[1].job, "out of luck")
    jobs[2].job.folder.mkdir(exist_ok=True)
    progress_file(jobs[2].job.folder)(HALF_WAY)
    with claim(jobs[2].job.folder):
        status = read_status(study.folder, before)
    assert [job.state for job in status.jobs] == ["done", "failed", "training"]
    assert [job.runs_recorded for job in status.jobs] == [2, 0, 0]
    assert [run.loss_nats for run in status.jobs[0].runs] == [record.loss_nats for record in records]
    assert [job.reasons for job in status.jobs] == ["", "out of luck", ""]
    holder = status.jobs[2].holder
    assert holder is not None
    assert (holder.host, holder.pid) == (this_process().host, this_process().pid)
    assert status.jobs[2].flops_done == status.jobs[2].flops / 2
    assert status.seconds_left == pytest.approx(60)
    assert status.tokens_per_second == 1234


def test_the_time_left_is_at_the_speed_of_all_jobs_that_train(
    study: SweepConfig, jobs: list[PlannedJob]
) -> None:
    with ExitStack() as claims:
        for job in jobs[:2]:
            job.job.folder.mkdir()
            progress_file(job.job.folder)(HALF_WAY)
            claims.enter_context(claim(job.job.folder))
        status = read_status(study.folder)
    flops = [job.flops for job in status.jobs]
    assert status.seconds_left == pytest.approx(60 * (1 + 2 * flops[2] / (flops[0] + flops[1])))


def test_a_killed_job_is_seen_as_interrupted_and_a_damaged_record_as_damaged(
    study: SweepConfig, jobs: list[PlannedJob]
) -> None:
    jobs[0].job.folder.mkdir()
    (jobs[0].job.folder / CHECKPOINT).touch()
    pretrain(jobs[1].job.config)
    path = next(jobs[1].job.folder.glob(f"*/{RECORD}"))
    path.write_text(path.read_text()[:-20])
    status = read_status(study.folder)
    assert [job.state for job in status.jobs] == ["interrupted", "damaged", "waiting"]
    assert str(path) in status.jobs[1].reasons
    assert not status.ended
    for job in (jobs[0], jobs[2]):
        record_failure(job.job, "out of luck")
        (job.job.folder / CHECKPOINT).unlink(missing_ok=True)
    assert read_status(study.folder).ended
    with claim(jobs[1].job.folder):
        assert not read_status(study.folder).ended


def test_a_job_that_was_done_is_not_read_again(study: SweepConfig, jobs: list[PlannedJob]) -> None:
    pretrain(jobs[0].job.config)
    status = read_status(study.folder)
    for path in jobs[0].job.folder.glob(f"*/{RECORD}"):
        path.unlink()
    assert read_status(study.folder, status).jobs[0] is status.jobs[0]
    assert read_status(study.folder).jobs[0].state == "waiting"


def test_a_file_of_another_kind_is_no_plan_of_a_sweep(study: SweepConfig, jobs: list[PlannedJob]) -> None:
    write_json(study.folder / STUDY_PLAN, {"name": "other"})
    with pytest.raises(ValueError, match=r"sweep\.json: not the description of a sweep \(it lacks code,"):
        read_status(study.folder)


def test_a_sweep_that_is_being_planned_is_not_one_that_was_never_begun(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the folder is not there"):
        read_status(tmp_path / "missing")
    with claim(tmp_path), pytest.raises(UserError, match="being planned"):
        read_status(tmp_path)
    with pytest.raises(UserError, match="no sweep was begun here"):
        read_status(tmp_path)
