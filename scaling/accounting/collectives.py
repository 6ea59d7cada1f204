"""Seconds of collective communication: all-gather, reduce-scatter and the all-to-all of experts.

A group of devices is given by how many there are (`ranks`) and by how far apart in the numbering of devices its members
lie (`stride`): tensor-parallel devices are neighbours, so that their stride is 1, and a data-parallel group over
them has the tensor-parallel degree as its stride.
"""

from math import ceil

from scaling.accounting.device import Device

COLLECTIVE_FRACTION = 0.77
"""Bus bandwidth of a large collective over link bandwidth (nccl-tests, 8 x A100 with NVSwitch: 230 of 300 GB/s)."""

COLLECTIVE_SECONDS = 20e-6
"""Start of one collective inside a node (nccl-tests, small messages over 8 devices: 15 to 30 microseconds; NCCL's own
cost model, src/graph/tuning.cc, has 14 and 1.9 for each device more)."""

HOP_SECONDS = 5e-6
"""One more node in the ring of a collective (the same model: 4 over the network, 1 for posting a message)."""

COMMUNICATION_SHARE = 20 / 132
"""Multiprocessors that collectives take from the products they run beside (DeepSeek-V3, arXiv:2412.19437, section
3.2.3: 20 of an H800's 132)."""


def ranks_in_node(device: Device, stride: int) -> int:
    """Members of a group that lie in one node."""
    return max(1, device.node_devices // stride)


def bus_bytes_per_second(device: Device, ranks: int, stride: int) -> float:
    """Bandwidth of a collective.

    Inside a node it is the link's. Across nodes the ring enters and leaves a node through the network adapters of all
    the group's devices there, so it is theirs together, up to the link's.
    """
    in_node = ranks_in_node(device, stride)
    if ranks <= in_node:
        return device.link_bytes_per_second * COLLECTIVE_FRACTION
    together = min(device.link_bytes_per_second, in_node * device.network_bytes_per_second)
    return together * COLLECTIVE_FRACTION


def gather_seconds(device: Device, ranks: int, stride: int, total_bytes: float) -> float:
    """All-gather or reduce-scatter of `total_bytes` over a ring; an all-reduce takes two."""
    if ranks == 1:
        return 0.0
    nodes = ceil(ranks / ranks_in_node(device, stride))
    moved = (ranks - 1) / ranks * total_bytes / bus_bytes_per_second(device, ranks, stride)
    return moved + COLLECTIVE_SECONDS + (nodes - 1) * HOP_SECONDS


def all_to_all_seconds(device: Device, ranks: int, stride: int, held_bytes: float, copies: int) -> float:
    """Sending each token that a device holds to `copies` experts, which are spread over the group.

    A token crosses the network once for each other node it visits, and is handed on inside it (DeepSeek-V3,
    arXiv:2412.19437, section 3.2.2); experts are taken to be chosen at random. Every device uses its own adapter.
    """
    if ranks == 1:
        return 0.0
    in_node = min(ranks, ranks_in_node(device, stride))
    nodes = ceil(ranks / in_node)
    other_nodes = (nodes - 1) * (1 - (1 - 1 / nodes) ** copies)
    across = other_nodes * held_bytes / (device.network_bytes_per_second * COLLECTIVE_FRACTION)
    inside = copies * (1 - 1 / in_node) * held_bytes / (device.link_bytes_per_second * COLLECTIVE_FRACTION)
    return max(across, inside) + COLLECTIVE_SECONDS + (HOP_SECONDS if nodes > 1 else 0.0)
