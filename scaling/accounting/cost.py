"""From seconds of computing to days, device-hours, money, energy and carbon."""

from dataclasses import dataclass

from scaling.accounting.device import Device
from scaling.errors import UserError

GOODPUT = 0.9
"""Share of wall-clock time spent in steps that count; the rest is restarts, checkpoints, evaluation and stragglers.
Llama 3 405B kept it above 90 % over 54 days on 16,384 H100 (arXiv:2407.21783, section 3.3.4)."""

REALISED = 0.81
"""Speed of a run over the step-time estimate of its layout, which is that of tuned code: the median of eleven
projects on A100, H100 and H200 that published their throughput (benchmarks/achieved_rates.py; 0.63 to 0.89, none of
them a run whose hours the estimate is judged on). A measured run replaces it (`measured_tokens_per_second`)."""

RUN_SPREAD = (0.63, 1.9)
"""Device-hours of a whole run over their estimate, in nine runs of ten: a prediction interval from the logarithms of 21
published runs (`benchmarks/budget_speed.py`; 0.69 to 2.6, median 1.02). It holds restarts, layouts and code that nobody
knows of a run before it is made; a measured speed takes its place."""
POWER_USAGE_EFFECTIVENESS = 1.1
"""Energy of the data centre over energy of its devices, as in LLaMA (arXiv:2302.13971, section 6)."""

CARBON_KG_PER_KWH = 0.385
"""Mean carbon intensity of the US grid, as in LLaMA (arXiv:2302.13971, section 6). Give your own grid's."""

SECONDS_PER_DAY = 86_400
SECONDS_PER_HOUR = 3_600


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """Time, money, energy and carbon of a run; None where an input (price, power) is unknown."""

    seconds: float
    """Wall-clock time, restarts included."""
    device_hours: float
    price_usd: float | None
    usd_per_device_hour: float | None
    price_note: str
    """Where the hourly price comes from."""
    energy_kwh: float | None
    co2e_kg: float | None

    @property
    def days(self) -> float:
        return self.seconds / SECONDS_PER_DAY

    @property
    def days_interval(self) -> tuple[float, float]:
        """Days between which nine runs in ten end, where no speed was measured (`RUN_SPREAD`)."""
        return RUN_SPREAD[0] * self.days, RUN_SPREAD[1] * self.days

    @property
    def price_usd_interval(self) -> tuple[float, float] | None:
        """The same for money; None where no price is known."""
        if self.price_usd is None:
            return None
        return RUN_SPREAD[0] * self.price_usd, RUN_SPREAD[1] * self.price_usd


def run_cost(
    device: Device,
    devices: int,
    computing_seconds: float,
    *,
    usd_per_device_hour: float | None = None,
    goodput: float = GOODPUT,
    power_usage_effectiveness: float = POWER_USAGE_EFFECTIVENESS,
    carbon_kg_per_kwh: float = CARBON_KG_PER_KWH,
) -> RunCost:
    """Cost of `computing_seconds` of steps on `devices` devices.

    Energy counts every device at its power limit, as model cards do. The hourly price is the one given, else the
    dated example of the catalogue, else unknown.

    Raises:
        UserError: a goodput outside (0, 1], or another input that is not positive.
    """
    if not 0 < goodput <= 1:
        raise UserError(
            f"goodput={goodput:g} must lie in (0, 1]: the share of wall-clock time spent in steps"
        )
    if not power_usage_effectiveness >= 1:
        raise UserError(
            f"pue={power_usage_effectiveness:g} must be at least 1: the whole site over its devices"
        )
    if not carbon_kg_per_kwh >= 0:
        raise UserError(f"carbon_kg_per_kwh={carbon_kg_per_kwh:g} must not be negative")
    hourly, note = hourly_price(device, usd_per_device_hour)
    seconds = computing_seconds / goodput
    hours = seconds * devices / SECONDS_PER_HOUR
    energy = None
    if device.power_watts is not None:
        energy = hours * device.power_watts / 1e3 * power_usage_effectiveness
    return RunCost(
        seconds=seconds,
        device_hours=hours,
        price_usd=None if hourly is None else hours * hourly,
        usd_per_device_hour=hourly,
        price_note=note,
        energy_kwh=energy,
        co2e_kg=None if energy is None else energy * carbon_kg_per_kwh,
    )


def hourly_price(device: Device, given: float | None) -> tuple[float | None, str]:
    """(US dollars for an hour of one device, the source of the price); (None, a hint) when no price is known."""
    if given is not None:
        if not given > 0:
            raise UserError(f"price={given:g} must be a positive number of dollars a device-hour")
        return given, "given"
    if device.price is None:
        return None, "not known: give price=… in dollars a device-hour"
    return device.price.usd_per_device_hour, f"example of {device.price.date}: {device.price.source}"
