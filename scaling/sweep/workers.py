"""Training jobs in worker processes of this machine: as many at once as there are cores, in the order they come.

Two jobs of one thread beat one job of two threads on small models, whose products are too small to share out. A worker
lives for the whole sweep, so that it imports torch and Lightning once and not once a job.

On GPUs, a job also waits for memory (`scaling/sweep/admission.py`). Each has a worker of its own, which sees its own
GPUs alone: only the end of a process gives back all the memory that it held on a GPU.
"""

import logging
import multiprocessing
import os
import signal
import warnings
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import cast

from scaling.config.schema import TrainConfig
from scaling.sweep.admission import Admission, Demand
from scaling.training.signals import INTERRUPTED_AGAIN, PREEMPTED, SIGNALS

log = logging.getLogger(__name__)

EXIT_SECONDS = 30.0
"""Time that a worker has to end by itself, its ranks included, before it is killed."""
PARENT_SECONDS = 1.0
"""How often a worker without a job looks whether the sweep that started it is still there."""


def run_in_workers(
    jobs: Sequence[TrainConfig], count: int, start: str = "spawn", admission: Admission | None = None
) -> list[str | None]:
    """Train each job in one of `count` worker processes; returns why it failed, or None, for each.

    Args:
        jobs: taken in their order. One whose worker dies is tried once more, from its last checkpoint, before any
            other. One that was asked to end is started again, as often as that happens.
        count: most workers at once.
        start: how processes are made; "fork" only where this process holds no device and no threads.
        admission: a job that it does not let start yet waits while later ones do, and one that it never would is
            refused before any starts; None: all may start.

    When this process is itself asked to end, so are its workers, and it waits for their checkpoints.
    """
    everything = Admission(demands=(Demand(),) * len(jobs))
    pool = _Pool(jobs, admission or everything, multiprocessing.get_context(start))
    try:
        while pool.waiting or pool.busy:
            pool.start_jobs(count)
            pool.take_results()
    finally:
        pool.end()
    return pool.results


@dataclass(frozen=True)
class _Worker:
    connection: Connection
    process: BaseProcess

    def end(self) -> None:
        """End a worker that has no job. What it held of a GPU is free when this returns."""
        with suppress(OSError):  # It has ended already.
            self.connection.send(None)
        self.process.join(EXIT_SECONDS)
        self.process.kill()
        self.process.join()
        self.connection.close()


class _Pool:
    """The jobs, each named by its place in their order, and the workers that train them."""

    def __init__(self, jobs: Sequence[TrainConfig], admission: Admission, context: BaseContext) -> None:
        self.jobs, self.admission, self.context = jobs, admission, context
        self.results: list[str | None] = [admission.refusal(job) for job in range(len(jobs))]
        """Why each job failed; None for one that did not, or has not ended."""
        self.waiting = deque(job for job, refusal in enumerate(self.results) if refusal is None)
        self.busy: dict[Connection, tuple[int, _Worker]] = {}
        self.idle: list[_Worker] = []
        self.gpus: dict[int, tuple[int, ...]] = {}
        """The GPUs of each job under way, by their places in `admission`."""
        self.deaths: dict[int, str] = {}
        """For each job whose worker has died, how it did."""
        for config, refusal in zip(jobs, self.results, strict=True):
            if refusal is not None:
                log.error("%s failed: %s", config.name, refusal)

    def start_jobs(self, count: int) -> None:
        """Give jobs to workers until `count` are busy or no waiting job may start now."""
        while len(self.busy) < count and (found := self.admission.first(self.waiting, self.gpus)) is not None:
            job, gpus = found
            self.waiting.remove(job)
            self.gpus[job] = gpus
            worker = self.idle.pop() if self.idle and not gpus else self._start_worker(gpus)
            worker.connection.send((self.jobs[job], self.deaths.get(job)))
            self.busy[worker.connection] = (job, worker)

    def _start_worker(self, gpus: tuple[int, ...]) -> _Worker:
        ours, theirs = self.context.Pipe()
        names = [self.admission.gpus[gpu].name for gpu in gpus]
        # The start method is known by its name alone, so that the type checker does not see the context's `Process`.
        process: BaseProcess = self.context.Process(target=_work, args=(theirs, names), daemon=True)  # type: ignore[attr-defined]
        process.start()
        theirs.close()
        return _Worker(ours, process)

    def take_results(self) -> None:
        """Wait until a job ends, and keep what came of each that has ended."""
        for ready in wait(list(self.busy)):
            job, worker = self.busy.pop(cast("Connection", ready))
            on_gpu = bool(self.gpus.pop(job))
            try:
                reason = worker.connection.recv()
            except EOFError:
                self._take_death(job, worker)
                continue
            if on_gpu:
                worker.end()
            else:
                self.idle.append(worker)
            if reason == PREEMPTED:
                log.warning("%s: asked to end; goes on from its last checkpoint", self.jobs[job].name)
                self.waiting.appendleft(job)
            else:
                self._keep(job, reason)

    def _take_death(self, job: int, worker: _Worker) -> None:
        worker.process.join()
        code = worker.process.exitcode
        how = f"its process died (exit code {code}; -9 is usually out of memory)"
        if job in self.deaths:
            self._keep(job, f"{how}, twice")
            return
        self.deaths[job] = f"{how}; started again"
        log.warning("%s: %s from its last checkpoint", self.jobs[job].name, self.deaths[job])
        self.waiting.appendleft(job)

    def _keep(self, job: int, reason: str | None) -> None:
        self.results[job] = reason
        if reason is not None:
            log.error("%s failed: %s", self.jobs[job].name, reason)

    def end(self) -> None:
        """End all workers. One that trains writes its checkpoint first, unless Ctrl-C is pressed meanwhile.

        Raises:
            KeyboardInterrupt: when it was; all workers are killed by then.
        """
        workers = [*self.idle, *(worker for _, worker in self.busy.values())]
        for worker in workers:
            worker.process.terminate()
            worker.connection.close()
        try:
            for worker in workers:
                while worker.process.is_alive():
                    worker.process.join(timeout=1)
                    # It may have written its checkpoint by now, and wait for another job.
                    worker.process.terminate()
                worker.process.close()
        except KeyboardInterrupt:
            for child in self.context.active_children():
                if any(child is worker.process for worker in workers):
                    child.kill()
            raise KeyboardInterrupt(INTERRUPTED_AGAIN) from None


# --- in a worker ---------------------------------------------------------------------------------------


def _work(connection: Connection, gpu_names: list[str]) -> None:
    """A worker's process: trains the jobs it is sent, until it is sent None or the sweep has ended.

    `gpu_names`: the GPUs that it sees, if not all, as CUDA_VISIBLE_DEVICES names them.
    """
    if gpu_names:  # CUDA reads this once, when torch first asks for a device.
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpu_names)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The sweep decides, and ends its workers.
    for signum in SIGNALS:  # A forked worker has inherited its parent's handlers.
        signal.signal(signum, signal.SIG_DFL)
    sweep = os.getppid()
    while True:
        try:
            while not connection.poll(PARENT_SECONDS):
                if os.getppid() != sweep:
                    return  # The sweep was killed, and a sibling still holds its end of the pipe.
            job = connection.recv()
        except EOFError:
            return
        if job is None:
            return
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning's own, at import
        from scaling.training.retry import attempt  # Imports torch, which must find the GPUs named above.

        result = attempt(*job)
        try:
            connection.send(result)
        except BrokenPipeError:
            return  # The sweep was killed; what was trained is recorded.
