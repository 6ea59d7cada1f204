"""What a FLOP costs on a device, and what is refused."""

import pytest

from scaling.accounting.cost import GOODPUT
from scaling.errors import UserError
from scaling.fitting.price import usd_per_flop


def test_the_published_price_of_a_deadweight_loss() -> None:
    """Czech et al. 2026 (arXiv:2603.22339): 2.48e24 FLOPs cost $1.4M on H100s at 50 % and $2 an hour.

    They take the peak of 1979 TFLOP/s that counts zeros of a sparse matrix, twice the dense one, and no lost time.
    """
    price = usd_per_flop("h100-sxm", 2.0, 0.5)
    assert price is not None
    assert 2.48e24 * price * GOODPUT / 2 == pytest.approx(1.4e6, rel=0.02)


def test_by_default_the_catalogue_says_speed_and_price() -> None:
    usual, perfect = usd_per_flop("h100", None, None), usd_per_flop("h100", None, 1.0)
    assert usual is not None
    assert perfect is not None
    assert 1.5 < usual / perfect < 4  # a usual run reaches 25 to 65 % of the peak
    assert usd_per_flop(None, None, None) is None


def test_a_price_without_a_device_is_refused() -> None:
    with pytest.raises(UserError, match="price=2 needs hardware=DEVICE"):
        usd_per_flop(None, 2.0, None)
    with pytest.raises(UserError, match=r"mfu=0\.5 needs hardware"):
        usd_per_flop(None, None, 0.5)
