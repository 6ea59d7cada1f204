"""Plans cost what was asked, fit, follow the law, and turn into experiments; ill questions name the remedy."""

import json
from pathlib import Path

import budget as benchmark
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import laws
from analysis.fit import fit
from scaling.accounting.hardware import get_device
from scaling.accounting.recipe import TrainingRecipe
from scaling.budget.estimate import fits_report, run_budget
from scaling.budget.experiment_file import write_experiment
from scaling.budget.keys import BudgetKeys, ModelKeys, parse_keys
from scaling.budget.law import DEFAULT_LAW, PUBLISHED_COVARIANCE, choose_law
from scaling.budget.layout_search import best_candidate, candidates
from scaling.budget.solve import SolveKeys, solve_keys
from scaling.shape.params import count_params
from scaling.shape.published import published_shape
from scaling.shape.shape import ModelShape
from scaling.shape.sizing import shape_of_size

A100 = get_device("a100-80gb")


def like(vocab_size: int) -> ModelShape:
    return ModelShape(
        width=64, depth=2, heads=1, kv_heads=1, head_width=64, ffn_width=64, vocab_size=vocab_size, context=1024,
        tied_head=True, qk_norm=True,
    )  # fmt: skip


@given(exponent=st.floats(6.3, 13), vocab_size=st.sampled_from([256, 50_257]))
@settings(max_examples=200, deadline=None)
def test_shapes_come_within_one_percent_of_the_size_asked_for(exponent: float, vocab_size: int) -> None:
    shape = shape_of_size(10**exponent, like(vocab_size))
    assert count_params(shape).total == pytest.approx(10**exponent, rel=0.01)
    assert shape.width == shape.heads * shape.head_width
    if shape.width >= 2048:
        assert shape.heads % 8 == 0  # splits over a node
    if vocab_size * shape.width < 10**exponent / 2:  # else the embedding leaves the blocks next to nothing
        assert 0.4 < shape.ffn_width / (8 / 3 * shape.width) < 2.5


def test_plans_cost_what_was_asked_and_fit() -> None:
    errors, feasible, _ = benchmark.round_trips(count=60, seed=3)
    assert max(errors) <= 0.01
    assert feasible == 60


def test_the_plan_follows_the_law() -> None:
    # Besiroglu et al. 2024's refit puts Gopher's budget at about Chinchilla's own 70B and 1.4T.
    plan = solve_keys(SolveKeys(flops=5.76e23))
    assert plan.budget.params.total == pytest.approx(70e9, rel=0.1)
    assert plan.budget.tokens == pytest.approx(1.4e12, rel=0.1)
    law = laws.get("chinchilla")
    values = law.published["besiroglu2024"]
    here = law.loss(values, params=plan.budget.params.total, tokens=plan.budget.tokens)[0]
    assert plan.loss_nats == pytest.approx(here)
    for factor in (0.5, 2.0):
        other = law.loss(
            values, params=plan.budget.params.total * factor, tokens=plan.budget.tokens / factor
        )[0]
        assert other > here


def test_what_is_fixed_stays_fixed_and_the_rest_gives_way() -> None:
    free = solve_keys(SolveKeys(flops=1e21))
    tokens = solve_keys(SolveKeys(flops=1e21, tokens=1e11))
    assert tokens.budget.tokens == 1e11
    assert tokens.budget.params.total == pytest.approx(1e21 / 6e11, rel=0.01)
    params = solve_keys(SolveKeys(flops=1e21, params=1e9))
    assert params.budget.params.total == pytest.approx(1e9, rel=0.01)
    assert params.budget.train_flops == pytest.approx(1e21, rel=1e-6)
    served = solve_keys(SolveKeys(flops=1e21, inference_tokens=1e11))
    assert served.budget.params.total < free.budget.params.total
    assert served.budget.train_flops + served.inference_flops == pytest.approx(1e21, rel=0.01)


def test_scarce_data_ask_for_a_smaller_step_in_tokens() -> None:
    plenty = solve_keys(SolveKeys(flops=1e22, law="muennighoff2023", unique_tokens=1e13))
    scarce = solve_keys(SolveKeys(flops=1e22, unique_tokens=1e10))
    assert scarce.law.name == "muennighoff2023"
    assert scarce.loss_nats > plenty.loss_nats
    assert any("data repeat" in note for note in scarce.notes)
    with pytest.raises(ValueError, match="use law=muennighoff2023"):
        solve_keys(SolveKeys(flops=1e22, unique_tokens=1e10, law="hoffmann2022"))


