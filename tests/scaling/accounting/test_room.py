"""What a program can use of a device, and which peaks leave the reserve free."""

from dataclasses import replace

import budget_memory
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.accounting.catalogue import CATALOGUE
from scaling.accounting.hardware import get_device
from scaling.accounting.room import RESERVE, room_for, usable_bytes

GIB = 2**30


@pytest.mark.parametrize(
    ("name", "seen_gib"),
    [("rtx4090", 23.64), ("rtx3090", 23.58), ("a100-40gb", 39.5), ("t4", 14.75), ("h100", 79.11)],
)
def test_what_torch_sees_less_its_context_can_be_used(name: str, seen_gib: float) -> None:
    assert usable_bytes(get_device(name)) == pytest.approx((seen_gib - 0.5) * GIB)


def test_every_device_offers_less_than_its_label_but_for_memory_of_the_machine() -> None:
    for device in CATALOGUE.values():
        if device.shares_host_memory:
            assert usable_bytes(device) == device.memory_bytes
        else:
            assert 0.9 * device.memory_bytes < usable_bytes(device) < 0.995 * device.memory_bytes


@given(share=st.floats(0.01, 3))
def test_between_fitting_and_not_lies_the_reserve(share: float) -> None:
    device = replace(get_device("cpu"), memory_bytes=1e9)
    expected = "fits" if share * (1 + RESERVE) <= 1 else "tight" if share <= 1 else "no"
    assert room_for(share * 1e9, device) == expected


def test_no_published_peak_lies_beyond_its_estimate_and_the_reserve() -> None:
    cases = budget_memory.gpu_memory_cases()
    assert len(cases) >= 13
    assert all(case.published <= case.ours * (1 + RESERVE) for case in cases)
