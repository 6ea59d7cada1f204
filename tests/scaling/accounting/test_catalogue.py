"""The catalogue holds dense peaks, each with its source."""

import pytest

from scaling.accounting.catalogue import CATALOGUE
from scaling.accounting.device import (
    UNMEASURED_ATTENTION_FRACTION,
    UNMEASURED_MATMUL_FRACTION,
    UNMEASURED_SUSTAINED_FRACTION,
)
from scaling.accounting.hardware import get_device

ASKED_FOR = [
    "v100", "a100-40gb", "a100-80gb", "h100-pcie", "h100-sxm", "h200", "b200", "mi250x", "mi300x", "tpu-v4",
    "tpu-v5e", "tpu-v5p", "rtx3090", "rtx4090", "apple-m1", "cpu",
]  # fmt: skip


def test_every_device_asked_for_is_there() -> None:
    assert set(ASKED_FOR) <= set(CATALOGUE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_figure_has_its_source(name: str) -> None:
    device = get_device(name)
    assert device.source
    assert device.matmul_source
    assert device.attention_source
    assert device.power_watts is not None or "power not published" in device.source
    assert device.price is None or (device.price.source and len(device.price.date) == len("2025-01"))


@pytest.mark.parametrize(
    ("name", "dense_tflops", "memory_gb", "memory_tb_per_second"),
    [  # Bekman, ML Engineering, compute/accelerator (2025)
        ("a100-80gb", 312, 80, 2.0),
        ("h100-sxm", 989, 80, 3.35),
        ("h200", 989, 141, 4.8),
        ("b200", 2250, 180, 8.0),
        ("mi300x", 1300, 192, 5.3),
        # the vendors' data sheets, sparse figures halved
        ("a6000", 154.8, 48, 0.768),
        ("l4", 121, 24, 0.3),
        ("l40s", 362, 48, 0.864),
        ("h20", 148, 96, 4.0),
        ("gh200", 989, 96, 4.0),
        ("rtx3090", 71, 24, 0.936),
        ("rtx4090", 165.2, 24, 1.008),
        ("rtx5090", 209.5, 32, 1.792),
        ("tpu-v6e", 918, 32, 1.64),
        ("h100-nvl", 835.5, 94, 3.9),
        ("a10g", 70, 24, 0.6),
        ("rtx-pro-6000", 503.8, 96, 1.792),
        ("mi355x", 2516.6, 288, 8.0),
        ("trainium2", 667, 96, 2.9),
        ("gb300", 2500, 278, 8.0),
    ],
)
def test_figures_agree_with_an_independent_table_of_dense_peaks(
    name: str, dense_tflops: float, memory_gb: float, memory_tb_per_second: float
) -> None:
    device = get_device(name)
    assert device.peak("bf16") / 1e12 == pytest.approx(dense_tflops, rel=0.01)
    # A vendor's GB lies between 1e9 and 2^30 bytes a unit; the driver's figure may be a little off either.
    assert 0.99 * memory_gb * 1e9 <= device.memory_bytes <= 1.01 * memory_gb * 2**30
    assert device.memory_bytes_per_second / 1e12 == pytest.approx(memory_tb_per_second, rel=0.03)


def test_wider_numbers_are_never_faster() -> None:
    for device in CATALOGUE.values():
        peaks = device.peak_flops
        for wide, narrow in (("fp32", "tf32"), ("fp32", "fp16"), ("fp32", "bf16"), ("bf16", "fp8")):
            if wide in peaks and narrow in peaks:
                assert peaks[wide] <= peaks[narrow], device.name
        assert device.link_bytes_per_second < device.memory_bytes_per_second


def test_what_nobody_measured_is_taken_from_what_was() -> None:
    measured = [d for d in CATALOGUE.values() if not d.matmul_source.startswith(("not measured", "assumed"))]
    fractions = [device.matmul_fraction for device in measured]
    assert min(fractions) == pytest.approx(0.51, abs=0.01)
    assert max(fractions) == pytest.approx(0.87, abs=0.01)
    assert min(fractions) < UNMEASURED_MATMUL_FRACTION < max(fractions)
    assert CATALOGUE["h100-sxm"].sustained_fraction == UNMEASURED_SUSTAINED_FRACTION
    assert CATALOGUE["a100-80gb"].attention_fraction == UNMEASURED_ATTENTION_FRACTION
