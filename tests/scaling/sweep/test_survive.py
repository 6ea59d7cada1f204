"""Sweeps survive failures, each other, and changed ground."""

import ast
import errno
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hydra_plugins.scaling_simulator import LocalLauncher, ScalingSweeper
from omegaconf import OmegaConf
from torch import Tensor

from scaling.config.schema import AdamWConfig, DesignConfig, SweepConfig, TrainConfig
from scaling.records.claims import claim
from scaling.records.folder import ERROR_LOG, FAILED, JOB_PLAN, RECORD, STUDY_PLAN
from scaling.records.records import load_sweep
from scaling.sweep import provenance
from scaling.sweep.plan import plan_jobs
from scaling.sweep.run import train_jobs
from scaling.sweep.workers import run_in_workers
from scaling.training.module import Pretraining
from scaling.training.pretrain import pretrain
from scaling.training.retry import attempt

Make = Callable[..., TrainConfig]
FORK = multiprocessing.get_context("fork")


def tiny_sweep(tiny_job: Make, **changes: Any) -> SweepConfig:
    """Two jobs of two runs."""
    values = {**vars(tiny_job([2048])), "branches": [], "name": "sweep", **changes}
    return SweepConfig(
        **{
            "design": DesignConfig(
                min_flops=4e7, max_flops=8e7, budgets=2, sizes=2, size_ratio=1.6,
                expected_params=7e3, expected_at_flops=6e7, expected_exponent=0.0,
            ),
            **values,
        }
    )  # fmt: skip


def train_here(jobs: list[Any]) -> dict[str, str]:
    """A launcher without processes."""
    reasons = {job.name: attempt(job.job.config) for job in jobs}
    return {name: reason for name, reason in reasons.items() if reason is not None}


# --- failures ------------------------------------------------------------------------------------------


def test_a_failed_run_stands_in_the_table_until_it_is_trained(
    tiny_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_job([2048, 4096])

    def broken(*_: object) -> None:
        raise ArithmeticError("no number came of it")

    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "training_step", broken)
        reason = attempt(config)
    assert reason is not None
    assert reason.startswith("ArithmeticError: no number came of it (see ")
    assert "in broken" in (config.folder / ERROR_LOG).read_text()
    table = load_sweep(config.folder)
    assert list(table["status"]) == ["failed", "failed"]
    assert table["loss_nats"].isna().all()  # no zero
    assert table["seconds_spent"].isna().all()
    assert set(table["reason"]) == {reason}
    assert attempt(config) is None
    assert list(load_sweep(config.folder)["status"]) == ["done", "done"]
    assert not list(config.folder.glob(f"**/{FAILED}"))
    assert not (config.folder / ERROR_LOG).exists()


