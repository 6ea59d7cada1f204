"""When a job under way looks at its losses, keeps where it stands, or ends early: by the clock, or as it is asked to.

A single process asks after every step. Several could not: their clocks differ, and a rank that waits in a collective
for one that goes on waits for ever. There the first rank says at each look, by its clock, after which step the next
one is, whether to save now, and whether it was asked to end; nothing is exchanged here in between.
"""

import time
from collections.abc import Callable

import lightning as L

LARGEST_GROWTH = 4
"""Steps to the next look over those since the last one, at most: the speed is not known well at the start."""


class Looks:
    """The times of looks and checkpoints of a job under way."""

    def __init__(
        self,
        trainer: L.Trainer,
        position: int,
        every_seconds: float,
        save_every_seconds: float | None,
        asked_to_end: Callable[[], bool],
    ) -> None:
        """`position`: steps of the job before the first one now; times are in seconds, None is never.

        `asked_to_end`: whether this process was; of several ranks the first one decides.
        """
        self.every, self.save_every, self._asked = every_seconds, save_every_seconds, asked_to_end
        self._strategy, self._ranks = trainer.strategy, trainer.world_size
        self.flushed = self.saved = 0.0
        # What several ranks agreed on: positions of the last look and the next, and what to do at the last.
        self._last = self._next = 0
        self._save = self._end = False
        self.rest(position)

    def due(self, position: int) -> bool:
        """Whether to look after the step that ended at a position of the job."""
        if self._ranks > 1:
            return position >= self._next
        return time.monotonic() - self.flushed >= self.every

    def save_due(self, looked: bool) -> bool:
        """Whether to keep where the job stands. `looked`: whether this step ended with a look."""
        return self._time_to_save() if self._ranks == 1 else looked and self._save

    def end_due(self, looked: bool) -> bool:
        """Whether the job is to end after this step. `looked`: whether it ended with a look."""
        return self._asked() if self._ranks == 1 else looked and self._end

    def _time_to_save(self) -> bool:
        return self.save_every is not None and time.monotonic() - self.saved >= self.save_every

    def looked(self, position: int) -> float:
        """Note a look; returns the seconds since the last one. All ranks call it after the same step."""
        now = time.monotonic()
        seconds, self.flushed = now - self.flushed, now
        if self._ranks > 1:
            steps = max(1, position - self._last)
            wanted = steps * self.every / seconds if seconds else steps
            ahead = max(1, min(round(wanted), LARGEST_GROWTH * steps))
            said = (position + ahead, self._time_to_save(), self._asked())
            self._last, (self._next, self._save, self._end) = position, self._strategy.broadcast(said)
        return seconds

    def rest(self, position: int) -> None:
        """Begin a new stretch at a position: what lies between two segments is no training time."""
        self.flushed = self.saved = time.monotonic()
        self._last, self._next = position, position + 1
