"""Laws: published values, gradients against complex steps, limits, and noiseless recovery of every registered law."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from analysis import laws
from analysis.fit import fit
from analysis.laws.chinchilla import CHINCHILLA
from analysis.laws.gadre import GADRE
from analysis.laws.made_up import made_up_runs
from analysis.laws.muennighoff import MUENNIGHOFF
from analysis.refusals import BadValue

NAMES = [
    *sorted(set(laws.LAWS) - {"multi_power"}),
    "mixture_ye[5]",
    "mixture_implicit[3]",
    "kappa[E=1.7,kappa=0.7]",
]


@pytest.mark.parametrize(
    ("name", "study", "x", "loss"),
    [
        # By hand from the coefficients of each paper.
        (
            "chinchilla",
            "hoffmann2022",
            {"params": 1e9, "tokens": 2e10},
            1.69 + 406.4 / 1e9**0.34 + 410.7 / 2e10**0.28,
        ),
        ("kaplan_n", "kaplan2020", {"params": 1e9}, (8.8e13 / 1e9) ** 0.076),
        ("kaplan_d", "kaplan2020", {"tokens": 1e10}, (5.4e13 / 1e10) ** 0.095),
        ("kaplan_c", "kaplan2020_minimum_compute", {"flops": 8.64e19}, (3.1e8) ** 0.050),
        (
            "kaplan",
            "kaplan2020",
            {"params": 1e9, "tokens": 1e10},
            ((6.4e13 / 1e9) ** (0.076 / 0.103) + 1.8e13 / 1e10) ** 0.103,
        ),
        ("compute_floor", "dey2023", {"flops": 1e21}, (1e21 / 5.984e22) ** -0.0737 + 0.5066),
        # exp(-0.062465·N^0.13 + 0.12849) + exp(230.734·N^-0.1729 - 1.5442)·D^(-exp(-1.66563·N^0.0459 + 3.13335))
        ("farseer", "li2025", {"params": 1e9, "tokens": 1e11}, 0.505028590627),
        (
            "moe_clark",
            "clark2022_s_base",
            {"params_active": 1e8, "experts": 1.0},
            10 ** (-0.082 * 8 + 1.104 + (-0.108 + 0.009 * 8) * np.log10(1.847)),
        ),
        (
            "moe_krajewski",
            "krajewski2024",
            {"params": 1e9, "tokens": 1e10, "granularity": 4.0},
            0.47 + (2.1 / 4**0.58 + 18.1) / 1e9**0.115 + 30.8 / 1e10**0.147,
        ),
        (
            "sparsity_frantar",
            "frantar2023_t5_c4",
            {"params": 1e8, "tokens": 1e11, "sparsity": 0.75},
            (16.8 * 0.25**0.722 + 45.0) / 1e8**0.245 + (6.9e8 / 1e11) ** 0.203 + 0.651,
        ),
        ("learning_rate_nd", "li2025", {"params": 1e9, "tokens": 1e11}, 1.79 * 1e9**-0.713 * 1e11**0.307),
        ("batch_tokens_c", "bi2024", {"flops": 1e20}, 0.2920 * 1e20**0.3271),
    ],
)
def test_published_coefficients_give_the_papers_values(
    name: str, study: str, x: dict[str, float], loss: float
) -> None:
    law = laws.get(name)
    assert law.loss(law.published[study], **x)[0] == pytest.approx(
        loss, rel=1e-6 if name == "farseer" else 1e-12
    )


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_the_derivative(name: str) -> None:
    law = laws.get(name)
    frame = made_up_runs(law)
    x = {k: frame[k].to_numpy() for k in law.variables}
    theta = law.coordinates(law.known_values)[None]
    gradient = law.predict(theta, x)[1]
    for j in range(theta.shape[1]):
        shifted = theta.astype(complex)
        shifted[0, j] += 1e-30j
        assert law.predict(shifted, x)[0].imag / 1e-30 == pytest.approx(
            gradient[..., j], rel=1e-12, abs=1e-12
        )


@pytest.mark.parametrize("name", NAMES)
def test_curvature_is_the_derivative_of_the_gradient(name: str) -> None:
    law = laws.get(name)
    frame = made_up_runs(law)
    x = {k: frame[k].to_numpy() for k in law.variables}
    theta = law.coordinates(law.known_values)[None]
    slope = np.random.default_rng(1).normal(size=(1, len(frame)))
    bend = law.expand(theta, x)[2](slope)[0]
    step = 1e-5
    for j in range(theta.shape[1]):
        moved = np.eye(theta.shape[1])[j : j + 1] * step
        rise = law.predict(theta + moved, x)[1] - law.predict(theta - moved, x)[1]
        numeric = np.einsum("sn,snp->p", slope, rise) / (2 * step)
        assert bend[j] == pytest.approx(numeric, rel=1e-4, abs=1e-5 * np.abs(bend).max())


@pytest.mark.parametrize("name", NAMES)
def test_noiseless_runs_give_the_truth_back(name: str) -> None:
    law = laws.get(name)
    found = fit(made_up_runs(law), law=name, bootstrap=0)
    assert found.parameters == pytest.approx({**law.known_values, **law.fixed}, rel=1e-6)
    assert found.certificate.converged


@settings(max_examples=25, deadline=None)
@given(
    E=st.floats(0.5, 3),
    A=st.floats(10, 5000),
    B=st.floats(10, 50000),
    alpha=st.floats(0.2, 0.6),
    beta=st.floats(0.2, 0.6),
)
def test_chinchilla_recovers_any_sensible_truth(
    E: float, A: float, B: float, alpha: float, beta: float
) -> None:
    truth = {"E": E, "A": A, "B": B, "alpha": alpha, "beta": beta}
    frame = made_up_runs(CHINCHILLA)
    frame["loss"] = CHINCHILLA.loss(
        truth, params=frame["params"].to_numpy(), tokens=frame["tokens"].to_numpy()
    )
    for term in (A / frame["params"] ** alpha, B / frame["tokens"] ** beta):
        assume((term / frame["loss"]).max() > 1e-3)  # a term that no run feels cannot be recovered
    assert fit(frame, bootstrap=0).parameters == pytest.approx(truth, rel=1e-5)


def test_data_constrained_law_without_repeats_is_chinchillas() -> None:
    law, x = MUENNIGHOFF, {"params": np.array([1e8, 4e8]), "tokens": np.array([1e11, 4e10])}
    values = dict(law.published["muennighoff2023"])
    plain = CHINCHILLA.loss({k: values[k] for k in CHINCHILLA.parameters}, **x)
    assert law.loss(values, **x, unique_tokens=x["tokens"]) == pytest.approx(plain, rel=1e-12)
    # A repeated token is worth less than a fresh one, and more than none.
    repeated = law.loss(values, **x, unique_tokens=x["tokens"] / 8)
    stopped = law.loss(values, params=x["params"], tokens=x["tokens"] / 8, unique_tokens=x["tokens"] / 8)
    assert np.all((repeated > plain) & (repeated < stopped))


def test_kappa_law_at_one_is_chinchillas_and_has_its_optimum() -> None:
    kappa, plain = laws.get("kappa"), dict(CHINCHILLA.published["hoffmann2022"])
    x = {"params": np.array([1e8, 4e9]), "tokens": np.array([1e11, 4e10])}
    assert kappa.loss({**plain, "kappa": 1.0}, **x) == pytest.approx(CHINCHILLA.loss(plain, **x), rel=1e-12)
    values = {**plain, "kappa": 0.6}
    theta = kappa.coordinates(values)[None]
    assert kappa.log_optimum is not None
    best = float(np.exp(kappa.log_optimum(theta, np.log([1e21 / 6]))[0, 0]))
    sizes = best * np.array([0.9, 1.0, 1.1])
    losses = kappa.loss(values, params=sizes, tokens=1e21 / 6 / sizes)
    assert losses.argmin() == 1


def test_gadre_law_is_chinchillas_with_tied_exponents() -> None:
    eta, a, b = 0.15, 100.0, 400.0
    params, tokens = np.array([1e8, 1e9]), np.array([1e10, 2e10])
    flops, multiplier = 6 * params * tokens, tokens / params
    expected = 1.7 + (a * multiplier**eta + b * multiplier**-eta) * flops**-eta
    found = GADRE.loss({"E": 1.7, "A": a, "B": b, "eta": eta}, params=params, tokens=tokens)
    assert found == pytest.approx(expected, rel=1e-12)


def test_unknown_law_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadValue, match="chinchilla"):
        laws.get("chinchila")


def test_a_saved_fit_of_any_law_is_read_back_by_a_fresh_process(tmp_path: Path) -> None:
    """Reading a fit imports little, so laws must not become known only once some other module is imported."""
    law = laws.get("learning_rate_nd")
    assert law.target == "learning_rate"
    saved = fit(made_up_runs(law), law=law, bootstrap=0)
    (tmp_path / "fit.json").write_text(saved.to_json())
    code = (
        "import sys; from analysis.result import FitResult; "
        "print(FitResult.from_json(open(sys.argv[1]).read()).parameters)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "fit.json"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(saved.parameters)


def test_a_new_law_is_one_function_and_one_registration(monkeypatch: pytest.MonkeyPatch) -> None:
    def design(x: laws.Variables) -> np.ndarray:
        log_n = np.log(x["params"])
        one, zero = np.ones_like(log_n), np.zeros_like(log_n)
        return np.stack([np.stack([one, zero, zero], -1), np.stack([zero, one, -log_n], -1)])

    law = laws.Law(
        name="offset_n",
        formula="L = E + A/N^α",
        source="this test",
        variables=("params",),
        parameters=("E", "A", "alpha"),
        logged=("E", "A"),
        amplitudes=("E", "A"),
        box={"alpha": (0.05, 1.0)},
        design=design,
    )
    truth = {"E": 1.9, "A": 300.0, "alpha": 0.31}
    monkeypatch.setattr(laws, "LAWS", dict(laws.LAWS))
    params = np.geomspace(1e7, 1e10, 12)
    table = pd.DataFrame({"params": params, "loss": law.loss(truth, params=params)})
    with pytest.raises(BadValue, match="register"):
        fit(table, law=law, bootstrap=0)
    laws.register(law)
    assert fit(table, law="offset_n", bootstrap=0).parameters == pytest.approx(truth, rel=1e-6)
