"""The laboratory: what is simulated follows the law, its noise and the seed, and says that it is simulated."""

import numpy as np
import pytest

from analysis import laws, objectives
from analysis.fit import fit
from analysis.table import is_simulated, load
from scaling.errors import UserError
from scaling.simulate.cost import Tariff, tariff, tokens_spent
from scaling.simulate.design import listed, read_design
from scaling.simulate.laboratory import Laboratory
from scaling.simulate.monte_carlo import fit_each
from scaling.simulate.noise import Noise, estimated
from scaling.simulate.target import Target
from scaling.simulate.truth import Truth, truth_of

TRUTH = truth_of("besiroglu2024")


def lab(
    scatter: float = 0.005, evaluation: float = 0.0, diverge: float = 0.0, bend: float = 0.0
) -> Laboratory:
    noise = Noise(scatter=scatter, evaluation=evaluation, diverge=diverge, bend=bend)
    return Laboratory(TRUTH.law, noise, TRUTH.middle)


def isoflop(text: str = "isoflop:max_flops=1e20", share: bool = True):  # type: ignore[no-untyped-def]
    return read_design(text, TRUTH.best, TRUTH.flops, share)


def test_a_table_without_noise_is_refitted_to_the_law() -> None:
    design = isoflop()
    table = load(lab(scatter=0.0).table(design, TRUTH.theta, 0, Tariff().of(design), "a law"))
    found = fit(table, bootstrap=0)
    assert np.allclose(found.theta, TRUTH.theta, rtol=1e-6)
    assert is_simulated(table)
    assert table.notes[0].startswith("SIMULATED")


def test_the_same_seed_gives_the_same_table_and_another_another() -> None:
    design = isoflop()
    first, again, other = (
        lab(scatter=0.01, diverge=0.3).table(design, TRUTH.theta, seed, Tariff().of(design), "x")
        for seed in (0, 0, 1)
    )
    assert first.equals(again)
    assert not np.allclose(first["loss"], other["loss"], equal_nan=True)
    assert set(first["status"]) == {"done", "diverged"}


def test_scatter_is_as_wide_as_said() -> None:
    design = listed("one", np.full(20_000, 1e8), np.full(20_000, 2e9), trunks=False)
    losses = lab(scatter=0.003, evaluation=0.004).log_losses(
        design, TRUTH.theta[None], np.zeros((1, 3)), np.random.default_rng(0)
    )
    assert np.std(losses) == pytest.approx(0.005, rel=0.03)


def test_a_mistuned_rate_costs_more_on_larger_models() -> None:
    noise = Noise(scatter=0.0, mistuning=0.01, mistuning_growth=0.5)
    small, large = (
        np.mean(noise.draw(np.full(50_000, size), 1e8, 1, np.random.default_rng(0))) for size in (1e8, 1e10)
    )
    assert small == pytest.approx(0.01, rel=0.05)
    assert large == pytest.approx(0.1, rel=0.05)


def test_the_optimum_of_a_law_that_bends_is_the_lowest_loss_on_its_compute() -> None:
    bench = lab(bend=0.01)
    bend = np.array([[0.01, -0.005, 0.002]])
    log_n, log_loss = bench.log_optimum(TRUTH.theta[None], bend, 1e22)
    total = np.log(1e22 / 6)
    near = log_n[0] + np.linspace(-0.5, 0.5, 11)
    around = bench.log_truth(TRUTH.theta[None], bend, near, total - near)[0]
    assert around.argmin() == 5
    assert log_loss[0] == pytest.approx(around.min(), abs=1e-6)
    straight, _ = bench.log_optimum(TRUTH.theta[None], np.zeros((1, 3)), 1e22)
    assert straight[0] == pytest.approx(np.log(TRUTH.best(np.array([1e22]))[0]), abs=1e-5)


def test_a_trunk_is_paid_for_once() -> None:
    design = listed("two", np.array([1e6, 1e6, 2e6]), np.array([1e8, 2e8, 1e8]))
    assert tokens_spent(design, 0.2) == pytest.approx([1e8, 0.8e8 + 0.4e8, 1e8])
    alone = listed("two", design.params, design.tokens, trunks=False)
    assert tokens_spent(alone, 0.2) == pytest.approx(design.tokens)


