"""Meters of what a run costs: memory of live tensors, the device's peak rate in matrix products, and its name."""

import platform
import time
import weakref
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from scaling.training.planned import GPU_PROBE_WIDTHS


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch gives the mode no types
    """Counts the bytes of live tensor storages, and their peak, while the mode is on.

    The resident set size does not measure training memory on a CPU, because allocators keep what tensors have freed.
    Storages that exist before the mode is entered are counted if a tensor in `known` has them. Of a sharded tensor,
    this rank's share is counted. FSDP also resizes storages that stay alive, to 0 bytes and back; no operator shows
    that, so `UntypedStorage.resize_` is replaced meanwhile.
    """

    def __init__(self, known: list[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.current = 0
        self.peak = 0
        self._seen: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()
        self._sizes: dict[int, int] = {}
        for tensor in known:
            self._count(tensor)

    def __enter__(self) -> Any:
        self._resize = torch.UntypedStorage.resize_
        meter = self

        def resize(storage: torch.UntypedStorage, size: int) -> Any:
            result = meter._resize(storage, size)
            if storage._cdata in meter._sizes:
                meter._set(storage._cdata, storage.nbytes())
            return result

        torch.UntypedStorage.resize_ = resize  # type: ignore[assignment, method-assign]  # restored at exit
        return super().__enter__()  # type: ignore[no-untyped-call]  # as above

    def __exit__(self, *error: Any) -> None:
        torch.UntypedStorage.resize_ = self._resize  # type: ignore[method-assign]  # as it was before
        super().__exit__(*error)  # type: ignore[no-untyped-call]  # as above

    def _count(self, tensor: torch.Tensor) -> None:
        if isinstance(tensor, DTensor):
            tensor = tensor._local_tensor
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._sizes or storage.device.type == "meta":
            return
        self._set(key, storage.nbytes())
        weakref.finalize(storage, self._release, key)

    def _set(self, key: int, size: int) -> None:
        self.current += size - self._sizes.get(key, 0)
        self._sizes[key] = size
        self.peak = max(self.peak, self.current)

    def _release(self, key: int) -> None:
        self.current -= self._sizes.pop(key)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_iter(result):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf)
        return result


@lru_cache
def matmul_peak(device: str, precision: str, threads: int) -> float:
    """The device's best rate in matrix products, FLOP/s, in a precision and with this many CPU threads.

    The best of several products of square matrices of two sizes; takes a tenth of a second on a CPU core.
    """
    dtype = torch.float32 if precision == "32-true" else torch.bfloat16
    best = 0.0
    sizes = (512, 1024) if device == "cpu" else GPU_PROBE_WIDTHS
    for size in sizes:
        a = torch.randn(size, size, device=device, dtype=dtype)
        for _ in range(4):
            _synchronise(device)
            start = time.perf_counter()
            a @ a
            _synchronise(device)
            best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def _synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    elif device.startswith("mps"):
        torch.mps.synchronize()


def device_name(device: torch.device) -> str:
    """The name that a device's maker gives it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return cpu_name()
    return device.type


@lru_cache
def cpu_name() -> str:
    """The processor's model name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