def test_a_fit_of_ones_own_carries_its_intervals(tmp_path: Path) -> None:
    law = laws.get("chinchilla")
    source = np.random.default_rng(0)
    params = np.repeat(np.geomspace(1e6, 1e8, 6), 6)
    tokens = np.tile(np.geomspace(1e8, 1e10, 6), 6)
    loss = law.loss(law.published["hoffmann2022"], params=params, tokens=tokens)
    table = pd.DataFrame(
        {"params": params, "tokens": tokens, "loss": loss * np.exp(1e-3 * source.standard_normal(36))}
    )
    # As `scaling fit runs/NAME` leaves it: the fit among the rest of the study, in runs/NAME/fit/study.json.
    (tmp_path / "fit").mkdir()
    study = {**json.loads(fit(table, bootstrap=100).to_json()), "table": {"runs": 36}, "plan": []}
    (tmp_path / "fit" / "study.json").write_text(json.dumps(study))
    plan = solve_keys(SolveKeys(flops=1e19, law=str(tmp_path)))
    interval = plan.intervals["params"]
    assert interval is not None
    low, high = interval
    assert low < plan.budget.params.total < high
    truth = solve_keys(SolveKeys(flops=1e19, law="hoffmann2022"))
    assert low * 0.5 < truth.budget.params.total < high * 2
    assert truth.intervals["params"] is None
    assert any("not estimated" in note for note in truth.notes)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="fit the runs first"):
        solve_keys(SolveKeys(flops=1e19, law=str(tmp_path / "empty")))
    with pytest.raises(ValueError, match="no such folder"):
        solve_keys(SolveKeys(flops=1e19, law=str(tmp_path / "nowhere" / "else")))
    (tmp_path / "empty" / "study.json").write_text('{"table": {}}')
    with pytest.raises(ValueError, match="holds no fitted law"):
        solve_keys(SolveKeys(flops=1e19, law=str(tmp_path / "empty")))


def test_too_few_devices_get_the_largest_model_that_fits() -> None:
    roomy = solve_keys(SolveKeys(flops=1e22, devices=64))
    tight = solve_keys(SolveKeys(flops=1e22, devices=1))
    assert tight.budget.fits
    assert tight.budget.memory.peak_memory_bytes > 0.8 * A100.memory_bytes
    assert tight.budget.params.total < roomy.budget.params.total
    assert tight.budget.train_flops == pytest.approx(1e22, rel=1e-6)
    assert tight.loss_nats > roomy.loss_nats
    assert "does not fit" in tight.notes[0]


