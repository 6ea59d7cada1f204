"""The same jobs and losses come out of a multirun through every launcher, and one bad job ends none of the others."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from math import inf
from pathlib import Path

import launchers
import pandas as pd
import pytest

from scaling.accounting.this_machine import cores
from scaling.config.schema import TrainConfig
from scaling.errors import UserError
from scaling.records.folder import MULTIRUN
from scaling.sweep import local
from scaling.sweep.local import refuse_shared_folders, train_multirun
from scaling.sweep.multirun import MultirunJob, keep_outcome, read_outcomes, train_job
from scaling.sweep.multirun_report import conclude, multirun_table

SMALL = [word for word in launchers.WORDS if not word.startswith(("name=", "optim=", "optim.lr="))]


def job_of(config: TrainConfig, study: Path, began: str = "1") -> MultirunJob:
    return MultirunJob(
        study=study, began=began, name=config.name, folder=config.folder, words=[f"name={config.name}"],
        overrides=[f"name={config.name}"], config=config, refusal=None, alone=True,
    )  # fmt: skip


def multirun(folder: Path, cache: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scaling", "train", "-m", *SMALL, f"cache={cache}", *words],
        cwd=folder, capture_output=True, text=True, timeout=300, env={**os.environ, "COLUMNS": "200"}, check=False,
    )  # fmt: skip


def test_a_job_that_cannot_train_is_told_beside_the_others(
    tiny_job: Callable[..., TrainConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = tiny_job([2048], name="good")
    bad = replace(good, name="bad", model=replace(good.model, heads=3))
    unread = replace(
        job_of(good, tmp_path), name="unread", folder=tmp_path / "unread", config=None, refusal="seed=-1"
    )
    loss = train_job(job_of(good, tmp_path))
    assert 0 < loss < 6
    assert train_job(job_of(bad, tmp_path)) == inf
    assert train_job(unread) == inf
    assert conclude(tmp_path, "1") == 2
    assert conclude(tmp_path, "2") == 0
    assert conclude(tmp_path, "1", tuning=True) == 0
    told = capsys.readouterr().out
    assert "model.heads=3: does not divide model.width=16" in told
    table = pd.read_csv(tmp_path / "records.csv")
    assert sorted(table["status"]) == ["done", "failed", "failed"]
    assert table["loss_nats"].max() == loss


def test_a_damaged_outcome_is_no_outcome(tiny_job: Callable[..., TrainConfig], tmp_path: Path) -> None:
    keep_outcome(job_of(tiny_job([2048]), tmp_path), "it rained")
    (tmp_path / MULTIRUN / "0.json").write_text("{")
    outcomes = read_outcomes(tmp_path)
    assert [outcome.reason for outcome in outcomes] == ["it rained"]
    assert list(multirun_table(outcomes)["reason"]) == ["it rained"]


def test_two_jobs_of_one_folder_are_refused_unless_they_are_the_same(
    tiny_job: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    one = job_of(tiny_job([2048]), tmp_path)
    other = job_of(tiny_job([2048], seed=1), tmp_path)
    refuse_shared_folders([one, one])
    with pytest.raises(UserError, match=r"name=job and name=job: .* one folder"):
        refuse_shared_folders([one, other])


def test_jobs_at_once_share_the_cores(
    tiny_job: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int | None]] = []

    def remember(jobs: list[TrainConfig], count: int, **_: object) -> list[str | None]:
        asked.extend((count, job.trainer.threads) for job in jobs)
        return ["not trained"] * len(jobs)

    monkeypatch.setattr(local, "run_in_workers", remember)
    base = tiny_job([2048])
    free = replace(base, trainer=replace(base.trainer, threads=None))
    jobs = [job_of(replace(free, name=name), tmp_path) for name in "abcd"]
    for workers in (None, 1, 2, 4):
        assert train_multirun(jobs, workers) == [inf] * 4
    assert all(threads is not None and count * threads <= max(count, cores()) for count, threads in asked)


# --- whole multiruns -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_losses_come_out_of_every_launcher(tmp_path: Path, cache: Path) -> None:
    table = launchers.compare(tmp_path, cache)
    assert len(table) == 4
    assert table.nunique(axis=1, dropna=False).eq(1).all(), table.to_string()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", launchers.LAUNCHERS)
def test_a_bad_job_ends_no_other_through_any_launcher(launcher: str, tmp_path: Path, cache: Path) -> None:
    words, plugin = launchers.LAUNCHERS[launcher]
    if plugin is not None and find_spec(f"hydra_plugins.{plugin}") is None:
        pytest.skip(f"{plugin} is not installed")
    ended = multirun(tmp_path, cache, *words, "model.heads=3,2", "name=bad")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "failed model.heads=3: model.heads=3: does not divide" in ended.stdout
    table = pd.read_csv(tmp_path / "runs" / "bad" / "records.csv").set_index("overrides")["status"]
    assert dict(table) == {"model.heads=2": "done", "model.heads=3": "failed"}
    assert not list(tmp_path.rglob("*None*"))


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "local"])
def test_seventeen_swept_overrides_have_a_folder(launcher: str, tmp_path: Path, cache: Path) -> None:
    keys = {
        "optim.beta1": "0.9", "optim.beta2": "0.95", "optim.eps": "1e-8", "optim.grad_clip": "1.0", "seed": "1",
        "optim.weight_decay": "0.1", "optim.lr_reference": "0.006", "optim.lr_exponent": "0.25", "model.heads": "2",
        "optim.batch_smallest": "512", "optim.batch_reference": "1024", "optim.batch_exponent": "0.75",
        "optim.momentum": "0.95", "optim.muon_lr_ratio": "3.0", "schedule.warmup_tokens": "256", "model.kv_heads": "1",
        "optim.lr": "0.01",
    }  # fmt: skip
    words = [f"{key}=choice({value})" for key, value in keys.items()]
    ended = multirun(tmp_path, cache, *launchers.LAUNCHERS[launcher][0], *words)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(list(tmp_path.glob("runs/train/*/*/record.json"))) == 1


@pytest.mark.slow
def test_a_tuning_goes_on_and_prunes_a_diverged_trial(tmp_path: Path, cache: Path) -> None:
    optuna = pytest.importorskip("optuna", reason="the extra [optuna] is not installed")
    words = ["hydra/sweeper=tune", "name=tuned", "optim.batch_tokens=128", "optim.lr=choice(1e-3,1e30)"]
    first = multirun(tmp_path, cache, *words, "hydra.sweeper.trials=4")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Traceback" not in first.stdout + first.stderr
    again = multirun(tmp_path, cache, *words, "hydra.sweeper.trials=6")
    assert "diverged" in again.stdout
    storage = f"sqlite:///{tmp_path}/runs/tuned/tuning.db"
    states = [trial.state.name for trial in optuna.load_study(study_name="tuning", storage=storage).trials]
    assert len(states) == 6
    assert set(states) == {"COMPLETE", "PRUNED"}
