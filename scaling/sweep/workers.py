"""A Hydra launcher for one machine: as many jobs at once as there are cores, the largest first.

Two one-thread jobs beat one two-thread job on small models, whose products are too small to share out. Workers
live for the whole sweep, so that torch and Lightning are imported once in each and not once a job.

On GPUs, jobs also wait for memory (`scaling/sweep/admission.py`). Each has a worker of its own, which sees its GPUs
alone: only the end of a process gives back all that it held of one.
"""

import logging
import multiprocessing
import os
import warnings
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from scaling.errors import UserError
from scaling.training.signals import PREEMPTED, SIGNALS

if TYPE_CHECKING:
    from scaling.config.schema import TrainConfig
    from scaling.sweep.admission import Admission, Gpu

log = logging.getLogger(__name__)

EXIT_SECONDS = 30.0
"""Time that a worker has to end by itself, its ranks included, before it is killed."""


class LocalLauncher(Launcher):
    """Runs jobs in worker processes; one that fails or dies is reported and stops none of the others."""

    def __init__(self, workers: int | None = None) -> None:
        """`workers`: most jobs at once; None: the machine's cores over the threads of a job."""
        if workers is not None and not (isinstance(workers, int) and workers >= 1):
            raise UserError(f"hydra.launcher.workers={workers}: must be a whole number, at least 1, or null")
        self.workers = workers

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from scaling.config.schema import load
        from scaling.sweep.gpus import admission, gpus_for

        configs = [self._compose(list(overrides)) for overrides in job_overrides]
        if not configs:
            return []
        jobs = [load(config) for config in configs]
        gpus = gpus_for(jobs[0].trainer.accelerator)
        count = min(self.workers or default_workers(configs[0], gpus), len(jobs))
        results = run_in_workers(jobs, count, admission=admission(jobs, gpus))
        returns = []
        for config, overrides, error in zip(configs, job_overrides, results, strict=True):
            result = JobReturn()
            result.cfg, result.overrides = config, list(overrides)
            result.status = JobStatus.COMPLETED if error is None else JobStatus.FAILED
            result.return_value = error if error is None else RuntimeError(error)
            returns.append(result)
        return returns

    def _compose(self, overrides: list[str]) -> DictConfig:
        """The sweep's config with a job's values set: the overrides of a design only ever set values."""
        config = self.config.copy()
        with open_dict(config):
            del config["hydra"]
        for override in OverridesParser.create().parse_overrides(overrides):
            if not override.is_hydra_override() and override.key_or_group in _leaf_keys(config):
                OmegaConf.update(config, override.key_or_group, override.value())
        return config


def _leaf_keys(config: DictConfig) -> set[str]:
    from scaling.config.overrides import known_keys

    # Group choices such as corpus=text are in the sweep's config already.
    groups = {"model", "corpus", "tokenizer", "optim", "schedule", "trainer", "design", "logger", "hardware"}
    return set(known_keys(config)) - groups


