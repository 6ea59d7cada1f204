"""Settings of glibc's allocator: memory that a training step frees stays with the process for the next step."""

import ctypes
import platform
from functools import cache

# Parameters of mallopt(3), from malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGEST_INT = 2**31 - 1
PAD_BYTES = 2**26
"""Bytes by which the heap grows at once: enough for a step of a small model."""


@cache
def keep_freed_memory() -> bool:
    """Make this process allocate all memory from its heap and return none of it; False where that is not glibc's heap.

    By default glibc maps tensors of several megabytes separately and unmaps them as soon as they are freed. Each step
    then spends time on page faults, as the kernel hands out the same pages again.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {M_MMAP_THRESHOLD: 2**30, M_TRIM_THRESHOLD: LARGEST_INT, M_TOP_PAD: PAD_BYTES}
    return all(mallopt(name, value) == 1 for name, value in settings.items())
