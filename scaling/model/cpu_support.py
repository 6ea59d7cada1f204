"""Where a decoder trains through the CPU kernels of `scaling/model/cpu_ops.py`; imports no torch."""

CPU_KERNEL_PRECISIONS = ("32-true", "bf16-master")
"""Precisions in which the kernels train: weights, activations and gradients have one dtype, without autocast."""


def trains_with_cpu_kernels(precision: str, devices: int = 1) -> bool:
    """Whether training on processors goes through the kernels: in one process, in a precision that they support."""
    return devices == 1 and precision in CPU_KERNEL_PRECISIONS
