"""Solutions cost what was asked, fit, follow the law, and say where it is an extrapolation."""

from dataclasses import replace

import budget as benchmark
import pytest

from analysis import laws
from scaling.accounting.hardware import get_device
from scaling.budget.keys import DEFAULT_LAW, ModelKeys, SolveKeys
from scaling.budget.solve import solve
from scaling.errors import UserError
from scaling.shape.published import published_shape

A100 = get_device("a100-80gb")


def test_plans_cost_what_was_asked_and_fit() -> None:
    errors, feasible, _ = benchmark.round_trips(count=60, seed=3)
    assert max(errors) <= 0.01
    assert feasible == 60


def test_the_plan_follows_the_law() -> None:
    # Besiroglu et al. 2024's refit puts Gopher's budget at about Chinchilla's own 70B and 1.4T.
    solution = solve(SolveKeys(flops=5.76e23))
    assert solution.budget.params.total == pytest.approx(70e9, rel=0.1)
    assert solution.budget.tokens == pytest.approx(1.4e12, rel=0.1)
    law = laws.get("chinchilla")
    values = law.published["besiroglu2024"]
    here = law.loss(values, params=solution.budget.params.total, tokens=solution.budget.tokens)[0]
    assert solution.loss_nats == pytest.approx(here)
    for factor in (0.5, 2.0):
        other = law.loss(
            values, params=solution.budget.params.total * factor, tokens=solution.budget.tokens / factor
        )[0]
        assert other > here


def test_what_is_fixed_stays_fixed_and_the_rest_gives_way() -> None:
    free = solve(SolveKeys(flops=1e21))
    tokens = solve(SolveKeys(flops=1e21, tokens=1e11))
    assert tokens.budget.tokens == 1e11
    assert tokens.budget.params.total == pytest.approx(1e21 / 6e11, rel=0.01)
    params = solve(SolveKeys(flops=1e21, params=1e9))
    assert params.budget.params.total == pytest.approx(1e9, rel=0.01)
    assert params.budget.train_flops == pytest.approx(1e21, rel=1e-6)
    served = solve(SolveKeys(flops=1e21, inference_tokens=1e11))
    assert served.budget.params.total < free.budget.params.total
    assert served.budget.train_flops + served.inference_flops == pytest.approx(1e21, rel=0.01)


def test_scarce_data_ask_for_a_smaller_step_in_tokens() -> None:
    plenty = solve(SolveKeys(flops=1e22, law="muennighoff2023", unique_tokens=1e13))
    scarce = solve(SolveKeys(flops=1e22, unique_tokens=1e10))
    assert scarce.law.name == "muennighoff2023"
    assert scarce.loss_nats is not None
    assert plenty.loss_nats is not None
    assert scarce.loss_nats > plenty.loss_nats
    assert any("data repeat" in note for note in scarce.notes)
    with pytest.raises(UserError, match="use law=muennighoff2023"):
        solve(SolveKeys(flops=1e22, unique_tokens=1e10, law="hoffmann2022"))


def test_too_few_devices_get_the_largest_model_that_fits() -> None:
    roomy = solve(SolveKeys(flops=1e22, devices=64))
    tight = solve(SolveKeys(flops=1e22, devices=1))
    assert tight.budget.fits
    assert tight.budget.memory.peak_memory_bytes > 0.8 * A100.memory_bytes
    assert tight.budget.params.total < roomy.budget.params.total
    assert tight.budget.train_flops == pytest.approx(1e22, rel=1e-6)
    assert tight.loss_nats is not None
    assert roomy.loss_nats is not None
    assert tight.loss_nats > roomy.loss_nats
    assert "does not fit" in tight.notes[0]


def test_deadlines_take_devices_and_impossible_ones_are_refused() -> None:
    slow = solve(SolveKeys(flops=1e22, days=60))
    fast = solve(SolveKeys(flops=1e22, days=5))
    assert slow.budget.cost.days <= 60
    assert fast.budget.cost.days <= 5
    assert fast.budget.layout.devices > slow.budget.layout.devices
    with pytest.raises(UserError, match="cannot be met"):
        solve(SolveKeys(flops=1e22, days=0.001))
    with pytest.raises(UserError, match="is too short"):
        solve(SolveKeys(device_hours=1e4, devices=8, days=2))


@pytest.mark.parametrize("keys", [SolveKeys(flops=5.76e23), SolveKeys(money=1e5)])
def test_the_default_law_gives_intervals(keys: SolveKeys) -> None:
    solution = solve(keys)
    for name, value in (("params", solution.budget.params.total), ("tokens", solution.budget.tokens)):
        interval = solution.intervals[name]
        assert interval is not None
        assert interval[0] < value < interval[1]
    assert not any("not estimated" in note for note in solution.notes)
    without = solve(SolveKeys(flops=5.76e23, law="hoffmann2022"))
    assert without.intervals["params"] is None
    assert any("not estimated" in note for note in without.notes)


def test_intervals_widen_away_from_the_runs_of_the_law() -> None:
    def width(flops: float) -> float:
        interval = solve(SolveKeys(flops=flops)).intervals["params"]
        assert interval is not None
        return interval[1] / interval[0]

    assert width(1e21) < width(1e23) < width(1e26)


