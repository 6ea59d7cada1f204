"""Learning-rate rules and schedules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.config.schema import CosineConfig, MuonConfig, WSDConfig
from scaling.training.recipe import lr_fraction, peak_lr, warmup_tokens


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
