"""Bytes and money as people read them."""

from rich.text import Text

from scaling.budget.tables import fits_or_not, gib, money, number


def test_bytes_money_and_numbers() -> None:
    assert (gib(2**30), gib(2**20)) == ("1.0 GiB", "1.0 MiB")
    assert (money(99.5), money(1234.5)) == ("$99.50", "$1,234")
    assert (number(0.021512), number(936.21), number(16_731.6)) == ("0.02151", "936.2", "16,732")


def test_what_does_not_fit_says_by_how_much() -> None:
    assert fits_or_not(50, 100, ".") == Text("Fits: the peak takes 50% of a device's memory.", style="green")
    assert "2.50 times a device's memory; help" in fits_or_not(250, 100, "; help").plain