def test_deadlines_take_devices_and_impossible_ones_are_refused() -> None:
    slow = solve_keys(SolveKeys(flops=1e22, days=60))
    fast = solve_keys(SolveKeys(flops=1e22, days=5))
    assert slow.budget.cost.days <= 60
    assert fast.budget.cost.days <= 5
    assert fast.budget.layout.devices > slow.budget.layout.devices
    with pytest.raises(ValueError, match="cannot be met"):
        solve_keys(SolveKeys(flops=1e22, days=0.001))
    with pytest.raises(ValueError, match="is too short"):
        solve_keys(SolveKeys(device_hours=1e4, devices=8, days=2))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "which budget"),
        ({"flops": -1.0}, "flops=-1 must be positive"),
        ({"flops": 0.0}, "flops=0 must be positive"),
        ({"flops": 1e6}, "too few for any model"),
        ({"flops": 1e20, "money": 5.0}, "are two budgets"),
        ({"flops": 1e20, "law": "chinchila"}, "did you mean chinchilla"),
        ({"flops": 1e20, "law": "muennighoff2023"}, "needs unique_tokens"),
        ({"money": 100.0, "hardware": "mi250x"}, "give price"),
        ({"flops": 1e20, "hardware": "abacus"}, "unknown device"),
        ({"flops": 1e23, "devices": 1, "params": 3e10}, "give more devices"),
        ({"flops": 1e20, "tokens": 1e9, "params": 1e9}, "leave nothing to solve"),
        ({"flops": 1e15, "params": 1e9, "inference_tokens": 1e12}, "used up by serving"),
        ({"flops": 1e20, "model": ModelKeys(name="gpt2")}, "solve chooses the model's size"),
        ({"flops": 1e20, "goodput": 2.0}, "goodput=2"),
    ],
)
def test_ill_questions_are_one_line_with_a_remedy(keys: dict, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        solve_keys(SolveKeys(**keys))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_quick_choice_of_layout_is_nearly_the_best_of_all() -> None:
    recipe = TrainingRecipe(precision="bf16-mixed")
    for name, devices in (("llama-2-7b", 8), ("llama-2-7b", 64), ("llama-2-70b", 256), ("gpt3-13b", 128)):
        shape = published_shape(name)
        quick = best_candidate(shape, recipe, A100, devices, 4e6)
        every = candidates(shape, recipe, A100, devices, 4e6)
        assert quick is not None
        assert quick.fits
        assert quick.seconds_per_token <= 1.2 * min(c.seconds_per_token for c in every if c.fits)
        assert all(c.layout.devices == devices for c in every)
        assert [c.fits for c in every] == sorted((c.fits for c in every), reverse=True)


def test_what_would_make_a_model_fit_does() -> None:
    report = fits_report(BudgetKeys(model=ModelKeys(name="llama-2-7b"), devices=1))
    assert not report.found[0].fits
    assert report.remedies
    devices = next(r for r in report.remedies if r.startswith("devices="))
    count = int(devices.split(" ")[0].removeprefix("devices="))
    assert fits_report(BudgetKeys(model=ModelKeys(name="llama-2-7b"), devices=count)).found[0].fits
    assert not fits_report(BudgetKeys(model=ModelKeys(name="llama-2-7b"), devices=count // 2)).found[0].fits


def test_a_measured_speed_replaces_the_estimate() -> None:
    words = ["model=gpt2", "tokens=1e9"]
    estimated = run_budget(parse_keys(words, BudgetKeys))
    measured = run_budget(parse_keys([*words, "measured_tokens_per_second=10000", "goodput=1"], BudgetKeys))
    assert measured.step.tokens_per_second == pytest.approx(10_000)
    assert measured.cost.seconds == pytest.approx(1e9 / 10_000)
    assert estimated.step.tokens_per_second > 10_000


def test_the_experiment_names_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    keys = SolveKeys(flops=2e12, hardware="cpu", model=ModelKeys(vocab_size=256, context=64))
    plan = solve_keys(keys)
    path = write_experiment(plan, "tiny")
    assert path == Path("experiment/tiny.yaml")
    text = path.read_text()
    assert text.startswith("# @package _global_\n")
    written = yaml.safe_load(text)
    assert written["tokens"] == round(plan.budget.tokens)
    assert written["model"]["width"] == plan.budget.shape.width
    assert written["optim"]["batch_tokens"] == plan.budget.step.tokens
    assert {"override /tokenizer": "bytes"} in written["defaults"]
    with pytest.raises(ValueError, match="exists already"):
        write_experiment(plan, "tiny")
    assert path.read_text() == text
    with pytest.raises(ValueError, match="plain name"):
        write_experiment(plan, "a/b")


def test_the_experiment_composes_and_resolves_to_the_planned_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    from scaling.config.schema import load, register

    monkeypatch.chdir(tmp_path)
    plan = solve_keys(SolveKeys(flops=2e12, hardware="cpu", model=ModelKeys(vocab_size=256, context=64)))
    write_experiment(plan, "tiny")
    register()
    GlobalHydra.instance().clear()
    with initialize_config_module("scaling.conf", version_base="1.3"):
        config = load(compose("train", ["experiment=tiny", f"hydra.searchpath=[file://{tmp_path}]"]))
    assert config.tokens == round(plan.budget.tokens)
    shape = plan.budget.shape
    got = config.model
    assert (got.width, got.depth, got.heads, got.ffn_width) == (
        shape.width,
        shape.depth,
        shape.heads,
        shape.ffn_width,
    )


def test_a_plan_by_a_study_goes_on_with_its_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    from scaling.config.schema import SweepConfig, load, register
    from scaling.training.job import resolve_recipe, resolve_shape

    study = Path(__file__).resolve().parents[3] / "runs/reference/quickstart"
    plan = solve_keys(SolveKeys(flops=1e13, hardware="cpu", law=str(study)))
    given = solve_keys(SolveKeys(flops=1e13, hardware="cpu", law=str(study), batch_tokens=4096.0))
    monkeypatch.chdir(tmp_path)
    write_experiment(plan, "next")
    write_experiment(given, "given")
    register()
    GlobalHydra.instance().clear()
    with initialize_config_module("scaling.conf", version_base="1.3"):
        search = f"hydra.searchpath=[file://{tmp_path}]"
        config, fixed = (load(compose("train", [f"experiment={name}", search])) for name in ("next", "given"))
        of_the_study = load(compose("sweep", ["experiment=quickstart"]))
    assert isinstance(of_the_study, SweepConfig)
    told = yaml.safe_load((study / "config.yaml").read_text())
    assert vars(config.optim) == told["optim"]
    assert vars(config.schedule) == told["schedule"]
    assert (type(config.corpus), config.tokenizer) == (type(of_the_study.corpus), of_the_study.tokenizer)
    shape = resolve_shape(config, 256)
    assert shape == plan.budget.shape
    # The batch that the plan reckons with is the one that training grows to.
    assert (
        resolve_recipe(config, shape).batches.stages[-1].sequences * shape.context == plan.budget.step.tokens
    )
    assert fixed.optim.batch_tokens == 4096 == given.budget.step.tokens


def test_a_folder_that_says_nothing_of_its_recipe_gives_a_law_alone(tmp_path: Path) -> None:
    study = Path(__file__).resolve().parents[3] / "runs/reference/quickstart"
    (tmp_path / "study.json").write_text((study / "fit/study.json").read_text())
    (tmp_path / "records.csv").write_text("params,tokens,loss\n1e6,1e7,3.0\n")
    (tmp_path / "config.yaml").write_text("author: someone else\n")
    plan = solve_keys(
        SolveKeys(flops=1e13, hardware="cpu", law=str(tmp_path), model=ModelKeys(vocab_size=256))
    )
    assert plan.study is None


def test_the_default_law_carries_the_interval_of_its_study() -> None:
    law = choose_law(DEFAULT_LAW)
    at = {name: law.law.parameters.index(name) for name in ("A", "B", "E", "alpha", "beta")}
    spread = np.sqrt(np.diag(PUBLISHED_COVARIANCE[DEFAULT_LAW]))
    # Besiroglu et al. 2024 (arXiv:2404.10102), table 1: A 482.01 (124.58), B 2085.43 (1293.23), E 1.8172 (0.03),
    # alpha 0.3478 (0.02), beta 0.3658 (0.02)
    assert spread[at["A"]] == pytest.approx(124.58 / 482.01, rel=0.1)
    assert spread[at["E"]] * 1.8172 == pytest.approx(0.03, abs=0.005)
    assert spread[at["alpha"]] == pytest.approx(0.02, abs=0.005)
    assert spread[at["beta"]] == pytest.approx(0.02, abs=0.005)
    # and of the exponent of the optimum: 0.51 (0.02)
    exponent = law.draws[:, at["beta"]] / (law.draws[:, at["alpha"]] + law.draws[:, at["beta"]])
    assert exponent.mean() == pytest.approx(0.51, abs=0.01)
    assert exponent.std() == pytest.approx(0.02, abs=0.003)
    for keys in (SolveKeys(flops=5.76e23), SolveKeys(money=1e5)):
        plan = solve_keys(keys)
        for name, value in (("params", plan.budget.params.total), ("tokens", plan.budget.tokens)):
            interval = plan.intervals[name]
            assert interval is not None
            assert interval[0] < value < interval[1]
        assert not any("not estimated" in note for note in plan.notes)


def test_intervals_widen_away_from_the_runs_of_the_law() -> None:
    def width(flops: float) -> float:
        interval = solve_keys(SolveKeys(flops=flops)).intervals["params"]
        assert interval is not None
        return interval[1] / interval[0]

    assert width(1e21) < width(1e23) < width(1e26)


def test_a_model_cut_over_devices_keeps_16_bit_weights_unless_the_user_says_otherwise() -> None:
    words = ["model=gpt3-175b", "layout.tensor=8", "layout.pipeline=8", "layout.data=8"]
    left_open = run_budget(parse_keys(words, BudgetKeys))
    assert (left_open.recipe.precision, left_open.recipe.runtime) == ("bf16-master", "megatron")
    said = run_budget(parse_keys([*words, "precision=bf16-mixed"], BudgetKeys))
    assert (said.recipe.precision, said.recipe.runtime) == ("bf16-mixed", "torch")
    assert left_open.memory.peak_allocated_bytes < said.memory.peak_allocated_bytes
    sharded = run_budget(parse_keys(["model=gpt2", "layout.data=8", "layout.zero_stage=3"], BudgetKeys))
    assert sharded.recipe.precision == "bf16-mixed"


def test_the_search_goes_on_where_the_first_layout_that_fits_waits_for_its_replicas() -> None:
    # On 16,384 H100 and a batch of 16M tokens, Llama 3 405B cannot hide FSDP; it was trained through a pipeline.
    shape, h100 = published_shape("llama-3.1-405b"), get_device("h100-sxm")
    recipe = TrainingRecipe(precision="bf16-master", runtime="megatron")
    found = best_candidate(shape, recipe, h100, 16_384, 1.6e7)
    assert found is not None
    assert found.fits
    assert found.layout.pipeline > 1
    assert found.step.parts["data parallel"] < 0.1 * found.step.seconds
