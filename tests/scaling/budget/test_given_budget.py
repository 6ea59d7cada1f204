"""Each way to give a budget comes to FLOPs or to device-hours."""

import pytest

from scaling.accounting.hardware import get_device
from scaling.budget.given_budget import given_budget
from scaling.budget.keys import SolveKeys
from scaling.errors import UserError

A100 = get_device("a100-80gb")


@pytest.mark.parametrize(
    ("keys", "flops", "device_hours"),
    [
        (SolveKeys(flops=1e21), 1e21, None),
        (SolveKeys(pf_days=2.0), 2 * 8.64e19, None),
        (SolveKeys(device_hours=100.0), None, 100),
        (SolveKeys(money=100.0, price=2.0), None, 50),
        (SolveKeys(devices=8, days=3.0), None, 8 * 3 * 24),
        (SolveKeys(device_hours=48.0, devices=2, days=1.0), None, 48),
    ],
)
def test_a_budget_in_its_unit(keys: SolveKeys, flops: float | None, device_hours: float | None) -> None:
    given = given_budget(keys, A100)
    assert (given.flops, given.device_hours) == (flops, device_hours)
    assert given.words


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (SolveKeys(), "which budget"),
        (SolveKeys(devices=8), "which budget"),
        (SolveKeys(flops=1e20, money=5.0), "are two budgets"),
        (SolveKeys(device_hours=1e4, devices=8, days=2.0), "is too short"),
    ],
)
def test_no_budget_two_or_one_past_its_deadline_is_refused(keys: SolveKeys, message: str) -> None:
    with pytest.raises(UserError, match=message):
        given_budget(keys, A100)


def test_money_needs_a_price() -> None:
    with pytest.raises(UserError, match="give price"):
        given_budget(SolveKeys(money=100.0), get_device("mi250x"))