def default_workers(config: DictConfig, gpus: "Sequence[Gpu]" = ()) -> int:
    """Most jobs at once: available cores over threads a job, all its ranks together; on a GPU of unknown memory, one.

    `gpus`: those whose memory is known, by which fewer may be admitted.
    """
    if config.trainer.accelerator in ("gpu", "cuda", "mps") and not gpus:
        return 1
    return max(1, cores() // (config.trainer.devices * (config.trainer.threads or 1)))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_in_workers(
    jobs: "list[TrainConfig]", count: int, start: str = "spawn", admission: "Admission | None" = None
) -> list[str | None]:
    """Train each job in one of `count` worker processes; returns an error message or None for each.

    Jobs are taken in their order; one that `admission` does not let start yet waits while later ones do, and one
    that it never would is refused before any starts. None: all may start.

    A job whose worker dies is tried once more, from its last checkpoint, before any other; one that was asked to end
    is started again as often as that happens. When this process is itself asked to end, so are its workers, and it
    waits for their checkpoints. `start`: how processes are made; "fork" only where this process holds no device and
    no threads.
    """
    from scaling.sweep.admission import Admission, Demand

    admission = admission or Admission(demands=(Demand(),) * len(jobs))
    context: Any = multiprocessing.get_context(start)
    waiting = deque(range(len(jobs)))
    results: list[str | None] = ["not started"] * len(jobs)
    running: dict[int, tuple[int, ...]] = {}  # the GPUs of each job under way
    busy: dict[Connection, tuple[int, Any]] = {}
    idle: list[tuple[Connection, Any]] = []
    notes: dict[int, str] = {}  # jobs whose worker has died, and of what

    def start_worker(gpu_names: list[str]) -> tuple[Connection, Any]:
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, gpu_names), daemon=True)
        process.start()
        theirs.close()
        return ours, process

    for index, config in enumerate(jobs):
        if (reason := admission.refusal(index)) is not None:
            log.error("%s failed: %s", config.name, reason)
            results[index] = reason
            waiting.remove(index)
    try:
        while waiting or busy:
            while len(busy) < count and (found := admission.first(waiting, running)) is not None:
                index, gpus = found
                waiting.remove(index)
                running[index] = gpus
                if idle and not gpus:
                    connection, process = idle.pop()
                else:
                    connection, process = start_worker([admission.gpus[gpu].name for gpu in gpus])
                connection.send((jobs[index], notes.get(index)))
                busy[connection] = (index, process)
            for ready in wait(list(busy)):
                connection = cast("Connection", ready)
                index, process = busy.pop(connection)
                on_gpu = bool(running.pop(index))
                try:
                    results[index] = connection.recv()
                    if on_gpu:
                        _end(connection, process)
                    else:
                        idle.append((connection, process))
                    if results[index] == PREEMPTED:
                        log.warning("%s: asked to end; goes on from its last checkpoint", jobs[index].name)
                        waiting.appendleft(index)
                        continue
                except EOFError:
                    process.join()
                    reason = f"its process died (exit code {process.exitcode}; -9 is usually out of memory)"
                    if index not in notes:
                        notes[index] = f"{reason}; started again"
                        log.warning("%s: %s from its last checkpoint", jobs[index].name, notes[index])
                        waiting.appendleft(index)
                        continue
                    results[index] = f"{reason}, twice"
                if results[index] is not None:
                    log.error("%s failed: %s", jobs[index].name, results[index])
    finally:
        workers = [*idle, *((connection, process) for connection, (_, process) in busy.items())]
        for connection, process in workers:
            process.terminate()  # one that trains writes its checkpoint first
            connection.close()
        for _, process in workers:
            while process.is_alive():
                process.join(timeout=1)
                process.terminate()  # it may have done so by now, and wait for another job
            process.close()
    return results


def _end(connection: Connection, process: Any) -> None:
    """End a worker that has no job: what it held is free when this returns."""
    with suppress(OSError):  # it has ended already
        connection.send(None)
    process.join(EXIT_SECONDS)
    process.kill()
    process.join()
    connection.close()


def _work(connection: Connection, gpu_names: list[str]) -> None:
    """A worker: trains the jobs it is sent until it is sent None or the pipe closes.

    `gpu_names`: the GPUs that it sees, if not all, as CUDA_VISIBLE_DEVICES names them.
    """
    import signal

    if gpu_names:  # before CUDA looks
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpu_names)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the sweep decides; it ends its workers
    for signum in SIGNALS:  # a forked worker has its parent's
        signal.signal(signum, signal.SIG_DFL)
    sweep = os.getppid()
    while True:
        try:
            while not connection.poll(1.0):
                if os.getppid() != sweep:
                    return  # it was killed, and a sibling still holds its end of the pipe
            job = connection.recv()
        except EOFError:
            return
        if job is None:
            return
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning's own, at import
        from scaling.training.retry import attempt

        result = attempt(*job)
        try:
            connection.send(result)
        except BrokenPipeError:
            return  # the sweep was killed; what was trained is recorded
