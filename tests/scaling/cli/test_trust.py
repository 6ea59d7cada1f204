"""Files from elsewhere are data: reading them executes nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra

from scaling.cli import exit_status, hydra_app, untrusted_config
from scaling.config.schema import TrainConfig, load, register
from scaling.model.saved import load as load_trained
from scaling.records.files import seal, write_json
from scaling.records.folder import OLD_MODEL, RECORD, VALIDATION_LOSSES
from scaling.records.records import FILES, load_sweep
from scaling.training.pretrain import pretrain
from scaling.training.retry import attempt

Make = Callable[..., TrainConfig]


class Mine:
    """What a pickle of makes a folder when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def composed(folder: Path, *overrides: str) -> Any:
    """A config of `scaling train` with a folder from elsewhere."""
    register()
    untrusted_config.install()
    GlobalHydra.instance().clear()
    with initialize_config_module("scaling.conf", version_base="1.3"):
        return compose("train", overrides=[f"hydra.searchpath=[file://{folder}]", *overrides])


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        ("experiment/x", "hydra: {callbacks: {x: {_target_: os.mkdir, path: MARK}}}", "sets hydra.callbacks"),
        ("experiment/x", "hydra: {job_logging: {formatters: {x: {(): os.mkdir}}}}", "sets hydra.job_logging"),
        ("experiment/x", "hydra: {job: {env_set: {LD_PRELOAD: x.so}}}", "sets hydra.job"),
        ("experiment/x", "hydra: {searchpath: ['pkg://mine']}", "sets hydra.searchpath"),
        ("experiment/x", "hydra: {sweeper: {_target_: os.mkdir}}", "sets hydra.sweeper"),
        ("experiment/x", "hydra: {launcher: {_target_: os.mkdir}}", "sets hydra.launcher._target_"),
        ("experiment/x", "hydra: {launcher: {setup: [rm -rf]}}", "sets hydra.launcher.setup"),
        ("experiment/x", 'hydra: {launcher: {partition: "a\\nrm -rf"}}', "sets hydra.launcher.partition"),
        ("experiment/x", "hydra: {launcher: {nodes: {_target_: os.mkdir}}}", "sets hydra.launcher.nodes"),
        ("experiment/x", "hydra: {launcher: {name: '${oc.env:HOME}'}}", "sets hydra.launcher.name"),
        ("experiment/x", "hydra.callbacks: {x: {_target_: os.mkdir}}", "sets hydra.callbacks"),
        ("experiment/x", "hydra: ${oc.decode:'{callbacks:1}'}", "sets hydra"),
        ("experiment/x", "defaults: [/experiment/y@hydra.callbacks]", "sets defaults: /experiment/y@hydra.callbacks"),
        ("experiment/x", "defaults: [{/experiment@_global_.hydra: y}]", "@_global_.hydra"),
        ("experiment/x", "defaults: ['/experiment/y@${name}']", "/experiment/y@"),
        ("experiment/x", "trainer: {callbacks: [{_target_: os.mkdir, path: MARK}]}", "sets trainer.callbacks"),
        ("experiment/x", "trainer.callbacks: [{_target_: os.mkdir, path: MARK}]", "sets trainer.callbacks"),
        ("experiment/x", "trainer: \"${oc.create:'{callbacks:[{_target_:os.mkdir}]}'}\"", "sets trainer,"),
        ("experiment/x", "branches: [{a: {_target_: os.mkdir, path: MARK}}]", "sets branches.0.a._target_"),
        ("experiment/x", "defaults: [/experiment/y@trainer.callbacks]", "defaults: /experiment/y@trainer.callbacks"),
        ("trainer/x", "callbacks: [{_target_: os.mkdir, path: MARK}]", "sets callbacks"),
        ("experiment/x", "x: !!python/object/apply:os.mkdir [MARK]", "not plain YAML"),
        ("experiment/x", "name: [unclosed", "not plain YAML"),
        ("hydra/launcher/x", "_target_: os.mkdir", "sets hydra.launcher.x"),
    ],
)  # fmt: skip
def test_a_config_from_elsewhere_names_no_code(tmp_path: Path, path: str, text: str, told: str) -> None:
    file = tmp_path / f"{path}.yaml"
    file.parent.mkdir(parents=True)
    header = "# @package _global_\n" if path.startswith("experiment") else ""
    file.write_text(header + text.replace("MARK", str(tmp_path / "executed")))
    group, _, option = path.rpartition("/")
    with pytest.raises(ValueError) as refusal:
        load(composed(tmp_path, f"{group}={option}"))
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "executed").exists()


def test_a_package_in_a_header_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "x.yaml").write_text("# @package hydra.callbacks\nx: {_target_: os.mkdir}")
    with pytest.raises(ValueError, match=r"sets hydra\.callbacks"):
        composed(tmp_path, "experiment=x")


