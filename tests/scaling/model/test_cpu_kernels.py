"""What the kernels compute does not depend on which process compiled them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

KERNELS = """
import hashlib
import numpy as np
import torch
from scaling.model import cpu_kernels

random = torch.Generator().manual_seed(0)

def bf16(*shape):
    return torch.randn(*shape, generator=random).bfloat16().view(torch.uint16).numpy().copy()

def shown(*arrays):
    print(*(hashlib.sha256(array.tobytes()).hexdigest() for array in arrays))

x, u, inverse = bf16(64, 32), bf16(64, 32), np.zeros(64, np.float32)
cpu_kernels.norm(x, np.ones(32, np.float32), 1e-6, u, inverse)
shown(u, inverse)
H, S, B, T = 4, 8, 2, 64
qkv, output, softmax = bf16(3 * H * S, B, T), bf16(H * S, B, T), np.zeros((2, H, B, T), np.float32)
angles = [f(np.arange(4 * T).reshape(4, T)).astype(np.float32) for f in (np.cos, np.sin)]
gains = np.ones(S, np.float32)
cpu_kernels.attention(qkv, *angles, gains, gains, 1e-6, output, softmax)
shown(output, softmax)
dqkv, dgains = np.zeros_like(qkv), np.zeros((2, S), np.float32)
cpu_kernels.attention_backward(
    bf16(H * S, B, T), qkv, *angles, gains, gains, 1e-6, output, softmax, dqkv, dgains[0], dgains[1]
)
shown(dqkv, dgains)
gate_up, hidden = bf16(64, 2, 32), bf16(64, 32)
cpu_kernels.swiglu(gate_up, hidden)
cpu_kernels.swiglu_backward(gate_up, bf16(64, 32))
shown(hidden, gate_up)
logits = bf16(64, 256)
print(cpu_kernels.cross_entropy(logits, np.arange(64)).hex())
shown(logits)
"""


@pytest.mark.slow
def test_a_process_that_compiles_computes_what_later_ones_compute(tmp_path: Path) -> None:
    """To the last bit: a job that goes on in another process must go on as if it had never stopped."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", KERNELS]
    said = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert any(tmp_path.rglob("*.nbc")), "the first process has left nothing for the second"
    assert said[0] == said[1]
