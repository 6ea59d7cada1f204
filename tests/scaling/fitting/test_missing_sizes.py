"""Sizes proposed for a sweep exist on its ladder, and the keys that are named do train them."""

import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from analysis.isoflop import Valleys, valleys
from analysis.present import markdown
from analysis.table import load
from analysis.valley import RefusedValley
from scaling.config.schema import DesignConfig
from scaling.fitting.keys import FitKeys
from scaling.fitting.missing_sizes import Ladder, ladder_of, propose, propose_from_ladder, read_design
from scaling.fitting.study import fit_study
from scaling.shape.ladder import shape_for
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape, decoder_shape
from scaling.sweep.design import planned_runs

QUICKSTART = DesignConfig(
    min_flops=6e10, max_flops=1.62e12, budgets=4, sizes=5, size_ratio=1.732, expected_params=36e3
)
LIKE = decoder_shape(width=64, depth=3, heads=4, vocab_size=256, context=128)


def records(design: DesignConfig, best_params: float, like: ModelShape = LIKE) -> pd.DataFrame:
    """A sweep's rows whose loss has one and the same best size at every budget."""
    rows = []
    for run in planned_runs(design, like, seed=0):
        counts = count_params(run.shape)
        loss = 2 + 0.1 * np.log(counts.total / best_params) ** 2 - 0.1 * np.log10(run.budget_flops / 1e11)
        shape = {
            key: getattr(run.shape, key) for key in ("ffn", "vocab_size", "context", "tied_head", "qk_norm")
        }
        rows.append({
            "params_total": counts.total, "params_non_embedding": counts.non_embedding, "tokens": round(run.tokens),
            "loss_nats": loss, "budget_flops": run.budget_flops, "budget_convention": design.convention,
            "train_flops_6nd": 6 * counts.total * round(run.tokens), "status": "done", **shape,
        })  # fmt: skip
    return pd.DataFrame(rows)


def valleys_of(rows: pd.DataFrame, design: DesignConfig | None, params: str | None = None) -> Valleys:
    ladder = ladder_of(rows, params, design)
    assert ladder is not None
    found = propose_from_ladder(valleys(load(rows, {} if params is None else {"params": params})), ladder)
    assert isinstance(found, Valleys)
    return found


def asked_design(design: DesignConfig, remedy: str) -> DesignConfig:
    """The design with the keys that a remedy names."""
    keys = re.findall(r"design\.(\w+)=([\d.e+]*\d)", remedy)
    assert keys, remedy
    values = asdict(design) | {name: type(getattr(design, name))(float(value)) for name, value in keys}
    return DesignConfig(**values)


@pytest.mark.parametrize("best_params", [2e3, 2e6])
@pytest.mark.parametrize(
    "design",
    [
        QUICKSTART,
        replace(QUICKSTART, sizes=4, size_ratio=1.5),
        replace(QUICKSTART, min_flops=1e12, max_flops=1e14),
    ],
    ids=["quickstart", "narrow", "larger"],
)
def test_sizes_are_on_the_ladder_and_the_keys_train_them(design: DesignConfig, best_params: float) -> None:
    found = valleys_of(records(design, best_params), design)
    assert len(found.refused) == design.budgets
    for refused in found.refused:
        tried = refused.points["params"]
        for size in refused.sizes_to_add:
            assert size < tried.min() or size > tried.max()
        if not refused.sizes_to_add:
            assert "no smaller model exists" in refused.remedy
            assert "design.min_flops=" in refused.remedy
            continue
        asked = asked_design(design, refused.remedy)
        planned = {
            run.params_total
            for run in planned_runs(asked, LIKE, seed=0)
            if run.budget_flops == pytest.approx(refused.budget_flops, rel=1e-4)
        }
        assert set(refused.sizes_to_add) <= planned
    assert any("ask for them with design." in refused.remedy for refused in found.refused)


def test_below_the_smallest_model_nothing_is_proposed() -> None:
    """The quickstart's ladder goes down to its smallest model: no size below it is named."""
    found = valleys_of(records(QUICKSTART, 1e3), QUICKSTART)
    smallest = min(count_params(run.shape).total for run in planned_runs(QUICKSTART, LIKE, seed=0))
    lowest = found.refused[0]
    assert lowest.points["params"].min() == smallest
    ladder = {count_params(shape_for(target, LIKE)).total for target in np.geomspace(3000, smallest, 300)}
    assert set(lowest.sizes_to_add) <= ladder
    tiny = valleys_of(records(replace(QUICKSTART, expected_params=15e3), 1e3), None)
    assert tiny.refused[0].points["params"].min() == min(ladder)
    assert tiny.refused[0].sizes_to_add == ()
    assert "no smaller model exists on the ladder with a vocabulary of 256" in tiny.refused[0].remedy


def test_runs_that_are_planned_but_missing_are_to_be_trained() -> None:
    rows = records(QUICKSTART, 2e6)
    budget = rows["budget_flops"].max()
    largest = rows.loc[rows["budget_flops"] == budget, "params_total"].nlargest(2)
    found = valleys_of(rows.drop(largest.index[:1]), replace(QUICKSTART, sizes=5))
    short = [valley for valley in found.refused if valley.budget_flops == budget]
    assert largest.iloc[0] in short[0].sizes_to_add


def test_without_a_design_sizes_are_on_the_ladder_and_no_key_is_named() -> None:
    found = valleys_of(records(QUICKSTART, 2e6), None)
    assert all(refused.sizes_to_add for refused in found.refused)
    assert all(size == int(size) for refused in found.refused for size in refused.sizes_to_add)
    assert not any(refused.remedy for refused in found.refused)


def test_the_count_is_the_one_that_the_user_named() -> None:
    found = valleys_of(records(QUICKSTART, 2e6), QUICKSTART, "params_non_embedding")
    for refused in found.refused:
        asked = asked_design(QUICKSTART, refused.remedy)
        planned = {count_params(run.shape).non_embedding for run in planned_runs(asked, LIKE, seed=0)}
        assert set(refused.sizes_to_add) <= planned


def test_a_fit_of_a_sweeps_folder_names_sizes_and_keys(tmp_path: Path) -> None:
    records(QUICKSTART, 2e6).to_csv(tmp_path / "records.csv", index=False)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"name": "x", "design": asdict(QUICKSTART)}))
    text = markdown(fit_study(tmp_path, FitKeys(bootstrap=0)))
    assert re.search(r"sizes that would show it: .*; ask for them with design\.sizes=\d+\.", text)


def test_a_design_that_cannot_be_read_leaves_the_fit_alone(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("design: [1, 2")
    assert read_design(tmp_path) is None
    (tmp_path / "config.yaml").write_text("design: {sizes: many}")
    assert read_design(tmp_path) is None
    assert read_design(tmp_path / "nowhere") is None


def test_a_valley_drowned_in_noise_names_the_keys_that_widen_or_repeat_it() -> None:
    drowned = RefusedValley(6e10, pd.DataFrame({"params": [1e4, 2e4]}), "flat within its noise: …", ())
    mended = propose(drowned, Ladder(LIKE, QUICKSTART, lambda shape: count_params(shape).total))
    assert "design.sizes=7" in mended.remedy
    assert "design.seeds=2" in mended.remedy
    assert propose(drowned, Ladder(LIKE, None, lambda shape: count_params(shape).total)) == drowned
