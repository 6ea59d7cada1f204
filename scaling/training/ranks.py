"""One run on several devices of a machine: a process for each, its rank, started and watched from here.

The process that was asked for the run holds its claim, starts the ranks, and passes on what the first one reports.
Signals are its own affair: ranks never see them; that the run is asked to end it tells the first, and all ranks end at
their next look (`scaling/training/cadence.py`), once there is a checkpoint.
When one rank fails or dies, the others are ended; when this process dies, so do they: each holds one end of a pipe.
They are started here and not by Lightning, which would start the user's own command once a rank: a sweep in a sweep.
Ranks that are done wait for the next run, as a sweep's workers do, so that torch is imported once in each.
"""

import atexit
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from scaling.accounting.this_machine import cores
from scaling.config.schema import TrainConfig, TrainerConfig
from scaling.errors import UserError
from scaling.records.claims import check_held
from scaling.training.job import job_of
from scaling.training.signals import PREEMPTED, SIGNALS, HeldSignals, Preempted

GRACE_SECONDS = 1.0
"""A rank's death ends others with errors of their own; for so long after the first error a death is waited for."""
KILL_SECONDS = 5.0
"""Time that ranks have to end once they are told to."""
POLL_SECONDS = 0.1
"""Time between two looks at whether the run is asked to end."""
LOOPBACK = "lo"
"""Network interface by which ranks of one machine meet, where there is one of that name."""


Rank = tuple[Connection, "subprocess.Popen[bytes]"]
_idle: dict[tuple[int, int], list[Rank]] = {}  # by how many they are, and their threads


class RankDied(RuntimeError):
    """A rank ended without a word, as when it is killed."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a rank is told."""

    config: TrainConfig
    rank: int
    meeting_point: str
    """A file by which the ranks find one another."""
    recorded: list[int]
    """Runs of the job that are recorded already."""
    resume_from: Path | None
    claim: Path
    """The claim's file, at which the first rank looks before it keeps anything."""
    claim_content: bytes
    retried: str | None


def train(tasks: list[Task], report: Callable[[Any], None] | None, signals: HeldSignals) -> None:
    """Train a job in one process for each task, the first of which reports.

    `signals`: tells whether the job was asked to end.

    Raises:
        Preempted: when it was, and its checkpoint is there.
        RankDied: when a rank is killed.
        What a rank raised first, with its traceback as a note.
    """
    kind = (len(tasks), _threads(tasks[0].config.trainer))
    ranks = _idle.pop(kind, [])
    end_idle()
    try:
        for task in tasks[len(ranks) :]:
            ranks.append(_start(*kind, task.rank))
        for (connection, _), task in zip(ranks, tasks, strict=True):
            connection.send(task)
        finished = _watch(ranks, report, signals)
    except BaseException:
        _end(ranks)
        raise
    _idle[kind] = ranks
    if not finished:
        raise Preempted


def end_idle() -> None:
    """End the ranks that wait for another run."""
    while _idle:
        _end(_idle.popitem()[1])


atexit.register(end_idle)
if hasattr(os, "register_at_fork"):  # they are the parent's
    os.register_at_fork(after_in_child=_idle.clear)


def tasks_for(config: TrainConfig, folder: Path, **facts: Any) -> list[Task]:
    """A task for each device. `folder`: where the ranks meet."""
    point = str(folder / "meeting-point")
    return [
        Task(config=config, rank=rank, meeting_point=point, **facts) for rank in range(config.trainer.devices)
    ]


def _threads(trainer: TrainerConfig) -> int:
    return trainer.threads or max(1, cores() // trainer.devices)


def _start(ranks: int, threads: int, rank: int) -> Rank:
    environment = {
        **os.environ,
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
        "OMP_NUM_THREADS": str(threads),
    }
    if any(name == LOOPBACK for _, name in socket.if_nameindex()):
        environment.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK)
    ours, theirs = Pipe()
    with theirs:
        command = [
            sys.executable,
            "-P",
            "-c",
            f"from scaling.training.ranks import main; main({theirs.fileno()})",
        ]
        # What is blocked here is so in the rank, for good: a terminal and Slurm send their signals to it as well.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, *SIGNALS])
        try:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return ours, process


