"""Which column is which quantity."""

import pandas as pd
import pytest

from analysis.reading.columns import choose_columns
from analysis.refusals import BadColumn

RUNS = pd.DataFrame({"params": [1e8, 2e8], "tokens": [1e9, 2e9], "loss": [3.0, 2.9], "flops": [6e17, 2.4e18]})


def test_a_role_can_be_left_out() -> None:
    assert "flops" in choose_columns(RUNS, {}).mapping
    for none in (None, "none"):
        assert "flops" not in choose_columns(RUNS, {"flops": none}).mapping
    with pytest.raises(BadColumn, match="loss=none: a fit needs loss"):
        choose_columns(RUNS, {"loss": None})


def test_a_speed_is_not_taken_for_training_flops() -> None:
    bare = RUNS.drop(columns="flops")
    assert "flops" not in choose_columns(bare.assign(TFLOPs=[120.0, 130.0]), {}).mapping
    chosen = choose_columns(bare.assign(TFLOPs=RUNS["flops"] / 1e12), {})
    assert chosen.mapping["flops"] == "TFLOPs"
    assert chosen.units["flops"] == 1e12


def test_losses_on_several_texts_are_for_the_user_to_choose() -> None:
    several = RUNS.drop(columns="loss").assign(**{"eval/c4/loss": [3.0, 2.9], "eval/pile/loss": [2.5, 2.4]})
    with pytest.raises(BadColumn, match="could be 'eval/c4/loss' or 'eval/pile/loss'"):
        choose_columns(several, {})
