"""`hardware=auto`: this machine as a device, its products and bandwidth measured in two seconds."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import psutil

from scaling.accounting.catalogue import CATALOGUE
from scaling.accounting.device import Device
from scaling.accounting.roofline import MEMORY_FRACTION

SECONDS_EACH = 0.8
"""How long products, and how long copies, are measured."""
PRODUCT_SIZES = (512, 1024, 2048)
"""Rows, inner size and columns of the float32 products that are tried on a processor."""
GPU_PRODUCT_SIZE = 8192
COPIED_BYTES = 2**28
"""Bytes of an array that is copied: far more than any cache holds."""

DRIVER_NAMES = {
    "V100-SXM2-16GB": "v100-16gb", "V100-SXM2-32GB": "v100", "T4": "t4", "A100-SXM4-40GB": "a100-40gb",
    "A100-SXM4-80GB": "a100-80gb", "A800-SXM4-80GB": "a800", "A10G": "a10g", "RTX A6000": "a6000", "L40S": "l40s",
    "L4": "l4", "H100 NVL": "h100-nvl", "H100 PCIe": "h100-pcie", "H100 80GB HBM3": "h100-sxm", "GH200": "gh200",
    "H200": "h200", "H20": "h20", "GB200": "gb200", "GB300": "gb300", "B200": "b200", "B300": "b300",
    "MI300X": "mi300x", "MI325X": "mi325x", "MI355X": "mi355x", "RTX 3090": "rtx3090", "RTX 4090": "rtx4090",
    "RTX 5090": "rtx5090", "RTX PRO 6000": "rtx-pro-6000",
}  # fmt: skip
"""Part of the name that a driver gives a device → its name in the catalogue; where one is part of another, the longer
stands first."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def this_machine() -> Device:
    """The device that PyTorch would train on: a GPU where there is one, else the processor with all its cores."""
    if find_spec("torch") is not None:
        import torch  # only here, where the user asks for this machine: it takes seconds

        if torch.cuda.is_available():
            return _this_gpu()
    return _this_processor()


def _best_rate(work: Callable[[], None], amount: float) -> float:
    """The largest rate of amount over seconds within the time for it, after one call to warm up."""
    work()
    best, stop = 0.0, time.perf_counter() + SECONDS_EACH
    while time.perf_counter() < stop:
        start = time.perf_counter()
        work()
        best = max(best, amount / (time.perf_counter() - start))
    return best


def _this_processor() -> Device:
    """Its measured best product stands for the peak, since nobody prints one for the machine as it is."""
    flops = 0.0
    for size in PRODUCT_SIZES:
        left, right = np.ones((size, size), np.float32), np.ones((size, size), np.float32)
        out = np.empty_like(left)

        def product(left: np.ndarray = left, right: np.ndarray = right, out: np.ndarray = out) -> None:
            np.matmul(left, right, out=out)

        flops = max(flops, _best_rate(product, 2 * size**3))
    source, target = np.ones(COPIED_BYTES // 4, np.float32), np.empty(COPIED_BYTES // 4, np.float32)
    streamed = _best_rate(lambda: np.copyto(target, source), 2 * COPIED_BYTES)
    return replace(
        CATALOGUE["cpu"],
        name="auto",
        title=f"this machine: {cores()} cores, measured",
        peak_flops={"fp32": flops},
        memory_bytes=float(psutil.virtual_memory().total),
        memory_bytes_per_second=streamed / MEMORY_FRACTION,
        matmul_fraction=1.0,
        matmul_source="the peak is the best product measured here",
        power_watts=None,
        source="products and copies measured on this machine; power not published",
        price=None,
    )


def _this_gpu() -> Device:
    """The catalogue's entry of its name where there is one, with measured rates; else measured rates alone."""
    import torch

    properties = torch.cuda.get_device_properties(0)
    known = next(
        (CATALOGUE[ours] for theirs, ours in DRIVER_NAMES.items() if theirs in properties.name), None
    )
    precision = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    number = torch.bfloat16 if precision == "bf16" else torch.float16
    left = torch.ones(GPU_PRODUCT_SIZE, GPU_PRODUCT_SIZE, dtype=number, device="cuda")

    def product() -> None:
        left @ left
        torch.cuda.synchronize()

    flops = _best_rate(product, 2 * GPU_PRODUCT_SIZE**3)
    source = torch.ones(COPIED_BYTES // 4, device="cuda")
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)
        torch.cuda.synchronize()

    streamed = _best_rate(copy, 2 * COPIED_BYTES)
    measured = f"measured on this machine's {properties.name}"
    if known is not None:
        return replace(
            known,
            name="auto",
            title=f"this machine: {known.title}, measured",
            matmul_fraction=min(1.0, flops / known.peak(precision)),
            matmul_source=measured,
            memory_bytes_per_second=streamed / MEMORY_FRACTION,
            visible_memory_bytes=float(properties.total_memory),
        )
    return replace(
        CATALOGUE["rtx4090"],
        name="auto",
        title=f"this machine: {properties.name}, measured",
        peak_flops={precision: flops},
        memory_bytes=float(properties.total_memory),
        visible_memory_bytes=float(properties.total_memory),
        memory_bytes_per_second=streamed / MEMORY_FRACTION,
        matmul_fraction=1.0,
        matmul_source=measured,
        power_watts=None,
        source=f"{measured}; links assumed PCIe 4.0 x16; power not published",
        price=None,
    )
