"""Bytes, times and money as people read them."""

import pytest
from rich.text import Text

from scaling.budget.tables import duration, fits_or_not, gib, money, number


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.004, "4 ms"), (0.1, "0.1 s"), (90, "90 s"), (120, "2 minutes"), (7200, "2 hours"), (2 * 86_400, "2 days"),
     (86_400 * 365.25 * 2, "2 years"), (86_400 * 365.25 * 2e3, "2,000 years")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_bytes_money_and_numbers() -> None:
    assert (gib(2**30), gib(2**20)) == ("1.0 GiB", "1.0 MiB")
    assert (money(99.5), money(1234.5)) == ("$99.50", "$1,234")
    assert (number(0.021512), number(936.21), number(16_731.6)) == ("0.02151", "936.2", "16,732")


def test_what_does_not_fit_says_by_how_much() -> None:
    assert fits_or_not(50, 100, ".") == Text("Fits: the peak takes 50% of a device's memory.", style="green")
    assert "2.50 times a device's memory; help" in fits_or_not(250, 100, "; help").plain
