"""When a job logs, writes a checkpoint and ends: by the clock alone, or as the first of several ranks decides."""

from types import SimpleNamespace
from typing import Any

import pytest

from scaling.training.cadence import LARGEST_GROWTH, Cadence


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("scaling.training.cadence.time.monotonic", clock)
    return clock


def cadence(ranks: int, asked: bool = False, **seconds: Any) -> Cadence:
    strategy = SimpleNamespace(broadcast=lambda decision: decision)
    trainer: Any = SimpleNamespace(strategy=strategy, world_size=ranks)
    values = {"log_every_seconds": 1.0, "checkpoint_every_seconds": 10.0, **seconds}
    return Cadence(trainer, 0, **values, asked_to_end=lambda: asked)


def test_one_process_goes_by_its_clock(clock: Clock) -> None:
    times = cadence(1)
    clock.now += 0.9
    assert not times.log_due(5)
    clock.now += 0.1
    assert times.log_due(5)
    assert times.logged(5) == pytest.approx(1.0)
    assert not times.log_due(6)
    clock.now += 9
    assert times.checkpoint_due(logged=False)
    times.checkpoint_written()
    assert not times.checkpoint_due(logged=False)
    assert not times.end_due(logged=True)
    assert cadence(1, asked=True).end_due(logged=False)


def test_no_checkpoint_on_the_way_where_none_is_wanted(clock: Clock) -> None:
    times = cadence(1, checkpoint_every_seconds=None)
    clock.now += 1e6
    assert not times.checkpoint_due(logged=True)


def test_ranks_go_by_positions_that_they_agreed_on(clock: Clock) -> None:
    times = cadence(2, asked=True)
    assert times.log_due(1)
    clock.now += 0.5
    times.logged(1)
    assert not times.log_due(2)  # one step took half a second: two more make a second
    clock.now += 100  # whatever the clock says
    assert not times.log_due(2)
    assert times.log_due(3)
    assert times.end_due(logged=True)
    assert not times.end_due(logged=False)
    assert not times.checkpoint_due(logged=True)
    times.logged(3)
    assert times.checkpoint_due(logged=True)


def test_the_next_log_is_not_much_further_than_the_last_one(clock: Clock) -> None:
    times = cadence(2)
    clock.now += 1e-6
    times.logged(1)
    assert not times.log_due(LARGEST_GROWTH)
    assert times.log_due(1 + LARGEST_GROWTH)


def test_what_lies_between_two_segments_does_not_count(clock: Clock) -> None:
    times = cadence(1)
    clock.now += 100
    times.restart(7)
    clock.now += 0.5
    assert times.logged(8) == pytest.approx(0.5)
