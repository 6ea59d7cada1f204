"""Checkpoints of a training job.

`trunk.ckpt` holds the state where the last branch left the trunk; `last.ckpt` holds the state of a job that was
interrupted or saved on the way. Both are Lightning checkpoints, sealed with the job's fingerprint and the position of
the state, so that a damaged one, or one of another job, is found before anything of it is loaded.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from scaling.errors import UserError
from scaling.records.files import Damaged, move_into_place, seal, seal_label, set_aside
from scaling.records.folder import CHECKPOINT, PART, TRUNK
from scaling.training.job import Job
from scaling.training.module import Pretraining
from scaling.training.segments import end_position, segment_at

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that is undamaged and belongs to the job."""

    path: Path
    position: int
    """Steps that the job had taken."""


class InPlaceIO(TorchCheckpointIO):
    """Writes a checkpoint directly to the path that is asked for.

    Lightning's own class first makes a copy in memory and one in the system's temporary folder, where a process that is
    killed leaves it.
    """

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        with Path(path).open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # torch raises it in the place of the OSError that says why
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise


def save(trainer: L.Trainer, job: Job, module: Pretraining, name: str) -> None:
    """Write a checkpoint whole or not at all; every rank calls it."""
    target = job.folder / name
    temporary = target.with_name(f".{name}{PART}")
    try:
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            seal(temporary, f"{job.fingerprint} {module.position}")
            move_into_place(temporary, target)
    except (OSError, RuntimeError) as error:  # such as a full disk, which half a checkpoint would keep full
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # an error of writing to an open file
            error.filename = str(target)
        raise


def find(job: Job, module: Pretraining) -> Path | None:
    """The checkpoint to go on from, or None for the start. Damaged ones are set aside, with a warning.

    `last.ckpt` comes first, since it is further on than the trunk. It is of no use in a branch that has been recorded
    since, nor in one that more runs follow while there is no trunk to go back to. Neither checkpoint is of use past the
    end of a branch that is to be trained again.

    Raises:
        UserError: for a checkpoint of another config.
    """
    trunk = _checked(job, TRUNK, "the start")
    last = _checked(job, CHECKPOINT, "the trunk" if trunk else "the start")
    for found in (last, trunk):
        if found is None or _passes_a_branch_to_train(module, found.position):
            continue
        if found is last:
            segment, _ = segment_at(module.segments, last.position)
            more = module.next_to_train(end_position(module.segments, segment)) < module.total_steps
            if segment.run is not None and (not module.to_train[last.position] or (more and trunk is None)):
                continue
        return found.path
    return None


def _passes_a_branch_to_train(module: Pretraining, position: int) -> bool:
    ends = [end_position(module.segments, segment) for segment in module.segments if segment.run is not None]
    return any(end <= position and module.to_train[end - 1] for end in ends)


def _checked(job: Job, name: str, otherwise: str) -> Checkpoint | None:
    """The checkpoint of a name, or None. `otherwise`: where the job goes on if it is damaged, for the warning."""
    path = job.folder / name
    if not path.is_file():
        return None
    try:
        fingerprint, _, position = seal_label(path).rpartition(" ")
    except Damaged as error:
        aside = set_aside(path)
        log.warning("%s; set aside as %s, going on from %s", error, aside.name, otherwise)
        return None
    if fingerprint != job.fingerprint:
        raise UserError(
            f"{path}: a checkpoint of another config; set the config back, choose another name=, or delete that file"
        )
    return Checkpoint(path, int(position))
