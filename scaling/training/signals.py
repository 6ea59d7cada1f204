"""Preemption: a signal that asks a job to end takes effect only after the job has written a checkpoint.

A machine that is about to be taken away sends a signal first: SIGTERM (a shutdown, or Slurm's preemption), SIGUSR1 or
SIGUSR2 (Slurm's warning before a time limit; submitit asks for SIGUSR2). Ctrl-C, which sends SIGINT, is treated alike;
pressed again, it ends the program at once. Before a job's first step there is nothing to keep, and the signal takes
effect as soon as Python sees it. While the job trains, the signal is only noted. After the group of steps under way the
job writes `last.ckpt` and releases its claim. Then the handler that was installed before the job is called:

- submitit's handler puts the job back into the queue; when it starts again, it continues from the checkpoint;
- this program's own handler ends it, with exit status 128 + the signal's number;
- without a handler, as in a worker process, the job ends as `PREEMPTED`, and the sweep launches it again.

Lightning's own handlers would write another checkpoint and requeue a Slurm job themselves; they are replaced.
"""

import os
import signal
import subprocess
import threading
from types import FrameType, TracebackType
from typing import Any, Self

INTERRUPTED = 130
"""Exit status of a program that Ctrl-C ended: 128 + SIGINT."""
INTERRUPTED_AGAIN = "interrupted again: ended at once, without a checkpoint"
"""What a command says that Ctrl-C ended while it still wrote the checkpoint that an earlier one had asked for."""
SHOW_CURSOR = "\x1b[?25h"
"""Makes a terminal show its cursor again, which a progress bar hides."""
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
PREEMPTED = "preempted"
"""Stands in the place of a failure's reason for a job that was asked to end, and that the sweep is to launch again."""


class Preempted(Exception):
    """A job was asked to end, and has written a checkpoint to continue from."""


class Terminated(BaseException):
    """This program was asked to end. Like KeyboardInterrupt, it is not an error that a job could recover from."""

    def __init__(self, signum: int) -> None:
        self.signum = signal.Signals(signum)
        super().__init__(self.signum.name)


def terminate(signum: int, frame: FrameType | None) -> None:
    """A signal handler that unwinds the program, once.

    Raises:
        Terminated: naming the signal.
    """
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # a second signal must not interrupt the unwinding
    raise Terminated(signum)


class HeldSignals:
    """A context that notes signals which ask a job to end; they take effect when it exits."""

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        self._at_once = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if (
            threading.current_thread() is threading.main_thread()
        ):  # Python delivers signals to no other thread
            self._before = {signum: signal.getsignal(signum) for signum in SIGNALS}
            # A worker of a sweep ignores Ctrl-C, which is the sweep's to act on.
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self._before[signal.SIGINT] = signal.default_int_handler
            self.hold()
        return self

    def end_at_once(self) -> None:
        """Let signals take effect at once until `hold` is called, since there is nothing to keep yet.

        Raises:
            Preempted: when a signal has been noted; later, from within the handler of one.
        """
        self._at_once = True
        if self.asked is not None:
            raise Preempted

    def hold(self) -> None:
        """Install the handlers; called again after another library, such as Lightning, has installed its own."""
        self._at_once = False
        for signum in self._before:
            signal.signal(signum, self._note)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        again = self.asked is signal.SIGINT and signum == signal.SIGINT
        self.asked = signal.Signals(signum)
        if again:
            cursor = SHOW_CURSOR if os.isatty(2) else ""
            os.write(2, f"{cursor}{INTERRUPTED_AGAIN}\n".encode())
            os._exit(INTERRUPTED)
        if self._at_once:
            raise Preempted

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
        # A handler that returns leaves the job to its queue, such as Slurm: this process must report no result.
        raise SystemExit(128 + self.asked)


def _handled(signum: signal.Signals) -> signal.Signals | None:
    """The signal whose handler takes care of the one received; None where no handler is installed.

    A queue handles only one of the two user signals; the other one is taken to mean the same. Submitit ignores SIGTERM,
    because Slurm requeues the jobs that it preempts. But Slurm counts a job that ends within its grace time as failed,
    so SIGTERM is passed on as the signal that submitit handles.
    """
    user_signals = (signal.SIGUSR1, signal.SIGUSR2)
    requeues = signum in user_signals or (
        signum == signal.SIGTERM and os.environ.get("SUBMITIT_EXECUTOR") == "slurm" and _slurm_job_runs()
    )
    candidates = [signum] if signum in user_signals else []
    candidates += [*user_signals, signum] if requeues else [signum]
    return next((each for each in candidates if callable(signal.getsignal(each))), None)


def _slurm_job_runs() -> bool:
    """Whether Slurm lists this job as running: it is neither cancelled nor already being requeued."""
    try:
        ask = ["scontrol", "show", "job", "--oneliner", os.environ.get("SLURM_JOB_ID", "")]
        return " JobState=RUNNING " in subprocess.run(ask, capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return False
