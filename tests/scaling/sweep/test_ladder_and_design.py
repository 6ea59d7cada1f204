"""Shapes land where they are asked for, and a design spends its budgets around its expected optimum."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.config.schema import DesignConfig
from scaling.shape.ladder import shape_for
from scaling.shape.params import count_params
from scaling.shape.rungs import expected_params
from scaling.shape.shape import Ffn, ModelShape, decoder_shape
from scaling.sweep.design import budgets, jobs, planned_runs


def like(vocab_size: int = 256, ffn: Ffn = "swiglu", tied: bool = True) -> ModelShape:
    return decoder_shape(
        width=64,
        depth=2,
        heads=4,
        vocab_size=vocab_size,
        context=128,
        ffn=ffn,
        tied_head=tied,
        qk_norm=True,
    )


@settings(max_examples=60, deadline=None)
@given(
    exponent=st.floats(math.log10(30e3), 10.5),
    ffn=st.sampled_from(["swiglu", "gelu"]),
    tied=st.booleans(),
)
def test_the_ladder_lands_within_five_percent(exponent: float, ffn: Ffn, tied: bool) -> None:
    target = 10**exponent
    total = count_params(shape_for(target, like(ffn=ffn, tied=tied))).total
    assert abs(total / target - 1) <= 0.05


def test_the_ladder_keeps_its_proportions() -> None:
    for target in (1e5, 1e7, 1e9, 1e11):
        shape = shape_for(target, like(vocab_size=256))
        assert shape.heads * shape.head_width == shape.width
        assert 8 / 3 / 1.55 <= shape.ffn_width / shape.width <= 8 / 3 * 1.55
    assert 64 <= shape_for(175e9, like(50257)).width / shape_for(175e9, like(50257)).depth <= 160


def test_too_few_parameters_are_refused_with_the_least_possible() -> None:
    with pytest.raises(ValueError, match="too few for a vocabulary of 50000"):
        shape_for(20_000, like(vocab_size=50_000))


@settings(max_examples=20, deadline=None)
@given(
    low=st.floats(1e11, 1e14),
    span=st.floats(10, 1e3),
    count=st.integers(2, 6),
    sizes=st.integers(3, 7),
    convention=st.sampled_from(["6nd", "exact"]),
)
def test_every_run_spends_its_budget(
    low: float, span: float, count: int, sizes: int, convention: str
) -> None:
    design = DesignConfig(
        min_flops=low, max_flops=low * span, budgets=count, sizes=sizes, convention=convention,
        expected_params=5e4, expected_at_flops=low,
    )  # fmt: skip
    runs = planned_runs(design, like(), seed=0)
    assert np.ptp(np.diff(np.log(budgets(design)))) < 1e-9
    for run in runs:
        if convention == "6nd":
            assert 6 * run.params_total * run.tokens == pytest.approx(run.budget_flops)
    for flops in budgets(design):
        at_budget = sorted(run.params_total for run in runs if run.budget_flops == flops)
        assert at_budget[0] < expected_params(design, flops) * 1.05
        assert at_budget[-1] > expected_params(design, flops) / 1.05


def test_runs_of_one_shape_and_seed_share_a_trunk() -> None:
    runs = planned_runs(DesignConfig(seeds=2), like(), seed=3)
    grouped = jobs(runs, share_trunks=True)
    assert sum(len(job) for job in grouped) == len(runs)
    for job in grouped:
        assert len({(run.shape, run.seed) for run in job}) == 1
        assert [run.tokens for run in job] == sorted(run.tokens for run in job)
    assert {run.seed for run in runs} == {3, 4}
    assert all(len(job) == 1 for job in jobs(runs, share_trunks=False))
