"""The answer of `solve` as a file that `scaling train` runs."""

from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra

from scaling.budget.experiment_file import write_experiment
from scaling.budget.keys import ModelKeys, SolveKeys
from scaling.budget.solve import solve
from scaling.config.schema import load, register
from scaling.errors import UserError

TINY = SolveKeys(flops=2e12, hardware="cpu", model=ModelKeys(vocab_size=256, context=64))


def test_the_experiment_names_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    solution = solve(TINY)
    path = write_experiment(solution, "tiny")
    assert path == Path("experiment/tiny.yaml")
    text = path.read_text()
    assert text.startswith("# @package _global_\n")
    written = yaml.safe_load(text)
    assert written["tokens"] == round(solution.budget.tokens)
    assert written["model"]["width"] == solution.budget.shape.width
    assert written["optim"]["batch_tokens"] == solution.budget.step.tokens
    assert {"override /tokenizer": "bytes"} in written["defaults"]
    with pytest.raises(UserError, match="exists already"):
        write_experiment(solution, "tiny")
    assert path.read_text() == text
    with pytest.raises(UserError, match="plain name"):
        write_experiment(solution, "a/b")


def test_a_layout_that_training_does_not_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="needs tensor, pipeline parallelism"):
        write_experiment(solve(SolveKeys(flops=1e24)), "big")
    assert not list(tmp_path.iterdir())


def test_the_experiment_composes_and_resolves_to_the_planned_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    solution = solve(TINY)
    write_experiment(solution, "tiny")
    register()
    GlobalHydra.instance().clear()
    with initialize_config_module("scaling.conf", version_base="1.3"):
        config = load(compose("train", ["experiment=tiny", f"hydra.searchpath=[file://{tmp_path}]"]))
    assert config.tokens == round(solution.budget.tokens)
    shape, model = solution.budget.shape, config.model
    assert (model.width, model.depth, model.heads) == (shape.width, shape.depth, shape.heads)
    assert model.ffn_width == shape.ffn_width
