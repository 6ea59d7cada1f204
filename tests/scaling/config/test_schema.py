"""The schema of `conf/`: documented keys, checked values, and what has not been tested is said where it is chosen."""

from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra

from scaling.config.schema import (
    Branch,
    CosineConfig,
    DesignConfig,
    ModelConfig,
    OptimConfig,
    SweepConfig,
    TrainConfig,
    TrainerConfig,
    WSDConfig,
    documented_keys,
    load,
    register,
)
from scaling.errors import UserError

CONF = Path(__file__).parents[3] / "conf"


def composed(*words: str, command: str = "train") -> TrainConfig:
    register()
    GlobalHydra.instance().clear()
    with initialize_config_module("scaling.conf", version_base="1.3"):
        return load(compose(command, overrides=list(words)))


def test_every_key_is_documented() -> None:
    keys = documented_keys()
    assert {
        "tokens",
        "model.width",
        "corpus.paths",
        "optim.momentum",
        "design.sizes",
        "dry_run",
    } <= keys.keys()
    assert [key for key, text in keys.items() if not text] == []


def test_a_command_has_a_typed_config() -> None:
    config = composed("model.width=96", "optim=adamw", "schedule=cosine", "tokens=3e5")
    assert (config.model.width, config.optim.kind, config.tokens) == (96, "adamw", 3e5)
    assert isinstance(config.schedule, CosineConfig)
    assert config.runs == [Branch(tokens=3e5)]
    assert config.folder == Path("runs/train")
    assert isinstance(composed("experiment=smoke", command="sweep"), SweepConfig)


def test_the_defaults_are_the_same_from_python_and_from_the_command_line() -> None:
    assert composed() == TrainConfig()
    assert "???" not in repr(TrainConfig())
    with pytest.raises(TypeError, match="tokens"):
        Branch()  # type: ignore[call-arg]  # a branch has no default


def test_callbacks_are_taken_from_the_command_line() -> None:
    config = composed("trainer.callbacks=[{_target_: a.B, x: 1}]")
    assert config.trainer.callbacks == [{"_target_": "a.B", "x": 1}]


def test_keys_that_nothing_reads_are_refused() -> None:
    with pytest.raises(UserError, match=r"\+model\.widht=3: no such key; did you mean width or ffn_width\?"):
        composed("+model.widht=3")


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("tokens=inf", "tokens=inf: must be finite"),
        ("tokens=nan", "tokens=nan: must be finite"),
        ("seed=-1", "seed=-1: must not be negative"),
        ("seed=4294967296", "seed=4294967296: must be below"),
        ("branches=[{tokens:2},{tokens:1}]", "token budgets must rise"),
        ("name=../x", "must be a plain folder name"),
        ("model.ffn=relu", "model.ffn=relu: choose one of swiglu, gelu"),
        ("model.target_params=10", "model.target_params=10.0: must be at least 1,000"),
        ("optim.lr=nan", "optim.lr=nan: must be finite, positive"),
        ("optim.momentum=1", "optim.momentum=1.0: must be below 1"),
        ("schedule.decay_fraction=0", "schedule.decay_fraction=0.0: must be positive"),
        ("trainer.accelerator=cupu", "trainer.accelerator=cupu: choose one of auto, cpu, gpu, cuda, mps"),
        ("trainer.devices=0", "trainer.devices=0: must be at least 1"),
    ],
)
def test_a_value_that_cannot_work_is_refused_in_one_line(word: str, line: str) -> None:
    with pytest.raises(UserError) as refused:
        composed(word)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "wrong", [{"min_flops": float("inf")}, {"max_flops": 1.0}, {"sizes": 0}, {"size_ratio": 1.0}]
)
def test_a_design_that_cannot_work_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=f"design.{next(iter(wrong))}="):
        DesignConfig(**wrong)  # type: ignore[arg-type]  # mypy cannot see which key each value belongs to


def test_several_budgets_need_a_schedule_whose_runs_share_a_trunk() -> None:
    config = TrainConfig(
        optim=OptimConfig(kind="adamw", lr_reference=1, lr_exponent=0),
        schedule=WSDConfig(),
        model=ModelConfig(),
        branches=[Branch(tokens=1e5), Branch(tokens=2e5)],
    )
    with pytest.raises(UserError, match="schedule=cosine: several budgets"):
        replace(config, schedule=CosineConfig())


def test_what_never_ran_on_gpus_says_so_where_it_is_chosen() -> None:
    keys = documented_keys()
    for key in ("trainer.accelerator", "trainer.devices", "trainer.strategy"):
        assert "CUDA" in keys[key], key
        assert " CPU " in keys[key], key
    for file in (
        "trainer/ddp", "trainer/fsdp", "trainer/gpu", "experiment/gpu", "hydra/launcher/slurm",
        "hydra/launcher/ray_cluster",
    ):  # fmt: skip
        text = (CONF / f"{file}.yaml").read_text()
        assert "has never" in text, file
        assert "CUDA" in text, file
    assert TrainerConfig(strategy="fsdp", devices=2).accelerator == "auto"
