"""The order of windows: a permutation an epoch, and a pure function of seed and step."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.corpus.order import window_order


def visits(seed: int, steps: int, batch: int, n_windows: int) -> np.ndarray:
    return np.concatenate([window_order(seed, step * batch, batch, n_windows) for step in range(steps)])


@settings(deadline=None)
@given(n=st.integers(1, 700), batch=st.integers(1, 97), seed=st.integers(0, 2**64))
def test_every_epoch_visits_every_window_exactly_once(n: int, batch: int, seed: int) -> None:
    epochs = 3
    order = visits(seed, -(-epochs * n // batch), batch, n)[: epochs * n]
    for epoch in order.reshape(epochs, n):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(n))


@settings(deadline=None)
@given(
    n=st.integers(1, 10**12),
    seed=st.integers(0, 2**31),
    first=st.integers(0, 10**6),
    batch=st.integers(1, 64),
)
def test_the_order_does_not_depend_on_how_it_is_cut_into_batches(
    n: int, seed: int, first: int, batch: int
) -> None:
    n = min(n, 10**9)
    whole = window_order(seed, first * batch, batch, n)
    one_by_one = [window_order(seed, first * batch + i, 1, n)[0] for i in range(batch)]
    assert whole.tolist() == one_by_one
    assert whole.min() >= 0
    assert whole.max() < n


def test_a_large_corpus_repeats_no_window_within_an_epoch() -> None:
    order = visits(seed=5, steps=400, batch=512, n_windows=123_456_789)
    assert len(np.unique(order)) == len(order)
    assert order.max() > 0.99 * 123_456_789


def test_seeds_and_epochs_give_different_orders() -> None:
    n = 1000
    first_epoch, second_epoch = visits(seed=1, steps=2, batch=n, n_windows=n).reshape(2, n)
    other_seed = window_order(2, 0, n, n)
    for one, other in [(first_epoch, second_epoch), (first_epoch, other_seed), (second_epoch, other_seed)]:
        # Two random permutations agree in one place on average, Poisson distributed.
        assert (one == other).sum() < 9


def test_orders_look_random() -> None:
    n = 40_000
    order = window_order(3, 0, n, n)
    positions = np.arange(n)
    assert abs(np.corrcoef(positions, order)[0, 1]) < 5 / np.sqrt(n)
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 5 / np.sqrt(n)


@pytest.mark.parametrize("n", [3, 4])
def test_each_permutation_of_few_windows_is_about_as_likely(n: int) -> None:
    drawn = 200 * len(list(permutations(range(n))))
    orders = visits(seed=0, steps=drawn, batch=n, n_windows=n).reshape(drawn, n)
    counts = [int((orders == p).all(axis=1).sum()) for p in permutations(range(n))]
    assert sum(counts) == drawn
    assert min(counts) > 100
    assert max(counts) < 320


def test_the_order_is_the_same_on_every_machine() -> None:
    assert window_order(0, 0, 8, 1000).tolist() == [720, 93, 948, 206, 800, 113, 126, 691]


def test_an_endless_corpus_gives_each_seed_windows_of_its_own() -> None:
    ours = [window_order(seed, 16 * step, 16, None) for seed in (0, 1, 2) for step in (0, 1, 10**6)]
    assert len(np.unique(np.concatenate(ours))) == len(ours) * 16
    np.testing.assert_array_equal(window_order(0, 12, 4, None), [12, 13, 14, 15])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [((0, 0, 4, 0), "shorter than one context"), ((-1, 0, 4, 9), "seed=-1"), ((0, 0, 0, 9), "count=0")],
)
def test_impossible_orders_are_refused(arguments: tuple[int, int, int, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        window_order(*arguments)
