"""Where a decoder trains through the CPU kernels of `scaling/model/cpu_ops.py`; imports no torch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

CPU_KERNEL_PRECISIONS = ("32-true", "bf16-master")
"""Precisions in which the kernels train: weights, activations and gradients have one dtype, without autocast."""


def trains_with_cpu_kernels(precision: str, devices: int = 1) -> bool:
    """Whether training on processors goes through the kernels: in one process, in a precision that they support."""
    return devices == 1 and precision in CPU_KERNEL_PRECISIONS


@contextmanager
def told_of_compilation(tell: Callable[[], None]) -> Iterator[None]:
    """A context that calls `tell` once, as soon as a kernel is compiled because the cache on disk does not hold it.

    Compiling all kernels takes seconds, in which nothing else happens.
    """
    from numba.core import event

    class Listener(event.Listener):
        told = False

        def on_start(self, event: Any) -> None:
            if not self.told:
                self.told = True
                tell()

        def on_end(self, event: Any) -> None:
            """Nothing is told of the end."""

    with event.install_listener("numba:compile", Listener()):
        yield
