"""Freed memory stays with the process, so that a step does not fault its pages in again."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import torch
from scaling.training.malloc import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def allocate():
    for _ in range(15):
        torch.ones(10**7)  # 40 MB: more than glibc ever takes from its heap by itself
allocate()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
allocate()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_was_freed_is_not_faulted_in_again() -> None:
    faults = {
        how: int(subprocess.run([sys.executable, "-c", PROGRAM, how], check=True, capture_output=True).stdout)
        for how in ("kept", "default")
    }
    assert faults["kept"] < faults["default"] / 4, faults
