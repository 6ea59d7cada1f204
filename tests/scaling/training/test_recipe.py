"""Learning-rate rules, schedules and the trunk's plan."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.config.schema import CosineConfig, MuonConfig, WSDConfig
from scaling.training.batch_ramp import batch_ramp, constant
from scaling.training.recipe import lr_fraction, peak_lr, warmup_tokens
from scaling.training.segments import segments, steps_trained


@given(
    steps=st.lists(st.integers(5, 3000), min_size=1, max_size=5, unique=True).map(sorted),
    decay=st.floats(0.05, 1.0),
    data=st.data(),
)
def test_each_branch_is_the_run_it_stands_for(steps: list[int], decay: float, data: st.DataObject) -> None:
    """The trunk before a branch and the branch itself cover each step of the run exactly once, in order."""
    schedule = WSDConfig(decay_fraction=decay)
    batches = data.draw(st.sampled_from([constant(4, 32), batch_ramp(MuonConfig(), 32, 1e7)]))
    plan = segments(schedule, steps, batches)
    for run, length in enumerate(steps):
        own = next(i for i, s in enumerate(plan) if s.run == run)
        covered: list[int] = []
        for segment in plan[: own + 1]:
            if segment.run is None or segment.run == run:
                covered += range(segment.start, segment.stop)
        assert covered == list(range(length))
        assert [s.run for s in plan].count(run) == 1
    assert steps_trained(plan) <= sum(steps)
    if len(steps) > 1 and decay < 0.9:
        assert steps_trained(plan) < sum(steps)


def test_a_trunk_of_doubling_budgets_saves_a_third_of_the_tokens() -> None:
    steps = [1000, 2000, 4000, 8000]
    assert steps_trained(segments(WSDConfig(decay_fraction=0.2), steps, constant(4, 32))) / sum(steps) < 0.63


@given(tokens=st.floats(0, 1e6), warmup=st.floats(0, 2e5), step=st.integers(0, 10**6))
def test_schedules_stay_within_their_bounds(tokens: float, warmup: float, step: int) -> None:
    for config in (WSDConfig(final_lr_fraction=0.05), CosineConfig()):
        assert 0 <= lr_fraction(config, step, tokens, 1e6, warmup) <= 1
    # Before the decay begins, a run's rate is the trunk's: that is what lets runs share it.
    if tokens <= 0.8e6:
        trunk = lr_fraction(WSDConfig(), step, tokens, None, warmup)
        assert lr_fraction(WSDConfig(), step, tokens, 1e6, warmup) == trunk


def test_schedules_end_where_they_say() -> None:
    assert lr_fraction(WSDConfig(final_lr_fraction=0.1), 9, 1e6, 1e6, 1e3) == pytest.approx(0.1)
    assert lr_fraction(WSDConfig(), 9, 0.9e6, 1e6, 1e3) == pytest.approx(0.5)
    assert lr_fraction(CosineConfig(final_lr_fraction=0.1), 9, 1e6, 1e6, 1e3) == pytest.approx(0.1)
    assert lr_fraction(CosineConfig(final_lr_fraction=0.0), 9, 0.5e6, 1e6, 0) == pytest.approx(0.5)
    assert lr_fraction(CosineConfig(), 10**6, 500, 1e6, 1e3) == pytest.approx(0.5, abs=1e-3)


def test_the_stable_rate_fades_as_a_power_of_steps() -> None:
    config = WSDConfig(fade_steps=100, fade_exponent=0.5)
    rates = [lr_fraction(config, step, 1e5, None, 1e3) for step in (0, 100, 400, 10_000)]
    assert rates == pytest.approx([1, 1, 0.5, 0.1])
    assert lr_fraction(WSDConfig(fade_exponent=0), 10**6, 1e5, None, 1e3) == 1
    with pytest.raises(ValueError, match=r"schedule.fade_exponent=1"):
        WSDConfig(fade_exponent=1.0)


def test_rules_follow_size() -> None:
    config = MuonConfig(lr_reference=8e-3, lr_exponent=0.25)
    assert peak_lr(config, 100_000) == pytest.approx(8e-3)
    assert peak_lr(config, 1_600_000) == pytest.approx(4e-3)
    assert warmup_tokens(WSDConfig(), 1000, 1e6) == 1000
    assert warmup_tokens(WSDConfig(), 10**6, 1e6) == 0.25e6


@given(
    smallest=st.integers(1, 5000),
    reference=st.integers(1, 100_000),
    exponent=st.floats(0.1, 2),
    context=st.sampled_from([8, 128, 512]),
    tokens=st.floats(1e4, 1e9),
)
def test_the_batch_follows_its_rule_from_below(
    smallest: int, reference: int, exponent: float, context: int, tokens: float
) -> None:
    config = MuonConfig(batch_smallest=smallest, batch_reference=reference, batch_exponent=exponent)
    ramp = batch_ramp(config, context, tokens)
    step = ramp.steps_for(tokens)
    before, batch = ramp.tokens_before(step), ramp.sequences(step) * context
    assert abs(before - tokens) <= batch / 2 + 1  # as near as whole steps come
    for stage in ramp.stages:
        seen = stage.first_sequence * context
        assert ramp.sequences_before(stage.first_step) == stage.first_sequence
        if stage.first_step:
            rule = reference * (seen / 1e6) ** exponent
            assert stage.sequences * context <= rule * (1 + 1e-6)
            assert ramp.sequences(stage.first_step - 1) < stage.sequences


def test_a_fixed_batch_is_the_same_throughout() -> None:
    ramp = batch_ramp(MuonConfig(batch_tokens=1024), 128, 1e9)
    assert ramp == constant(8, 128)
    assert ramp.steps_for(10_000) == 10
    with pytest.raises(ValueError, match=r"whole multiple of model\.context=128"):
        batch_ramp(MuonConfig(batch_tokens=1000), 128, 1e9)
