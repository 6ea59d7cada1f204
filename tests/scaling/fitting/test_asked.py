"""Any law from the command line: its columns by any key, its parameters held, and laws of the user's own."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import laws
from analysis.laws.made_up import made_up_runs
from analysis.refusals import BadColumn, BadValue
from scaling.cli.fit import main
from scaling.errors import UserError
from scaling.fitting.asked import parse_asked

OWN = '''
import math
import numpy as np

def plain(x, E=(0.5, 3.0), A=(1.0, 1e4), alpha=(0.05, 1.0), step=(-0.5, 0.5)):
    """L = E + A·N^-α + s·depth/100"""
    return E + A * x["params"] ** -alpha + step * x["depth"] / 100

def odd(x, E=(0.5, 3.0), A=(1.0, 1e4), alpha=(0.05, 1.0)):
    return np.array([E + A * math.pow(n, -alpha) for n in x["params"]])

def made():
    from analysis.laws.kappa import KAPPA
    from dataclasses import replace
    return replace(KAPPA, name="my_kappa")

def unbounded(x, E):
    return E + 0 * x["params"]

SEVEN = 7
'''


@pytest.fixture(autouse=True)
def _own_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(laws, "LAWS", dict(laws.LAWS))
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")


def test_columns_of_any_variable_by_its_key_or_by_a_known_name(capsys: pytest.CaptureFixture[str]) -> None:
    law = laws.get("moe_clark")
    runs = made_up_runs(law, 40).rename(columns={"params_active": "n", "experts": "num_experts"})
    runs.to_csv("runs.csv", index=False)
    assert main(["runs.csv", "law=moe_clark", "params_active=n", "bootstrap=0", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["parameters"] == pytest.approx(law.known_values, rel=1e-6)
    assert record["convention"]["experts"].startswith("column 'num_experts'")
    with pytest.raises(
        UserError, match=r"expert=num: no such key; law=moe_clark reads params_active, experts; .*experts"
    ):
        main(["runs.csv", "law=moe_clark", "expert=num"])
    with pytest.raises(
        BadColumn, match=r"needs a column for params_active \(parameters that one token passes"
    ):
        main(["runs.csv", "law=moe_clark"])
    with pytest.raises(BadValue, match="did you mean moe_clark"):
        main(["runs.csv", "law=moe_clerk"])


def test_a_domain_may_have_no_share_but_an_expert_cannot_be_half(capsys: pytest.CaptureFixture[str]) -> None:
    law = laws.get("mixture_ye[3]")
    runs = made_up_runs(law, 30)
    runs["proportion_2"] += runs["proportion_1"].where(runs.index == 0, 0.0)
    runs["proportion_1"] = runs["proportion_1"].where(runs.index > 0, 0.0)
    runs["loss"] = law.loss(law.known_values, **{k: runs[k].to_numpy() for k in law.variables})
    runs.to_csv("mix.csv", index=False)
    assert main(["mix.csv", "law=mixture_ye", "bootstrap=0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == pytest.approx(law.known_values, rel=1e-6)
    runs.columns = pd.Index(["web", "code", "books", "books_loss"])
    runs.to_csv("named.csv", index=False)
    words = ["law=mixture_ye", "proportion=[web,code,books]", "loss=books_loss", "bootstrap=0", "--json"]
    assert main(["named.csv", *words]) == 0
    assert json.loads(capsys.readouterr().out)["law"] == "mixture_ye[3]"
    with pytest.raises(UserError, match="call them proportion_1, proportion_2"):
        main(["named.csv", "law=mixture_ye"])
    routed = made_up_runs(laws.get("moe_clark"), 20)
    routed.loc[3, "experts"] = 0.5
    routed.to_csv("half.csv", index=False)
    with pytest.raises(BadValue, match=r"row 4 \(1 such rows\): experts must be finite and at least 1"):
        main(["half.csv", "law=moe_clark"])


def test_parameters_are_held_in_a_study_and_in_one_law(capsys: pytest.CaptureFixture[str]) -> None:
    made_up_runs(laws.get("chinchilla"), 30).to_csv("runs.csv", index=False)
    assert main(["runs.csv", "fixed.E=1.69", "bootstrap=0", "approach=parametric", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["exponents"]["a"] == pytest.approx(0.28 / 0.62, rel=1e-6)
    assert parse_asked(["law=kappa", "fixed.kappa=0.5", "fixed.E=2"]).law == "kappa[kappa=0.5,E=2.0]"
    with pytest.raises(BadValue, match="has no such parameter; it has E, A, B, alpha, beta"):
        main(["runs.csv", "fixed.F=1"])


def test_a_function_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    runs = pd.DataFrame({"params": np.geomspace(1e7, 1e10, 24), "n_layers": rng.integers(4, 60, 24)})
    runs["loss"] = 1.8 + 90 * runs["params"] ** -0.25 - 0.2 * runs["n_layers"] / 100
    runs.to_csv("runs.csv", index=False)
    assert main(["runs.csv", "law=own.py:plain", "depth=n_layers", "bootstrap=0", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["parameters"] == pytest.approx({"E": 1.8, "A": 90, "alpha": 0.25, "step": -0.2}, rel=1e-6)
    runs["loss"] += 0.2 * runs["n_layers"] / 100
    runs.to_csv("runs.csv", index=False)
    assert main(["runs.csv", "law=own.py:odd", "bootstrap=0", "approach=parametric", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)  # no chain rule passes through math.pow
    assert record["parameters"] == pytest.approx({"E": 1.8, "A": 90, "alpha": 0.25}, rel=1e-5)


def test_a_law_object_of_ones_own_and_what_is_none() -> None:
    assert parse_asked(["law=own.py:made"]).law == "my_kappa"
    with pytest.raises(BadValue, match=r"parameter 'E' needs the range to look for it in"):
        parse_asked(["law=own.py:unbounded"])
    with pytest.raises(UserError, match="neither a law nor a function"):
        parse_asked(["law=own.py:SEVEN"])
    with pytest.raises(UserError, match="has no 'other'; it has plain, odd, made"):
        parse_asked(["law=own.py:other"])
    with pytest.raises(UserError, match=r"no file none\.py"):
        parse_asked(["law=none.py:law"])
    Path("broken.py").write_text("1 / 0")
    with pytest.raises(UserError, match=r"broken\.py fails with ZeroDivisionError"):
        parse_asked(["law=broken.py:law"])


def test_all_laws_are_listed_with_formula_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["law=?"]) == 0
    out = capsys.readouterr().out
    for law in laws.LAWS.values():
        assert law.formula in out
        assert law.source in out
    assert "mixture_ye\n" in out
    assert "streams           parallel streams of one model" in out
