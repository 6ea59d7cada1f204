"""What a command says on standard error beside its answer: what it is at, and what the user may do next."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.records.folder import FIT, FITTED_STUDY, MODEL

if TYPE_CHECKING:  # main, which must start at once, needs none of what records import
    from scaling.records.records import RunRecord


def say(what: str) -> None:
    """Tell the user of a terminal what the command is at, before it takes its time."""
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"{what} …", file=sys.stderr, flush=True)


def after_train(folder: Path, records: Sequence[RunRecord]) -> None:
    """The next step after a training job: text from its model, where it was kept."""
    last = folder / records[-1].run_id
    if (last / MODEL).is_file():
        where = folder if len(records) == 1 else last
        _print(f"scaling sample {where} prompt='Once upon a time'")
    else:
        _print("scaling sweep experiment=quickstart --dry-run")


def after_fit(folder: Path) -> None:
    """The next step after a fit whose law was written into a folder: what it would train with more compute."""
    if any((folder / name).is_file() for name in (FITTED_STUDY, f"{FIT}/{FITTED_STUDY}")):
        _print(f"scaling budget solve law={folder} flops=1e18")


def _print(command: str) -> None:
    if sys.stderr is not None:
        print(f"next: {command}", file=sys.stderr)
