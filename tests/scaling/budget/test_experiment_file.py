"""The answer of `solve` as a file that `scaling train` runs."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra

from scaling.accounting.hardware import get_device
from scaling.budget.experiment_file import experiment_text, write_experiment
from scaling.budget.keys import ModelKeys, SolveKeys
from scaling.budget.solve import Solution, solve
from scaling.config.schema import TrainConfig, load, register
from scaling.errors import UserError
from scaling.training.resolve import resolve_recipe, resolve_shape

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


def random_keys(source: random.Random) -> SolveKeys:
    """A question with write=…, on devices of all kinds; a third of the models have experts."""
    hardware = source.choice(["cpu", "v100", "a100-80gb", "h100-sxm", "rtx-4090"])
    vocab_size, context = source.choice([256, 1000, 50_257]), source.choice([64, 512, 1024])
    model = ModelKeys(
        vocab_size=vocab_size, context=context, tied_head=source.random() < 0.5, qk_norm=source.random() < 0.5,
        ffn=source.choice(["swiglu", "gelu"]),
    )  # fmt: skip
    if source.random() < 1 / 3:
        model = replace(model, experts=8, experts_active=source.choice([1, 2]))
    keys = SolveKeys(
        hardware=hardware, model=model, write="plan", corpus=source.choice(["lexicon", "hub:me/mine", "texts/*.txt"]),
        devices=1 if hardware == "cpu" else source.choice([1, 2, 8]), optimizer=source.choice(["adamw", "muon"]),
    )  # fmt: skip
    if source.random() < 0.5:
        return replace(keys, flops=10 ** source.uniform(14, 19 if hardware == "cpu" else 20.5))
    return replace(keys, days=10 ** source.uniform(-2, 0.5))


def trained(solution: Solution, name: str, folder: Path) -> TrainConfig:
    """The config that `scaling train experiment=NAME` loads."""
    (folder / "experiment" / f"{name}.yaml").write_text(experiment_text(solution, name, "lexicon"))
    return load(compose("train", [f"experiment={name}", f"hydra.searchpath=[file://{folder}]"]))


@pytest.mark.parametrize("plans", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_what_is_written_is_what_was_planned_or_is_refused(plans: int, tmp_path: Path) -> None:
    """Random plans: shape, tokens, batch, precision and layout of the training job are those of the plan."""
    (tmp_path / "experiment").mkdir()
    source, written, refused = random.Random(0), 0, 0
    register()
    GlobalHydra.instance().clear()
    with initialize_config_module("scaling.conf", version_base="1.3"):
        for number in range(plans):
            keys = random_keys(source)
            try:
                solution = solve(keys)
            except UserError:  # too little for any model of this vocabulary, or for these devices
                refused += 1
                continue
            if keys.model.experts:
                with pytest.raises(UserError, match="experts"):
                    experiment_text(solution, "plan", keys.corpus)
                refused += 1
                continue
            config = trained(solution, f"plan{number}", tmp_path)
            plan = solution.budget
            shape = resolve_shape(config, plan.shape.vocab_size)
            recipe = resolve_recipe(config, shape)
            assert shape == plan.shape
            assert config.tokens == round(plan.tokens)
            assert config.trainer.precision == plan.recipe.precision
            assert config.optim.kind == plan.recipe.optimizer
            assert config.trainer.devices == plan.layout.devices
            assert (config.trainer.strategy == "fsdp") == (plan.layout.zero_stage == 3)
            assert recipe.batches.sequences(0) * shape.context == plan.step.tokens
            assert recipe.micro_batch_sequences == plan.layout.micro_batch
            assert get_device(config.hardware.name) == plan.device
            assert getattr(config.tokenizer, "vocab_size", 256) == plan.shape.vocab_size
            written += 1
    assert written > plans / 3
    assert refused > plans / 5


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
