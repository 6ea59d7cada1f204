"""What a user has to spend, read from the keys of `solve`: training compute, or hours of devices."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from scaling.accounting.cost import hourly_price
from scaling.accounting.device import Device
from scaling.budget.keys import SolveKeys
from scaling.errors import UserError
from scaling.shape.flops import PF_DAY_FLOPS

ROUNDING = 1.0001
"""Hours may exceed a deadline by this factor, so that hours computed from devices and days meet it."""


@dataclass(frozen=True, kw_only=True)
class GivenBudget:
    """A budget in the unit that it limits: either FLOPs or device-hours, the other None."""

    flops: float | None = None
    """Training compute (6ND)."""
    device_hours: float | None = None
    """Hours of one device, all devices together."""
    words: str
    """The budget as it was given, for people."""


def given_budget(keys: SolveKeys, device: Device) -> GivenBudget:
    """The one budget that the keys give. Raises UserError for none, for two, and for hours that exceed the deadline."""
    given = {
        name: getattr(keys, name)
        for name in ("flops", "pf_days", "device_hours", "money")
        if getattr(keys, name) is not None
    }
    if len(given) > 1:
        raise UserError(f"{' and '.join(f'{k}={v:g}' for k, v in given.items())} are two budgets: give one")
    if keys.flops is not None:
        return GivenBudget(flops=keys.flops, words=f"{keys.flops:.3g} FLOPs")
    if keys.pf_days is not None:
        return GivenBudget(flops=keys.pf_days * PF_DAY_FLOPS, words=f"{keys.pf_days:g} PF-days")
    if keys.device_hours is not None:
        hours, words = keys.device_hours, f"{keys.device_hours:,.4g} {device.name}-hours"
    elif keys.money is not None:
        hourly, note = hourly_price(device, keys.price)
        if hourly is None:
            raise UserError(f"money={keys.money:g}: the price of {device.name} is {note}")
        hours = keys.money / hourly
        words = f"${keys.money:,.0f} at ${hourly:g} an hour of {device.name} ({note})"
    elif keys.devices is not None and keys.days is not None:
        hours = keys.devices * keys.days * 24.0
        words = f"{keys.devices:,} {device.name} for {keys.days:g} days"
    else:
        raise UserError(
            "which budget? give one of flops=…, pf_days=…, device_hours=…, money=…, or devices=… and days=…"
        )
    if keys.devices is not None and keys.days is not None:
        hours_each = hours / keys.devices
        if hours_each > 24 * keys.days * ROUNDING:
            raise UserError(
                f"days={keys.days:g} is too short: {hours:,.4g} hours on devices={keys.devices} last "
                f"{hours_each / 24:,.1f} days; give devices={ceil(hours / 24 / keys.days)}, or more days"
            )
    return GivenBudget(device_hours=hours, words=words)
