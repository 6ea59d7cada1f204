"""What a FLOP of training costs on a device, for the price of a wrong size."""

from scaling.accounting.cost import GOODPUT, REALISED, SECONDS_PER_HOUR, hourly_price
from scaling.accounting.hardware import get_device
from scaling.errors import UserError


def usd_per_flop(hardware: str | None, price: float | None, mfu: float | None) -> float | None:
    """US dollars a FLOP of the model; None where no hardware is named.

    Args:
        hardware: a device of the catalogue, or a YAML file of one.
        price: US dollars a device-hour; by default the catalogue's dated example.
        mfu: share of the dense peak at which the model's FLOPs are done; by default that of a usual run of tuned code
            (the catalogue's rate of matrix products, times `REALISED`). Time lost to restarts comes on top (`GOODPUT`).

    Raises:
        UserError: the device is unknown or has no price, or price or mfu are given without hardware.
    """
    if hardware is None:
        for name, value in (("price", price), ("mfu", mfu)):
            if value is not None:
                raise UserError(f"{name}={value:g} needs hardware=DEVICE, such as hardware=h100-sxm")
        return None
    device = get_device(hardware)
    hourly, hint = hourly_price(device, price)
    if hourly is None:
        raise UserError(f"the price of {device.name} is {hint}")
    if mfu is None:
        mfu = device.matmul_fraction * device.sustained_fraction * device.speed_calibration * REALISED
    rate = device.peak(device.training_precision) * mfu * GOODPUT
    return hourly / (SECONDS_PER_HOUR * rate)
