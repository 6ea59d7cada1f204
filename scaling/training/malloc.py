"""The C library's allocator, told to keep what a training step frees for the next one."""

import ctypes
import platform
from functools import cache

# Parameters of mallopt(3), from malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGEST_INT = 2**31 - 1
PAD_BYTES = 2**26
"""What the heap grows by: enough for a small model's step at once."""


@cache
def keep_freed_memory() -> bool:
    """Have this process take all memory from its heap and give none back; whether the C library is one that can.

    glibc by itself maps tensors of some megabytes afresh and returns them at once, and every page is then faulted in
    again in each step.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {M_MMAP_THRESHOLD: 2**30, M_TRIM_THRESHOLD: LARGEST_INT, M_TOP_PAD: PAD_BYTES}
    return all(mallopt(name, value) == 1 for name, value in settings.items())
