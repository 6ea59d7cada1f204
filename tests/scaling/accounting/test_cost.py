"""Hours, energy and carbon follow from device-seconds; ill factors are refused."""

import budget_speed as benchmark
import pytest

from scaling.accounting.cost import run_cost
from scaling.accounting.hardware import get_device
from scaling.errors import UserError

H100 = get_device("h100-sxm")


@pytest.mark.parametrize(
    "row", [r for r in benchmark.read("run_hours.csv") if r["tco2e"]], ids=lambda r: r["model"]
)
def test_carbon_of_model_cards_follows_from_their_hours(row: dict[str, str]) -> None:
    cost = run_cost(get_device(row["hardware"]), 1, float(row["device_hours"]) * 3600, goodput=1.0)
    assert cost.device_hours == pytest.approx(float(row["device_hours"]))
    assert cost.co2e_kg is not None
    # Llama 3's cards use another grid's figure, so only their order of magnitude has to follow.
    tolerance = 0.001 if row["model"].startswith("llama-2") else 0.05
    assert cost.co2e_kg / 1e3 == pytest.approx(float(row["tco2e"]), rel=tolerance)


def test_energy_and_carbon_with_the_factors_of_llama() -> None:
    # Touvron et al. 2023 (arXiv:2302.13971), section 6: Wh = GPU-h x power x PUE 1.1, tCO2e = MWh x 0.385
    cost = run_cost(get_device("a100-80gb"), 1, 82_432 * 3600, goodput=1.0)
    assert cost.energy_kwh == pytest.approx(36e3, rel=0.01)
    assert cost.co2e_kg == pytest.approx(14e3, rel=0.01)


def test_wall_clock_is_computing_time_over_goodput() -> None:
    cost = run_cost(H100, 8, 86_400, goodput=0.5, usd_per_device_hour=2.0)
    assert cost.days == 2
    assert cost.device_hours == 8 * 48
    assert cost.price_usd == 8 * 48 * 2.0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("goodput", 0.0),
        ("power_usage_effectiveness", 0.5),
        ("carbon_kg_per_kwh", -1.0),
        ("usd_per_device_hour", -1.0),
    ],
)
def test_ill_factors_are_refused(key: str, value: float) -> None:
    with pytest.raises(UserError, match="must"):
        run_cost(H100, 1, 1.0, **{key: value})