def _watch(ranks: list[Rank], report: Callable[[Any], None] | None, signals: HeldSignals) -> bool:
    """Pass on what ranks say until all are done, and tell the first one when the run is asked to end.

    Returns whether the run is finished; raises what the first failure was.
    """
    talking = {connection: rank for rank, (connection, _) in enumerate(ranks)}
    failure: Exception | None = None
    deadline: float | None = None
    told, finished = False, True
    while talking and (deadline is None or time.monotonic() < deadline):
        if signals.asked is not None and not told:
            told = True
            with suppress(OSError):  # it has died, which shows below
                ranks[0][0].send(signals.asked)
        for connection in wait(list(talking), POLL_SECONDS):
            assert isinstance(connection, Connection)
            rank = talking[connection]
            try:
                kind, what = connection.recv()
            except (EOFError, ConnectionResetError):
                process = ranks[rank][1]
                process.wait()
                raise RankDied(
                    f"rank {rank} of {len(ranks)} died (exit code {process.returncode}; -9 is usually out of memory)"
                ) from failure
            if kind == "progress":
                if report is not None:
                    report(what)
                continue
            del talking[connection]
            finished = finished and kind == "done"
            if kind == "failed" and failure is None:
                failure, deadline = what, time.monotonic() + GRACE_SECONDS
    if failure is not None:
        raise failure
    return finished


def _end(ranks: list[Rank]) -> None:
    for connection, _ in ranks:
        connection.close()  # which ends a rank that is still there
    deadline = time.monotonic() + KILL_SECONDS
    for _, process in ranks:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# --- in a rank -----------------------------------------------------------------------------------------


def main(descriptor: int) -> None:
    """A rank's process: trains the tasks it is sent, and ends when the other end of the pipe is closed."""
    connection = Connection(descriptor)
    tasks: queue.Queue[tuple[Task, HeldSignals]] = queue.Queue()
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
    while True:
        task, signals = tasks.get()
        try:
            outcome = _train(task, signals, connection)
        except Exception as error:
            connection.send(("failed", _sendable(error, task.rank)))
        else:
            connection.send((outcome, None))


def _receive(connection: Connection, tasks: "queue.Queue[tuple[Task, HeldSignals]]") -> None:
    """Take in tasks, and signals that ask the latest one to end.

    Ends this process, whatever it is at, once nobody holds the other end of its pipe.
    """
    signals = HeldSignals()
    try:
        while True:
            received = connection.recv()
            if isinstance(received, Task):
                signals = HeldSignals()  # holds none back: none arrives but by this pipe
                tasks.put((received, signals))
            else:
                signals.asked = received
    except (EOFError, OSError):
        os._exit(1)


def _train(task: Task, signals: HeldSignals, connection: Connection) -> str:
    """Train a task; returns what it came to, done or preempted."""
    import torch  # The parent of the ranks, which imports this module too, may train nothing itself.

    from scaling.training.fit import fit

    config = task.config
    on_gpu = config.trainer.accelerator in ("gpu", "cuda")
    if on_gpu:
        torch.cuda.set_device(task.rank)
    torch.distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=f"file://{task.meeting_point}",
        rank=task.rank,
        world_size=config.trainer.devices,
        device_id=torch.device("cuda", task.rank) if on_gpu else None,
    )
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    job = job_of(config)
    first = task.rank == 0
    outcome = "done"
    try:
        fit(
            job,
            task.recorded,
            task.resume_from,
            report=(lambda progress: connection.send(("progress", progress))) if first else None,
            retried=task.retried,
            check=(lambda: check_held(task.claim, task.claim_content)) if first else None,
            signals=signals,
        )
    except Preempted:
        outcome = PREEMPTED
    torch.distributed.destroy_process_group()
    return outcome


def _sendable(error: Exception, rank: int) -> Exception:
    """An error as it can be sent, with its traceback as a note."""
    import torch

    # Others may hold what cannot be sent.
    plain = type(error) in (UserError, RuntimeError, MemoryError, torch.OutOfMemoryError)
    sendable = (
        error if plain or isinstance(error, OSError) else RuntimeError(f"{type(error).__name__}: {error}")
    )
    sendable.add_note(f"in rank {rank}:\n{''.join(traceback.format_exception(error))}")
    return sendable