def test_out_of_memory_halves_the_micro_batch_not_the_batch(
    tiny_job: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = pretrain(tiny_job([2048], name="whole"))[0]
    config = tiny_job([2048], name="tight")
    step = Pretraining.training_step

    def tight(module: Pretraining, batch: Any, index: int) -> None:
        if module.recipe.micro_batch_sequences > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        step(module, batch, index)

    monkeypatch.setattr(Pretraining, "training_step", tight)
    assert attempt(config) is None
    record = pretrain(config)[0]
    assert (record.micro_batch_tokens, record.batch_tokens) == (32, whole.batch_tokens)
    assert record.retried == "out of memory; micro-batch halved to 32 tokens"
    assert record.identity == whole.identity
    assert record.loss_nats == pytest.approx(whole.loss_nats, abs=1e-3)
    assert caplog.text.count("out of memory; micro-batch halved") == 2


def test_out_of_memory_with_one_sequence_is_a_failure(
    tiny_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes")

    monkeypatch.setattr(Pretraining, "training_step", full)
    reason = attempt(tiny_job([2048]))
    assert reason is not None
    assert "can't allocate memory" in reason


def test_a_full_disk_fails_one_job_and_loses_nothing(tiny_job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_job([2048, 4096])
    sync = os.fsync

    def full(handle: int) -> None:
        if RECORD in os.readlink(f"/proc/self/fd/{handle}"):
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        reason = attempt(config)
    assert reason is not None
    assert "No space left on device" in reason
    assert not list(config.folder.glob(f"**/{RECORD}"))
    assert attempt(config) is None
    assert list(load_sweep(config.folder)["status"]) == ["done", "done"]


@pytest.mark.parametrize(("deaths", "failed"), [(1, False), (2, True)])
def test_a_job_whose_worker_dies_is_tried_once_more(
    tiny_job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: int, failed: bool
) -> None:
    config, other = tiny_job([2048], name="dies"), tiny_job([2048], name="lives")
    train = Pretraining._optimizer_step

    def deadly(module: Pretraining, windows: Tensor) -> None:
        marks = list(tmp_path.glob("death*"))
        if module.position == 3 and len(marks) < deaths and "dies" in str(module.trainer.default_root_dir):
            (tmp_path / f"death{len(marks)}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        train(module, windows)

    monkeypatch.setattr(Pretraining, "_optimizer_step", deadly)
    first, second = run_in_workers([config, other], 1, start="fork")
    assert second is None
    if failed:
        assert first == "its process died (exit code -9; -9 is usually out of memory), twice"
    else:
        assert first is None
        assert pretrain(config)[0].retried is not None
        assert "its process died (exit code -9" in str(pretrain(config)[0].retried)
        assert {path.name for path in config.folder.iterdir()} == {pretrain(config)[0].run_id, JOB_PLAN}


def test_one_failing_job_stops_no_other_and_shows_in_the_exit_code(
    tiny_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_sweep(tiny_job)
    jobs = plan_jobs(config)
    first = jobs[0].name

    def launch(waiting: list[Any]) -> dict[str, str]:
        assert first in [job.name for job in waiting]
        train_here([job for job in waiting if job.name != first])
        return {first: "its process died"}

    assert train_jobs(jobs, launch) == {first: "its process died"}
    table = load_sweep(config.folder)
    assert sorted(table["status"]) == ["done", "done", "failed", "failed"]
    assert set(table.loc[table["status"] == "failed", "reason"]) == {"its process died"}


def test_a_sweep_that_is_not_done_ends_with_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeper = ScalingSweeper()
    sweeper.config = OmegaConf.create({})
    sweeper.launcher = LocalLauncher()
    monkeypatch.setattr("scaling.sweep.run.sweep", lambda *_: 0)
    sweeper.sweep([])
    monkeypatch.setattr("scaling.sweep.run.sweep", lambda *_: 2)
    with pytest.raises(SystemExit) as stop:
        sweeper.sweep([])
    assert stop.value.code == 1


# --- two at once ---------------------------------------------------------------------------------------


def test_a_sweep_waits_for_what_another_trains(tiny_job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_sweep(tiny_job)
    jobs = plan_jobs(config)
    held = claim(jobs[0].job.folder)
    held.__enter__()
    waits: list[float] = []

    def other_ends(seconds: float) -> None:
        waits.append(seconds)
        held.__exit__(None, None, None)
        pretrain(jobs[0].job.config)

    monkeypatch.setattr("scaling.sweep.run.time.sleep", other_ends)
    launched: list[str] = []

    def launch(waiting: list[Any]) -> dict[str, str]:
        launched.extend(job.name for job in waiting)
        return train_here(waiting)

    assert train_jobs(jobs, launch) == {}
    assert launched == [jobs[1].name]
    assert len(waits) == 1
    assert list(load_sweep(config.folder)["status"]) == ["done"] * 4


def _sweep_and_count(config: SweepConfig, log: Path) -> None:
    from scaling.records import records
    from scaling.training import branching

    write = records.write_record

    def counted(record: Any, folder: Path, files: Any = ()) -> None:
        with log.open("a") as file:
            file.write(f"{record.run_id}\n")
        write(record, folder, files)

    vars(branching)["write_record"] = counted
    os._exit(len(train_jobs(plan_jobs(config), train_here)))


def test_two_sweeps_at_once_train_each_run_once(tiny_job: Make, tmp_path: Path) -> None:
    config, log = tiny_sweep(tiny_job), tmp_path / "recorded.log"
    plan_jobs(config)
    sweeps = [FORK.Process(target=_sweep_and_count, args=(config, log)) for _ in range(2)]
    for sweep in sweeps:
        sweep.start()
    for sweep in sweeps:
        sweep.join()
    assert [sweep.exitcode for sweep in sweeps] == [0, 0]
    table = load_sweep(config.folder)
    assert sorted(log.read_text().split()) == sorted(table["run_id"])
    assert len(table) == 4
    assert not list(config.folder.glob("**/claim-*"))


# --- ground --------------------------------------------------------------------------------------------


def settle(config: SweepConfig) -> None:
    provenance.settle(config.folder, provenance.describe(config, plan_jobs(config)))


@pytest.fixture
def begun(tiny_job: Make) -> SweepConfig:
    """A sweep of which one job is trained."""
    config = tiny_sweep(tiny_job)
    settle(config)
    pretrain(plan_jobs(config)[0].job.config)
    return config


def test_another_recipe_or_corpus_is_refused_with_the_difference(begun: SweepConfig) -> None:
    settle(begun)
    before = (begun.folder / STUDY_PLAN).read_bytes()
    changes: list[tuple[dict[str, Any], str]] = [
        (
            {"optim": replace(begun.optim, lr=1e-3)},
            r"optim.lr: 0.005 -> 0.001. 4 planned runs would be others",
        ),
        ({"optim": AdamWConfig(lr=5e-3, batch_tokens=128)}, "optim.kind: muon -> adamw"),
        ({"model": replace(begun.model, ffn="gelu")}, "model.ffn: swiglu -> gelu"),
        ({"seed": 1}, "seed: 0 -> 1. 0 planned runs would be others now, 4 are no longer planned"),
        ({"corpus": replace(begun.corpus, words=60)}, "corpus.words: 50 -> 60; corpus's tokens: "),  # type: ignore[call-arg]
        ({"design": replace(begun.design, max_flops=9e7)}, "design.max_flops: 80000000.0 -> 90000000.0"),
    ]
    for change, message in changes:
        with pytest.raises(ValueError, match=message) as refusal:
            settle(replace(begun, **change))
        assert "choose another name=" in str(refusal.value)
        assert "\n" not in str(refusal.value)
        assert (begun.folder / STUDY_PLAN).read_bytes() == before


def test_what_no_run_depends_on_may_change_and_a_design_may_grow(begun: SweepConfig) -> None:
    settle(replace(begun, logger=replace(begun.logger, kind="csv")))
    settle(replace(begun, trainer=replace(begun.trainer, curve_points=20, micro_batch_tokens=32)))
    settle(replace(begun, design=replace(begun.design, seeds=2)))


def test_other_code_is_refused_and_comments_are_not_code(
    begun: SweepConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = provenance.training_code()
    assert {
        "scaling.model.decoder",
        "scaling.training.optim",
        "scaling.training.recipe",
        "scaling.corpus.order",
        "torch",
    } <= code.keys()
    assert not {"scaling.training.progress", "scaling.config.schema", "scaling.records.records"} & code.keys()
    with monkeypatch.context() as patch:
        patch.setattr(provenance, "training_code", lambda: {**code, "scaling.training.optim": "0"})
        with pytest.raises(
            ValueError, match=r"code of scaling.training.optim: \w+ -> 0. choose another name=.*\(code: "
        ):
            settle(begun)
    parse = ast.parse
    monkeypatch.setattr(ast, "parse", lambda text: parse(text + b"\n# a remark\n"))
    assert provenance.training_code() == code
    monkeypatch.setattr(ast, "parse", lambda text: parse(text + b"\nx = 1\n"))
    assert provenance.training_code()["scaling.model.decoder"] != code["scaling.model.decoder"]


def test_a_study_of_which_nothing_is_trained_may_change(tiny_job: Make) -> None:
    config = tiny_sweep(tiny_job)
    settle(config)
    settle(replace(config, seed=5))


def test_a_damaged_description_is_set_aside(begun: SweepConfig, caplog: pytest.LogCaptureFixture) -> None:
    path = begun.folder / STUDY_PLAN
    path.write_text(path.read_text().replace("0.005", "0.006"))
    settle(begun)
    assert "sweep.json.damaged-1" in caplog.text
    assert path.is_file()


def test_tables_of_failures_read_back(tiny_job: Make, tmp_path: Path) -> None:
    from scaling.records.records import write_table
    from scaling.training.retry import record_failure

    config = tiny_sweep(tiny_job)
    jobs = plan_jobs(config)
    pretrain(jobs[0].job.config)
    record_failure(jobs[1].job, "out of luck")
    back = pd.read_csv(write_table(load_sweep(config.folder), tmp_path))
    assert sorted(back["status"]) == ["done", "done", "failed", "failed"]
    assert back.loc[back["status"] == "failed", "loss_nats"].isna().all()
