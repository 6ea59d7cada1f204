"""The same table comes out of every launcher, and a job that fails in one is named."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from chaos import MEASURED
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from scaling.config.schema import register
from scaling.records.files import seal
from scaling.records.folder import CHECKPOINT
from scaling.sweep.placement import PROCESS_BYTES, placement

pytestmark = pytest.mark.slow  # a sweep with each launcher

PACKAGES = {
    "basic": None,
    "joblib": "hydra_joblib_launcher",
    "submitit_local": "hydra_submitit_launcher",
    "ray_cluster": "hydra_ray_launcher",
}
"""Launchers other than our own, and the plugin that each needs."""
STUDY = """
experiment=smoke corpus=lexicon corpus.words=50 corpus.validation_bytes=2048 model.context=16 logger=none name=study
design.min_flops=2e8 design.max_flops=2e8 design.budgets=1 design.sizes=2 design.expected_params=7e3
design.expected_at_flops=2e8 optim.batch_tokens=1024 optim.lr=5e-3 schedule.warmup_tokens=256
""".split()  # noqa: SIM905


def need(plugin: str | None) -> None:
    if plugin is not None and find_spec(f"hydra_plugins.{plugin}") is None:
        pytest.skip(
            f"{plugin.replace('_', '-')} is not installed: an extra that is too large for every test run"
        )


def sweep(out: Path, cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scaling", "sweep", *STUDY, f"out={out}", f"cache={cache}", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, "COLUMNS": "200"}
    )


def table(out: Path) -> pd.DataFrame:
    """A study's table without what a clock or a meter fills in."""
    return pd.read_csv(out / "study" / "records.csv", dtype=str).drop(columns=MEASURED)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> pd.DataFrame:
    """What our own launcher comes to."""
    out = tmp_path_factory.mktemp("local")
    ended = sweep(out, cache)
    assert ended.returncode == 0, ended.stderr
    return table(out)


@pytest.mark.parametrize("launcher", PACKAGES)
def test_the_same_table_comes_out_of_each_launcher(
    launcher: str, local: pd.DataFrame, tmp_path: Path, cache: Path
) -> None:
    need(PACKAGES[launcher])
    ended = sweep(tmp_path, cache, f"hydra/launcher={launcher}")
    assert ended.returncode == 0, ended.stderr
    assert len(local) == 2
    pd.testing.assert_frame_equal(table(tmp_path), local, check_exact=True)


PRETENDED_GPU = """
import functools
import lightning
from scaling.training import machine

gpu = machine.Machine(accelerator="gpu", multiplies_bf16=False)
machine.probe = lambda accelerator="auto": gpu
machine.refuse_what_is_missing = lambda trainer: None
trainer = lightning.Trainer
lightning.Trainer = lambda **options: trainer(**{**options, "accelerator": "cpu"})
"""
"""A sitecustomize.py, which Python runs at its start: the machine claims a GPU, and trains on the processor."""


def test_the_same_table_comes_of_jobs_that_wait_for_a_gpus_memory(
    local: pd.DataFrame, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the GPU itself: nvidia-smi is a script, and what is planned for the GPU trains on the processor."""
    (tmp_path / "sitecustomize.py").write_text(PRETENDED_GPU)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, GPU-1, 4000, 4000, Default, Disabled'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    ended = sweep(tmp_path, cache, "trainer.accelerator=auto", "hydra.launcher.workers=2")
    assert ended.returncode == 0, ended.stderr
    pd.testing.assert_frame_equal(table(tmp_path), local, check_exact=True)
    planned = sweep(tmp_path, cache, "trainer.accelerator=auto", "--dry-run")
    assert "2 recorded already" in planned.stdout, planned.stderr
    planned = sweep(tmp_path, cache, "trainer.accelerator=gpu", "--dry-run", "name=again")
    assert "and 3,600 MiB are there" in planned.stdout, planned.stderr
    tool.write_text("#!/bin/sh\necho '0, GPU-1, 500, 500, Default, Disabled'\n")
    refused = sweep(tmp_path, cache, "trainer.accelerator=auto", "name=small")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "MiB, and 450 MiB are there" in refused.stderr


def test_a_failing_job_is_named_and_a_resumed_sweep_trains_only_that(
    local: pd.DataFrame, tmp_path: Path, cache: Path
) -> None:
    need("hydra_joblib_launcher")
    broken = tmp_path / "study" / f"params{local['params_total'][0]}-seed0"
    broken.mkdir(parents=True)
    (broken / CHECKPOINT).write_bytes(b"of another study")
    seal(broken / CHECKPOINT, "another 5")
    ended = sweep(tmp_path, cache, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert ended.returncode == 1, ended.stderr
    assert f"failed {broken.name}: {broken / CHECKPOINT}: a checkpoint of another config" in ended.stdout
    assert sorted(table(tmp_path)["status"]) == ["done", "failed"]
    (broken / CHECKPOINT).unlink()
    again = sweep(tmp_path, cache, "hydra/launcher=basic")
    assert again.returncode == 0, again.stderr
    assert "1 runs are recorded already; 1 to train" in again.stderr
    assert "Launching 1 jobs locally" in again.stdout + again.stderr
    pd.testing.assert_frame_equal(table(tmp_path), local, check_exact=True)


# --- where jobs run ------------------------------------------------------------------------------------


def composed(*overrides: str) -> DictConfig:
    register()
    GlobalHydra.instance().clear()
    with initialize_config_module("scaling.conf", version_base="1.3"):
        return compose("sweep", overrides=["trainer=cpu", *overrides], return_hydra_config=True)


@pytest.mark.parametrize(
    ("overrides", "at_once", "here"),
    [
        (["hydra.launcher.workers=3"], 3, True),
        (["hydra/launcher=basic"], 1, True),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=3"], 3, True),
        (["hydra/launcher=slurm", "hydra.launcher.array_parallelism=7"], 7, False),
        (["hydra/launcher=ray_cluster", "hydra.launcher.ray.remote.num_cpus=1e9"], 1, True),
        (["hydra/launcher=ray_cluster", "hydra.launcher.ray.init.address=auto"], None, False),
    ],
)
def test_where_jobs_run_is_read_off_the_launcher(
    overrides: list[str], at_once: int | None, here: bool
) -> None:
    if "hydra/launcher=joblib" in overrides:
        need("hydra_joblib_launcher")
    where = placement(composed(*overrides))
    assert at_once is None or where.at_once == at_once
    assert where.here is here


def test_slurm_jobs_have_the_memory_they_ask_for() -> None:
    assert placement(composed("hydra/launcher=slurm")).memory_bytes is None
    where = placement(composed("hydra/launcher=slurm", "hydra.launcher.mem_gb=2"))
    assert where.memory_bytes == 2 * 2**30 - PROCESS_BYTES


def test_a_launcher_whose_package_is_missing_says_which(tmp_path: Path, cache: Path) -> None:
    missing = "hydra.launcher._target_=hydra_plugins.hydra_ray_launcher_missing.ray_launcher.RayLauncher"
    ended = sweep(tmp_path, cache, "hydra/launcher=ray_cluster", missing)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "pip install 'scaling-simulator[ray]'" in ended.stderr