def test_a_group_of_callbacks_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "trainer" / "callbacks").mkdir(parents=True)
    (tmp_path / "trainer" / "callbacks" / "x.yaml").write_text("- {_target_: os.mkdir, path: here}")
    with pytest.raises(ValueError, match=r"sets trainer\.callbacks"):
        composed(tmp_path, "+trainer/callbacks=x")


def test_a_config_from_elsewhere_may_choose_a_launcher_and_its_resources(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "x.yaml").write_text(
        "# @package _global_\n"
        "defaults: [override /hydra/launcher: local, override /optim: adamw]\n"
        "name: mine\ntokens: 5000\nhydra: {launcher: {workers: 2}}\ntrainer: {callbacks: []}\n"
    )
    config = load(composed(tmp_path, "experiment=x"))
    assert (config.name, config.tokens, config.optim.kind) == ("mine", 5000.0, "adamw")


@pytest.mark.parametrize("words", [["--config-dir", ".", "experiment=x"], ["--experimental-rerun=x.pickle"]])
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "begun by another"])
def test_the_commands_refuse_it_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], inside: bool
) -> None:
    """Also as a process that another of these commands began, whose environment it has."""
    for name in (exit_status.TRACEBACK, "HYDRA_FULL_ERROR"):
        monkeypatch.setenv(name, "0")  # so that it is as before when the test is over
        monkeypatch.delenv(name)
    if inside:
        monkeypatch.setattr(sys, "argv", ["train"])
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        hydra_app.run(lambda: None)
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "x.yaml").write_text(
        f"# @package _global_\nhydra: {{callbacks: {{x: {{_target_: os.mkdir, path: {tmp_path / 'executed'}}}}}}}\n"
    )
    buffer = BytesIO()
    torch.save(Mine(tmp_path / "executed"), buffer)
    (tmp_path / "x.pickle").write_bytes(buffer.getvalue())
    done = subprocess.run(
        [sys.executable, "-m", "scaling", "train", *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["experiment", "x.pickle"]


def test_a_typed_key_names_no_code(tmp_path: Path) -> None:
    register()
    mark = tmp_path / "executed"
    target = f"++{{}}._target_=os.mkdir ++{{}}.path={mark}"
    GlobalHydra.instance().clear()
    with initialize_config_module("scaling.conf", version_base="1.3"):
        for node in ("corpus", "model", "trainer", "logger", "optim"):
            overrides = [word.format(node) for word in target.split()]
            with pytest.raises(ValueError, match=r"_target_=os.mkdir: no such key"):
                load(compose("train", overrides=overrides))
    assert not mark.exists()


def test_a_checkpoint_that_holds_code_is_not_loaded(tiny_job: Make, tmp_path: Path) -> None:
    """Sealed properly, by someone with bad intentions: loading it still executes nothing."""
    from scaling.records.folder import CHECKPOINT

    config = tiny_job([2048])
    config = replace(config, trainer=replace(config.trainer, checkpoint_every_seconds=0.0))

    from scaling.corpus import prepare
    from scaling.training.job import plan_job

    job = plan_job(config, prepare(config.corpus, config.tokenizer, Path(config.cache)))
    job.folder.mkdir(parents=True)
    path = job.folder / CHECKPOINT
    torch.save({"state_dict": Mine(tmp_path / "executed"), "pytorch-lightning_version": "2.6.6"}, path)
    seal(path, f"{job.fingerprint} 5")
    reason = attempt(config)
    assert reason is not None
    assert "Weights only load failed" in reason
    assert not (tmp_path / "executed").exists()


def test_a_model_or_an_array_that_holds_code_is_not_loaded(tiny_job: Make, tmp_path: Path) -> None:
    """Both with seals and checksums as they should be."""
    config = tiny_job([2048])
    pretrain(config)
    record = next(config.folder.glob(f"*/{RECORD}"))
    old = (
        tmp_path / "old" / OLD_MODEL
    )  # earlier versions wrote models in PyTorch's format, which can hold code
    old.parent.mkdir()
    torch.save({"shape": Mine(tmp_path / "executed")}, old)
    seal(old, "model")
    with pytest.raises(ValueError, match=r"model\.pt: not a whole model"):
        load_trained(old.parent)

    from scaling.records.files import digest, read_json

    array = record.parent / VALIDATION_LOSSES
    np.save(array, np.array([Mine(tmp_path / "executed")], dtype=object), allow_pickle=True)
    values = read_json(record)
    values[FILES][VALIDATION_LOSSES] = digest(array)
    write_json(record, values)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_sweep(config.folder)
    assert not (tmp_path / "executed").exists()
