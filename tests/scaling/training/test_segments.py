"""The order of a job's steps: a trunk and its branches."""

from hypothesis import given
from hypothesis import strategies as st

from scaling.config.schema import CosineConfig, MuonConfig, WSDConfig
from scaling.training.batch_ramp import batch_ramp, constant
from scaling.training.segments import (
    end_position,
    segment_at,
    segments,
    segments_before,
    segments_of_run,
    segments_spent_on_run,
    steps_trained,
)


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


@given(steps=st.lists(st.integers(2, 300), min_size=1, max_size=4, unique=True).map(sorted), data=st.data())
def test_positions_count_the_steps_of_all_segments_in_order(steps: list[int], data: st.DataObject) -> None:
    plan = segments(WSDConfig(), steps, constant(4, 32))
    places = [(segment, step) for segment in plan for step in range(segment.start, segment.stop)]
    position = data.draw(st.integers(0, len(places) - 1))
    segment, _ = places[position]
    assert segment_at(plan, position) == places[position]
    assert steps_trained(segments_before(plan, position)) == position
    assert segments_before(plan, end_position(plan, segment)) == plan[: plan.index(segment) + 1]
    assert segments_before(plan, len(places)) == plan


def test_what_a_run_consists_of_and_what_it_adds_to_the_runs_before_it() -> None:
    plan = segments(WSDConfig(decay_fraction=0.2), [100, 200], constant(4, 32))
    assert [(s.start, s.stop, s.run) for s in plan] == [
        (0, 80, None),
        (80, 100, 0),
        (80, 160, None),
        (160, 200, 1),
    ]
    assert (segments_of_run(plan, 0), segments_of_run(plan, 1)) == ([0, 1], [0, 2, 3])
    assert (segments_spent_on_run(plan, 0), segments_spent_on_run(plan, 1)) == ([0, 1], [2, 3])


def test_only_wsd_shares_a_trunk() -> None:
    (segment,) = segments(CosineConfig(), [100], constant(4, 32))
    assert (segment.start, segment.stop, segment.run) == (0, 100, 0)
