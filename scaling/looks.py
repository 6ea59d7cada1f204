"""When a job under way looks at its losses and keeps where it stands: by the clock, and on all ranks after one step.

A single process asks its clock after every step. Several could not: their clocks differ, and a rank that waits in a
collective for one that goes on waits for ever. There the first rank says at each look, by its clock, after which step
the next one is, and whether to save now; nothing is exchanged in between.
"""

import time

import lightning as L

LARGEST_GROWTH = 4
"""Steps to the next look over those since the last one, at most: the speed is not known well at the start."""


class Looks:
    """The times of looks and checkpoints of a job under way."""

    def __init__(
        self, trainer: L.Trainer, position: int, every_seconds: float, save_every_seconds: float | None
    ) -> None:
        """`position`: steps of the job before the first one now; times are in seconds, None is never."""
        self.every, self.save_every = every_seconds, save_every_seconds
        self._strategy, self._ranks = trainer.strategy, trainer.world_size
        self.flushed = self.saved = 0.0
        self._last = self._next = 0  # positions of the last look and the next, of several ranks
        self.rest(position)

    def due(self, position: int) -> bool:
        """Whether to look after the step that ended at a position of the job."""
        if self._ranks > 1:
            return position >= self._next
        return time.monotonic() - self.flushed >= self.every

    def save_due(self, looked: bool) -> bool:
        """Whether to keep where the job stands. `looked`: whether this step ended with a look."""
        if self.save_every is None or (self._ranks > 1 and not looked):
            return False
        due = time.monotonic() - self.saved >= self.save_every
        return due if self._ranks == 1 else self._strategy.broadcast(due)

    def looked(self, position: int) -> float:
        """Note a look; returns the seconds since the last one. All ranks call it after the same step."""
        now = time.monotonic()
        seconds, self.flushed = now - self.flushed, now
        if self._ranks > 1:
            steps = max(1, position - self._last)
            wanted = steps * self.every / seconds if seconds else steps
            ahead = max(1, min(round(wanted), LARGEST_GROWTH * steps))
            self._last, self._next = position, self._strategy.broadcast(position + ahead)
        return seconds

    def rest(self, position: int) -> None:
        """Begin a new stretch at a position: what lies between two segments is no training time."""
        self.flushed = self.saved = time.monotonic()
        self._last, self._next = position, position + 1
