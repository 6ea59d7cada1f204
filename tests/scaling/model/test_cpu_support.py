"""The first kernel that is compiled is told of, and no other."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import numpy as np
from scaling.model.cpu_support import told_of_compilation
from scaling.model.cpu_kernels import swiglu

with told_of_compilation(lambda: print("compiling")):
    for _ in range(2):
        swiglu(np.ones((2, 2, 16), np.float32), np.ones((2, 16), np.float32))
"""


def compiling(cache: Path) -> str:
    """What a process says that computes a kernel with a cache of its own."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_compiling_is_told_once_and_reading_the_cache_is_not(tmp_path: Path) -> None:
    assert compiling(tmp_path) == "compiling\n"
    assert compiling(tmp_path) == ""
