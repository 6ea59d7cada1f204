"""Devices are found by name or read from a YAML file; ill input is refused with a remedy."""

from pathlib import Path

import pytest

from scaling.accounting.catalogue import CATALOGUE
from scaling.accounting.hardware import get_device
from scaling.accounting.this_machine import DRIVER_NAMES


def test_a_device_of_ones_own_starts_from_another(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "like: a100-80gb\npower_watts: 300\npeak_flops: {bf16: 250e12}\n"
        "price: {usd_per_device_hour: 1.1, date: 2026-01, source: our contract}\n"
    )
    device = get_device(str(file))
    assert device.name == "mine"
    assert device.power_watts == 300
    assert device.peak("bf16") == 250e12
    assert device.memory_bytes == get_device("a100-80gb").memory_bytes
    assert device.price is not None
    assert device.price.usd_per_device_hour == 1.1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("like: a100-80gb\npowr_watts: 3\n", "did you mean power_watts"),
        ("peak_flops: {bf16: 1e12}\n", "missing memory_bytes"),
        ("like: a100-80gb\nmemory_bytes: lots\n", "memory_bytes='lots'"),
        ("like: a100-80gb\nmemory_bytes: -1\n", "memory_bytes=-1.0 must be positive"),
        ("like: a100-80gb\npeak_flops: {bf17: 1e12}\n", "unknown precision bf17"),
        ("- a\n- b\n", "expected `key: value` lines"),
        ("a: [\n", "not YAML"),
    ],
)
def test_ill_device_files_are_refused_with_a_remedy(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ValueError) as refused:
        get_device(str(file))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_unknown_devices_and_precisions_name_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean a10g or a100"):
        get_device("a101")
    with pytest.raises(ValueError, match="no such file"):
        get_device("nowhere.yaml")
    with pytest.raises(ValueError, match="no bf16 matrix units"):
        get_device("v100").peak("bf16")


def test_this_machine_is_measured() -> None:
    device = get_device("auto")
    assert device is get_device("AUTO")  # once a process
    assert device.name == "auto"
    # Any processor of this century multiplies faster than 1 GFLOP/s and slower than 1 PFLOP/s.
    assert 1e9 < device.peak("fp32") * device.matmul_fraction < 1e15
    assert 1e8 < device.memory_bytes_per_second < 1e14
    assert device.memory_bytes > 2**28


def test_a_drivers_name_means_the_longest_that_is_in_it() -> None:
    names = list(DRIVER_NAMES)
    for position, name in enumerate(names):
        assert DRIVER_NAMES[name] in CATALOGUE
        assert not any(earlier in name for earlier in names[:position]), name