def test_a_device_adds_hours_money_and_energy() -> None:
    totals = tariff("h100-sxm", None, 2.0, 256, 1024).of(isoflop()).totals()
    assert totals["usd"] == pytest.approx(2 * totals["device_hours"])
    assert totals["energy_kwh"] > 0
    with pytest.raises(UserError, match="hardware="):
        Tariff().per_token(np.array([1e6]), "usd")


def test_the_noise_of_a_study_is_found_again_from_replicates_and_without() -> None:
    for text in ("isoflop:max_flops=1e20,budgets=6,sizes=8", "isoflop:max_flops=1e20,budgets=5,seeds=4"):
        design = isoflop(text)
        frame = lab(scatter=0.004).table(design, TRUTH.theta, 3, Tariff().of(design), "x")
        assert estimated(load(frame), None, "chinchilla").scatter == pytest.approx(0.004, rel=0.3)


def test_many_tables_are_fitted_as_each_alone_is() -> None:
    design = isoflop()
    losses = lab(scatter=0.003).log_losses(
        design, np.repeat(TRUTH.theta[None], 4, axis=0), np.zeros((4, 3)), np.random.default_rng(1)
    )
    together = fit_each(
        TRUTH.law,
        design.columns(),
        losses,
        objectives.get("huber_log"),
        np.repeat(TRUTH.theta[None], 4, axis=0),
    )
    for log_loss, theta in zip(losses, together.theta, strict=True):
        frame = load(
            lab().table(design, TRUTH.theta, 0, Tariff().of(design), "x").assign(loss=np.exp(log_loss))
        ).frame
        assert np.allclose(fit(frame, bootstrap=0).theta, theta, rtol=1e-5)


def test_a_diverged_run_is_left_out_of_its_fit() -> None:
    design = isoflop()
    losses = lab(scatter=0.0).log_losses(
        design, TRUTH.theta[None], np.zeros((1, 3)), np.random.default_rng(0)
    )
    losses[0, :3] = np.nan
    found = fit_each(TRUTH.law, design.columns(), losses, objectives.get("mse_log"), TRUTH.theta[None] * 1.01)
    assert np.allclose(found.theta, TRUTH.theta, rtol=1e-5)


@pytest.mark.parametrize("kind", ["n_opt", "loss", "exponent"])
def test_a_targets_gradient_foretells_a_small_change(kind: str) -> None:
    target = Target(kind, 1e22)
    step = 1e-3 * np.array([1.0, -2.0, 1.0, 0.1, -0.1])
    change = target.values(TRUTH.law, TRUTH.theta[None] + step) - target.values(TRUTH.law, TRUTH.theta[None])
    assert target.gradient(TRUTH.law, TRUTH.theta[None])[0] @ step == pytest.approx(change[0], rel=0.02)


def test_laws_without_an_optimum_have_no_value() -> None:
    backwards = TRUTH.theta * np.array([1, 1, 1, -1, -1])
    assert np.isnan(Target("n_opt", 1e22).values(TRUTH.law, backwards[None])).all()


def test_laws_around_a_published_one_agree_on_its_runs_and_differ_elsewhere() -> None:
    truth = truth_of("hoffmann2022")
    many = np.ones(len(truth.draws))
    spread = [
        np.std(np.log(truth.law.loss_each(truth.draws, {"params": n * many, "tokens": 20 * n * many})))
        for n in (1e9, 1e13)
    ]
    assert spread[0] < 0.02 < spread[1]


def test_a_law_of_other_columns_or_without_an_optimum_is_refused() -> None:
    with pytest.raises(UserError, match="unique_tokens"):
        truth_of("muennighoff2023")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("isoflop:sizes=-1", "positive"),
        ("isoflop:sises=4", "sizes"),
        ("isoflp", "isoflop"),
        ("isoflop:min_flops=1e20,max_flops=1e19", "max_flops"),
    ],
)
def test_a_design_that_cannot_be_is_refused_with_the_remedy(word: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        isoflop(word)


@pytest.mark.parametrize("rule", ["isoflop", "grid", "ladder", "trunks", "random"])
def test_every_rule_stays_within_the_compute_named(rule: str) -> None:
    design = isoflop(f"{rule}:min_flops=1e18,max_flops=1e20")
    assert len(design) >= 5
    assert design.flops.max() <= 1.01e20
    assert (np.diff(design.params) >= 0).all()


def test_registered_law_is_the_truths() -> None:
    assert laws.get(TRUTH.law.name) is TRUTH.law
    assert isinstance(TRUTH, Truth)
