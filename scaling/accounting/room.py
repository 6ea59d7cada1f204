"""How much of a device's memory a program can use, and whether a peak leaves enough of it over."""

from typing import Literal

from scaling.accounting.device import Device

VISIBLE_SHARE = 0.985
"""Memory that PyTorch sees over what the label says, where nobody has reported it: the driver keeps the rest. Reported
in out-of-memory messages (`total capacity`): 23.64 of 24 GiB on an RTX 4090 (ali-vilab/VGen#104), 14.75 of 15 GiB on a
T4 (hpcaitech/Open-Sora#697), 79.11 of 79.65 GiB on an H100 (vllm-project/vllm#27508): .983 to .993."""
CONTEXT_BYTES = 0.5 * 2**30
"""The CUDA context of a process, which is in no tensor: 14.56 GiB in use by a process whose allocator had reserved
14.07 GiB (3DTopia/Phidias-Diffusion#8)."""
RESERVE = 0.10
"""Share of an estimated peak that is kept free beyond it. Of the published peaks in `benchmarks/budget_memory.py` the
one furthest above its estimate is 9 % above it, so that none of them runs out of memory in what this leaves."""

Room = Literal["fits", "tight", "no"]
"""`fits`: the peak and the reserve are in reach; `tight`: the peak alone is, and an estimate this near to the limit may
be wrong; `no`: not even the peak is."""


def usable_bytes(device: Device) -> float:
    """Bytes that tensors and their allocator can have on a device; of a machine's own memory, all of it."""
    if device.shares_host_memory:
        return device.memory_bytes
    visible = device.visible_memory_bytes or VISIBLE_SHARE * device.memory_bytes
    return visible - CONTEXT_BYTES


def room_for(peak_memory_bytes: float, device: Device) -> Room:
    """Whether a peak fits on a device, with `RESERVE` of it to spare or without."""
    usable = usable_bytes(device)
    if peak_memory_bytes * (1 + RESERVE) <= usable:
        return "fits"
    return "tight" if peak_memory_bytes <= usable else "no"
