"""The batch size of every step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.config.schema import MuonConfig
from scaling.training.batch_ramp import batch_ramp, constant


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
