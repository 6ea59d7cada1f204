"""The answer of `solve` as a file that `scaling train` runs."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from budget_shapes import written_plans
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra

from scaling.budget.experiment_file import experiment_text, write_experiment
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
    with pytest.raises(UserError, match="none of scaling train, which runs DDP or FSDP in one machine"):
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


@pytest.mark.parametrize("plans", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_what_is_written_is_what_was_planned_or_is_refused(plans: int, tmp_path: Path) -> None:
    """Random plans: shape, tokens, batch, precision and layout of the training job are those of the plan."""
    written, refused, differences = written_plans(plans, tmp_path)
    assert not differences
    assert written > plans / 3
    assert refused > plans / 5  # all that have experts


def test_the_plan_names_a_corpus_or_the_usual_one_has_to_do(tmp_path: Path) -> None:
    solution = solve(SolveKeys(flops=1e17, hardware="h100", write="g"))
    with pytest.raises(UserError, match=r"would repeat \d+ times; give corpus=PATH"):
        experiment_text(solution, "g")
    assert "override /corpus: stdlib" in experiment_text(solution, "g", "stdlib")
    assert yaml.safe_load(experiment_text(solution, "g", "my/*.txt"))["corpus"] == {"paths": ["my/*.txt"]}
    streamed = yaml.safe_load(experiment_text(solution, "g", "hub:me/mine"))["corpus"]
    assert streamed["name"] == "me/mine"
    assert streamed["limit_bytes"] > 4 * solution.budget.tokens


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (SolveKeys(flops=1e17, hardware="v100", precision="16-mixed"), "no precision 16-mixed"),
        (SolveKeys(flops=1e17, hardware="h100", precision="fp8-mixed"), "no precision fp8-mixed"),
        (SolveKeys(flops=1e17, hardware="h100", optimizer="adafactor"), "no optimizer adafactor"),
        (SolveKeys(flops=1e17, hardware="h100", recompute="full"), "neither recomputes"),
        (SolveKeys(flops=1e17, hardware="tpu-v4"), "runs on no tpu-v4"),
        (SolveKeys(flops=1e17, hardware="h100", model=ModelKeys(window=64)), "without biases, windows"),
        (SolveKeys(flops=1e17, hardware="h100", model=ModelKeys(name="gpt2")), "RMSNorm"),
    ],
)
def test_what_training_lacks_is_refused_by_name(keys: SolveKeys, words: str) -> None:
    with pytest.raises(UserError) as refused:
        experiment_text(solve(replace(keys, write="p")), "p", "lexicon")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
