"""Statuses of several tools: what is done is fitted, what is not is set aside, what is unknown is refused."""

import pandas as pd
import pytest

from analysis.refusals import BadValue
from analysis.table import load

RUNS = pd.DataFrame({"params": [1e8, 2e8, 4e8], "tokens": [1e9, 2e9, 8e9], "loss": [3.0, 2.9, 2.8]})


@pytest.mark.parametrize("column", ["State", "status", "STATUS", "run_state"])
@pytest.mark.parametrize("done", ["finished", "FINISHED", "COMPLETED", "done", "success"])
@pytest.mark.parametrize(
    "other", ["crashed", "RUNNING", "failed", "PREEMPTED", "killed", "CANCELLED by 1000", "nan"]
)
def test_only_finished_runs_are_fitted(column: str, done: str, other: str) -> None:
    table = load(RUNS.assign(**{column: [done, other, done]}))
    assert table.frame["row"].tolist() == [1, 3]
    assert table.excluded_by_reason() == {f"{column} {other}": 1}


def test_an_unknown_word_is_refused_until_chosen() -> None:
    strange = RUNS.assign(State=["finished", "limbo", "limbo"])
    with pytest.raises(BadValue, match=r"'State' says 'limbo'.*where.State=limbo"):
        load(strange)
    assert len(load(strange, where={"State": "limbo"})) == 2


def test_a_column_of_other_words_is_noted() -> None:
    assert any("no words for how a run ended" in note for note in load(RUNS.assign(state=list("xyz"))).notes)


def test_flags() -> None:
    assert load(RUNS.assign(crashed=[False, True, False])).excluded_by_reason() == {"crashed yes": 1}
    assert load(RUNS.assign(finished=[1, 0, 1])).excluded_by_reason() == {"finished no": 1}
