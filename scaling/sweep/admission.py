"""Which job may start on which GPU: one whose predicted bytes fit beside those of the jobs that run there now.

Pure arithmetic, so that the launcher that follows it and the plan that foretells it cannot differ.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scaling.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU as the jobs of a sweep find it."""

    name: str
    """How CUDA_VISIBLE_DEVICES names it."""
    room_bytes: int
    """Memory that the jobs may take together."""
    shareable: bool = True
    """Whether it computes for several processes at once."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What a job takes while it runs."""

    gpus: int = 0
    """GPUs at once; 0: none whose memory is watched, as on a processor."""
    bytes_each: int = 0
    """Most bytes on each of them."""
    alone: bool = False
    """Whether it has its GPUs to itself."""


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The GPUs of a machine and the jobs that are to run there, each named by its place in `demands`.

    `running` in what follows says which of the jobs run now, and on which GPUs, by their places in `gpus`.
    """

    demands: tuple[Demand, ...]
    gpus: tuple[Gpu, ...] = ()

    def first(
        self, waiting: Iterable[int], running: Mapping[int, Sequence[int]]
    ) -> tuple[int, tuple[int, ...]] | None:
        """The first of the waiting jobs that fits now, and its GPUs; None: none does.

        A job that does not fit holds up none behind it, and is the first to be asked again.
        """
        for job in waiting:
            if (places := self.places(job, running)) is not None:
                return job, places
        return None

    def places(self, job: int, running: Mapping[int, Sequence[int]]) -> tuple[int, ...] | None:
        """The GPUs for a job, those with most room, so that jobs spread; None: it does not fit now."""
        free = self.free_bytes(running)
        fit = [
            gpu
            for gpu in range(len(self.gpus))
            if max(self.demands[job].bytes_each, self._claimed_bytes(job, gpu)) <= free[gpu]
        ]
        fit.sort(key=lambda gpu: -free[gpu])
        wanted = self.demands[job].gpus
        return tuple(fit[:wanted]) if len(fit) >= wanted else None

    def free_bytes(self, running: Mapping[int, Sequence[int]]) -> list[int]:
        """What the running jobs leave of each GPU's room."""
        free = [gpu.room_bytes for gpu in self.gpus]
        for job, places in running.items():
            for gpu in places:
                free[gpu] -= self._claimed_bytes(job, gpu)
        return free

    def refusal(self, job: int) -> str | None:
        """Why a job would not fit even if no other ran; None: it would."""
        if self.places(job, {}) is not None:
            return None
        demand = self.demands[job]
        rooms = ", ".join(f"{gpu.room_bytes / 2**20:,.0f}" for gpu in self.gpus)
        where = "on a GPU" if demand.gpus == 1 else f"on each of {demand.gpus} GPUs"
        return (
            f"needs {demand.bytes_each / 2**20:,.0f} MiB {where}, and those here have {rooms}; "
            "set a smaller trainer.micro_batch_tokens or trainer.devices"
        )

    def _claimed_bytes(self, job: int, gpu: int) -> int:
        return self.gpus[gpu].room_bytes if self.demands[job].alone else self.demands[job].bytes_each


def run_through(admission: Admission, seconds: Sequence[float], workers: int) -> tuple[float, int]:
    """When the last job ends, and how many run at once at most, if each starts as soon as it may.

    Args:
        admission: the jobs, in the order in which they are taken.
        seconds: how long each takes, whatever runs beside it.
        workers: most jobs at once.

    Raises:
        UserError: for a job that never fits.
    """
    waiting = list(range(len(seconds)))
    running: dict[int, tuple[int, ...]] = {}
    ends: list[tuple[float, int]] = []
    now, most = 0.0, 0
    while waiting or running:
        while len(running) < workers and (found := admission.first(waiting, running)) is not None:
            job, running[found[0]] = found
            waiting.remove(job)
            heapq.heappush(ends, (now + seconds[job], job))
        if not running:
            raise UserError(admission.refusal(waiting[0]))
        most = max(most, len(running))
        now, ended = heapq.heappop(ends)
        del running[ended]
    return now, most
