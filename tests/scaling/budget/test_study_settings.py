"""A law measured with one recipe is followed by a run with the same recipe."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra

from scaling.budget.experiment_file import write_experiment
from scaling.budget.keys import ModelKeys, SolveKeys
from scaling.budget.solve import solve
from scaling.budget.study_settings import read_settings
from scaling.config.schema import SweepConfig, load, register
from scaling.errors import UserError
from scaling.training.resolve import resolve_recipe, resolve_shape

STUDY = Path(__file__).resolve().parents[3] / "runs/reference/quickstart"


def test_a_plan_by_a_study_goes_on_with_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = SolveKeys(flops=1e13, hardware="cpu", law=str(STUDY))
    solution = solve(keys)
    given = solve(replace(keys, batch_tokens=4096.0))
    monkeypatch.chdir(tmp_path)
    write_experiment(solution, "next")
    write_experiment(given, "given")
    register()
    GlobalHydra.instance().clear()
    with initialize_config_module("scaling.conf", version_base="1.3"):
        search = f"hydra.searchpath=[file://{tmp_path}]"
        config, fixed = (load(compose("train", [f"experiment={name}", search])) for name in ("next", "given"))
        the_study = load(compose("sweep", ["experiment=quickstart"]))
    assert isinstance(the_study, SweepConfig)
    its_config = yaml.safe_load((STUDY / "config.yaml").read_text())
    assert vars(config.optim) == its_config["optim"]
    assert vars(config.schedule) == its_config["schedule"]
    assert (type(config.corpus), config.tokenizer) == (type(the_study.corpus), the_study.tokenizer)
    shape = resolve_shape(config, 256)
    assert shape == solution.budget.shape
    # The batch that the solution reckons with is the one that training grows to.
    assert (
        resolve_recipe(config, shape).batches.stages[-1].sequences * shape.context
        == solution.budget.step.tokens
    )
    assert fixed.optim.batch_tokens == 4096 == given.budget.step.tokens


def test_keys_that_the_user_gives_go_before_the_study() -> None:
    settings = read_settings(STUDY)
    assert settings is not None
    filled = settings.fill(SolveKeys(model=ModelKeys(context=64), optimizer="muon"))
    assert (filled.model.context, filled.model.vocab_size, filled.optimizer) == (64, 256, "muon")


def test_a_folder_that_says_nothing_of_its_recipe_gives_a_law_alone(tmp_path: Path) -> None:
    assert read_settings(tmp_path) is None
    (tmp_path / "records.csv").write_text("params,tokens,loss\n1e6,1e7,3.0\n")
    (tmp_path / "config.yaml").write_text("author: someone else\n")
    assert read_settings(tmp_path) is None


def test_runs_of_several_kinds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text((STUDY / "config.yaml").read_text())
    header, first, *rest = (STUDY / "records.csv").read_text().splitlines()
    column = header.split(",").index("context")
    cells = first.split(",")
    cells[column] = "999"
    (tmp_path / "records.csv").write_text("\n".join([header, ",".join(cells), *rest]))
    with pytest.raises(UserError, match="its runs differ in context"):
        read_settings(tmp_path)