def test_a_solution_far_from_the_runs_of_its_law_says_so() -> None:
    assert any("extrapolation" in note for note in solve(SolveKeys(flops=1e26)).notes)
    assert not any("extrapolation" in note for note in solve(SolveKeys(flops=1e21)).notes)
    assert DEFAULT_LAW in solve(SolveKeys(flops=1e21)).law.name


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (SolveKeys(), "which budget"),
        (SolveKeys(flops=-1.0), "flops=-1 must be positive"),
        (SolveKeys(flops=0.0), "flops=0 must be positive"),
        (SolveKeys(flops=1e6), "too few for any model"),
        (SolveKeys(flops=1e20, money=5.0), "are two budgets"),
        (SolveKeys(flops=1e20, law="chinchila"), "did you mean chinchilla"),
        (SolveKeys(flops=1e20, law="muennighoff2023"), "needs unique_tokens"),
        (SolveKeys(money=100.0, hardware="mi250x"), "give price"),
        (SolveKeys(flops=1e20, hardware="abacus"), "unknown device"),
        (SolveKeys(flops=1e23, devices=1, params=3e10), "give more devices"),
        (SolveKeys(flops=1e20, tokens=1e9, params=1e9), "leave nothing to solve"),
        (SolveKeys(flops=1e15, params=1e9, inference_tokens=1e12), "used up by serving"),
        (SolveKeys(flops=1e20, model=ModelKeys(heads=8)), "solve chooses the model's size"),
        (SolveKeys(flops=1e20, model=ModelKeys(name="gpt2"), tokens=1e9), "leave nothing to solve"),
        (SolveKeys(flops=1e20, model=ModelKeys(name="gpt2"), params=1e9), "both fix the size"),
        (SolveKeys(flops=1e20, goodput=2.0), "goodput=2"),
    ],
)
def test_ill_questions_are_one_line_with_a_remedy(keys: SolveKeys, message: str) -> None:
    with pytest.raises(UserError) as refused:
        solve(keys)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "model",
    [
        ModelKeys(experts=8, experts_active=2),
        ModelKeys(experts=64, experts_active=6),
        ModelKeys(experts=64, experts_active=6, shared_experts=2, expert_width=1408),
        ModelKeys(experts=16, experts_active=1, window=512, full_every=4),
    ],
)
@pytest.mark.parametrize(
    "keys", [SolveKeys(flops=1e21), SolveKeys(money=1e5), SolveKeys(devices=64, days=10)]
)
def test_a_mixture_spends_the_budget_asked(keys: SolveKeys, model: ModelKeys) -> None:
    plan = solve(replace(keys, model=model))
    budget = plan.budget
    assert budget.shape.experts == model.experts
    if keys.flops is not None:
        assert budget.train_flops / keys.flops == pytest.approx(1, rel=1e-9)
    if keys.money is not None:
        assert budget.cost.price_usd is not None
        assert budget.cost.price_usd / keys.money == pytest.approx(1, rel=1e-4)
    if keys.days is not None:
        assert budget.cost.device_hours == pytest.approx(64 * 10 * 24, rel=1e-4)
    assert budget.train_flops == pytest.approx(6 * budget.params.active * budget.tokens)
    assert any("parameters are those that a token uses" in note for note in plan.notes)


def test_the_law_counts_the_active_parameters_of_a_mixture() -> None:
    dense, mixture = (
        solve(SolveKeys(flops=1e22)),
        solve(SolveKeys(flops=1e22, model=ModelKeys(experts=8, experts_active=2))),
    )
    assert mixture.budget.params.active == pytest.approx(dense.budget.params.total, rel=0.02)
    assert mixture.budget.params.total > 3 * dense.budget.params.total
    interval = mixture.intervals["params"]
    assert interval is not None
    assert interval[0] < mixture.budget.params.active < interval[1]


@pytest.mark.parametrize("name", ["llama-3-8b", "gemma-3-27b", "qwen3-30b-a3b"])
def test_tokens_for_a_named_model_from_days_or_money(name: str) -> None:
    for keys in (SolveKeys(devices=64, days=10), SolveKeys(money=1e5), SolveKeys(flops=1e22)):
        plan = solve(replace(keys, model=ModelKeys(name=name)))
        budget = plan.budget
        assert budget.shape == published_shape(name)
        spent = {"days": budget.cost.device_hours / (64 * 240), "money": (budget.cost.price_usd or 0) / 1e5}
        kind = "days" if keys.days else "money" if keys.money else "flops"
        assert spent.get(kind, budget.train_flops / 1e22) == pytest.approx(1, rel=1e-6)
        assert plan.overtraining is not None
        assert any("times as many" in note for note in plan.notes)


def test_a_model_on_its_own_optimum_is_not_over_trained() -> None:
    best = solve(SolveKeys(flops=1e21))
    same = solve(SolveKeys(flops=1e21, model=ModelKeys(params=float(best.budget.params.total))))
    assert same.overtraining == pytest.approx(1, rel=0.03)
    longer = solve(SolveKeys(flops=1e22, model=ModelKeys(params=float(best.budget.params.total))))
    assert longer.overtraining == pytest.approx(10, rel=0.03)


def test_a_loss_worse_than_guessing_is_not_printed() -> None:
    plan = solve(SolveKeys(flops=1e12, model=ModelKeys(vocab_size=256)))
    assert plan.loss_nats is None
    assert plan.intervals["loss_nats"] is None
    assert any("more than guessing" in note for note in plan.notes)
    assert solve(SolveKeys(flops=1e20)).loss_nats is not None
