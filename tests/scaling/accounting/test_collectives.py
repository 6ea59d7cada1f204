"""Collectives run at the bandwidth of the links that they cross."""

import pytest

from scaling.accounting.collectives import (
    COLLECTIVE_FRACTION,
    COLLECTIVE_SECONDS,
    COMMUNICATION_SHARE,
    HOP_SECONDS,
    all_to_all_seconds,
    bus_bytes_per_second,
    gather_seconds,
)
from scaling.accounting.hardware import get_device

A100 = get_device("a100-80gb")


def test_collectives_run_at_the_slowest_link_they_cross() -> None:
    inside = bus_bytes_per_second(A100, 8, 1)
    assert inside < A100.link_bytes_per_second
    assert bus_bytes_per_second(A100, 16, 1) < inside  # eight adapters together: 8 x 25 of 300 GB/s
    assert bus_bytes_per_second(A100, 16, 8) == pytest.approx(bus_bytes_per_second(A100, 16, 1) / 8)
    assert gather_seconds(A100, 1, 1, 1e9) == 0
    assert gather_seconds(A100, 8, 1, 2e9) > gather_seconds(A100, 8, 1, 1e9)


def test_an_all_to_all_crosses_the_network_once_for_each_node_a_token_visits() -> None:
    inside = all_to_all_seconds(A100, 8, 1, 1e9, copies=2)
    assert inside == pytest.approx(
        2 * 7 / 8 * 1e9 / (A100.link_bytes_per_second * COLLECTIVE_FRACTION) + COLLECTIVE_SECONDS
    )
    # Two experts at random over two nodes: a token visits the other node with probability 1 - 1/4, and crosses once.
    network = A100.network_bytes_per_second * COLLECTIVE_FRACTION
    assert all_to_all_seconds(A100, 16, 1, 1e9, copies=2) == pytest.approx(
        3 / 4 * 1e9 / network + COLLECTIVE_SECONDS + HOP_SECONDS
    )
    assert all_to_all_seconds(A100, 1, 1, 1e9, copies=2) == 0


def test_constants_of_collectives_lie_where_nccl_tests_and_its_cost_model_put_them() -> None:
    assert pytest.approx(230 / 300, abs=0.005) == COLLECTIVE_FRACTION
    assert 15e-6 <= COLLECTIVE_SECONDS <= 30e-6
    assert pytest.approx(4e-6 + 1e-6) == HOP_SECONDS
    assert COMMUNICATION_SHARE == 20 / 132
