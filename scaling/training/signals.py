"""Preemption: a signal that asks a run to end takes effect once the run has a checkpoint.

Whoever takes a machine away warns first: SIGTERM (a shutdown, Slurm's preemption), SIGUSR1 or SIGUSR2 (Slurm's warning
before a time limit; submitit asks for USR2). While a job trains the signal is only noted; after the steps under way the
job writes `last.ckpt` and gives its claim back, and only then is the signal handled, by whoever did so before:

- submitit's handler puts the job back into the queue, where it goes on from the checkpoint when it starts again;
- this program's own ends it, with exit status 128 + the signal's number;
- where nobody handles it, as in a worker process, the job ends as `PREEMPTED` and the sweep launches it again.

Lightning's own handlers, which would write another checkpoint and requeue a Slurm job themselves, are put aside.
"""

import os
import signal
import subprocess
import threading
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
PREEMPTED = "preempted"
"""What a job ends as that is to be launched again, in the place of a reason."""


class Preempted(Exception):
    """A job was asked to end, and has kept where it stands."""


class Terminated(BaseException):
    """This program was asked to end. Like KeyboardInterrupt, it is no error that a job could recover from."""

    def __init__(self, signum: int) -> None:
        self.signum = signal.Signals(signum)
        super().__init__(self.signum.name)


def terminate(signum: int, frame: FrameType | None) -> None:
    """A signal handler that unwinds the program, once.

    Raises:
        Terminated: naming the signal.
    """
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # it is ending: nothing may interrupt that
    raise Terminated(signum)


class HeldSignals:
    """A context in which signals that ask a job to end are held back; they take effect at its exit."""

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other thread is given signals
            self._before = {signum: signal.getsignal(signum) for signum in SIGNALS}
            self.hold()
        return self

    def hold(self) -> None:
        """Put the handlers in place; again, after someone has put others there."""
        for signum in self._before:
            signal.signal(signum, self._note)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.asked = signal.Signals(signum)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        if self.asked is None:
            return
        handled = _handled(self.asked)
        if handled is None:
            if error is None:
                raise Preempted
            return
        signal.raise_signal(handled)
        # A handler that returns leaves it to others, such as Slurm: what this job came to is not for it to say.
        raise SystemExit(128 + self.asked)


def _handled(signum: signal.Signals) -> signal.Signals | None:
    """The signal to raise so that someone takes care of it; None where nobody listens.

    A queue listens to one of the two user signals; the other one then means the same. Submitit ignores SIGTERM, since
    Slurm is to requeue what it preempts; but a job that ends within its grace time Slurm takes for failed.
    """
    user_signals = (signal.SIGUSR1, signal.SIGUSR2)
    requeues = signum in user_signals or (
        os.environ.get("SUBMITIT_EXECUTOR") == "slurm" and _slurm_job_runs()
    )
    candidates = [signum] if signum in user_signals else []
    candidates += [*user_signals, signum] if requeues else [signum]
    return next((each for each in candidates if callable(signal.getsignal(each))), None)


def _slurm_job_runs() -> bool:
    """Whether Slurm has this job as running: neither cancelled nor on its way back into the queue."""
    try:
        ask = ["scontrol", "show", "job", "--oneliner", os.environ.get("SLURM_JOB_ID", "")]
        return " JobState=RUNNING " in subprocess.run(ask, capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return False
