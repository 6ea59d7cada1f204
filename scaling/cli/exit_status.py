"""How a command ends: what the user is told of its outcome, and the exit status.

  0    the command did what it was asked to do, or the reader of its output, such as `head`, wants no more of it
  1    a bug, shown with its traceback; or training that failed
  2    a mistake in what the user gave: one line that begins with "error:"
  128+N  the command was ended by signal N; 130 is Ctrl-C

Plain commands and Hydra apps end here alike. What else a Hydra app may end with is in `scaling.cli.hydra_app`.
"""

import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from analysis.refusals import Refusal

TRACEBACK = "SCALING_TRACEBACK"
"""Environment variable: 1 shows the traceback of a user's mistake. A Hydra app sets it to what the user set
HYDRA_FULL_ERROR to, which it then sets for its own purpose; processes that it starts inherit both."""
BUG = "this is a bug in scaling, not in what you typed; please report it with the lines above"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of writing that name no file."""


@dataclass(frozen=True)
class Ending:
    """How a command ends other than by returning."""

    line: str
    """One line for standard error; empty: nothing is said."""
    status: int
    """Exit status of the process."""


def plain_ending(error: BaseException) -> Ending | None:
    """How an exception ends a plain command; None: the exception is a bug."""
    match error:
        case KeyboardInterrupt():
            return Ending("interrupted", 130)
        case BrokenPipeError():
            return Ending("", 0)
        case Refusal():
            return Ending(f"error: {' '.join(str(error).split())}", 2)
        case OSError() if error.filename or error.errno in DISK_FULL:
            where = f"{error.filename}: " if error.filename else ""
            return Ending(f"error: {where}cannot be read or written ({error.strerror})", 2)
    return None


@contextmanager
def exit_with_status(ending_of: Callable[[BaseException], Ending | None] = plain_ending) -> Iterator[None]:
    """A context that turns every exception raised in it into a message on standard error and an exit status.

    Raises:
        SystemExit: in the place of any other exception.
    """
    try:
        yield
        if sys.stdout is not None:  # Without standard output (`>&-`), Python has no file for it.
            sys.stdout.flush()  # inside, so that a reader that went away is noticed here
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # rich ends the program with status 1 then
            raise SystemExit(0) from stop
        raise
    except BaseException as error:
        ending = ending_of(error)
        if ending is None:
            traceback.print_exception(error)
            ending = Ending(BUG, 1)
        if isinstance(error, BrokenPipeError):
            _discard_output()
        leave(ending, error)


def leave(ending: Ending, error: BaseException) -> NoReturn:
    """End the program; a user's mistake ends it with its traceback where that is asked for."""
    if ending.status == 2 and os.environ.get(TRACEBACK, os.environ.get("HYDRA_FULL_ERROR")) == "1":
        raise error
    if ending.line:
        print(ending.line, file=sys.stderr)
    raise SystemExit(ending.status) from error


def _discard_output() -> None:
    # Python writes what is left in the buffer when it ends, and would report the broken pipe once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
