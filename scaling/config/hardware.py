"""The key `hardware.name`: the device that plans are made for."""

from dataclasses import dataclass


@dataclass(kw_only=True)
class HardwareConfig:
    """The device whose peak speed and memory a plan is made with; training measures the device that it runs on."""

    name: str = "auto"
    """A name in the catalogue of devices (`scaling budget hardware`), or auto: the device of this machine."""
