"""When a running job logs, writes a checkpoint, or ends early: by the clock, or because a signal asked for it.

A single process decides after every group of steps. Several ranks cannot decide by their own clocks: these differ, and
a rank that enters a collective operation which another one skips waits for ever. Whenever they log, the first rank
therefore decides by its clock, for all ranks, after which step to log next, and whether to write a checkpoint and to
end now. Between two logs the ranks exchange nothing for this.
"""

import time
from collections.abc import Callable

import lightning as L

LARGEST_GROWTH = 4
"""At most so many times the steps since the last log pass until the next one: early on, the speed is hardly known."""


class Cadence:
    """Tells, after each group of steps, whether to log, to write a checkpoint, and to end."""

    def __init__(
        self,
        trainer: L.Trainer,
        position: int,
        log_every_seconds: float,
        checkpoint_every_seconds: float | None,
        asked_to_end: Callable[[], bool],
    ) -> None:
        """Begin at a position of the job.

        Args:
            trainer: tells the ranks, and connects them.
            position: steps that the job has taken.
            log_every_seconds: time between two logs; 0 logs after every group.
            checkpoint_every_seconds: time between two checkpoints; None writes none on the way.
            asked_to_end: whether a signal asked this process to end. Of several ranks, only the first one's counts.
        """
        self._log_every, self._checkpoint_every = log_every_seconds, checkpoint_every_seconds
        self._asked_to_end = asked_to_end
        self._strategy, self._ranks = trainer.strategy, trainer.world_size
        self._last_log_time = self._last_checkpoint_time = 0.0
        # What the ranks agreed on when they last logged.
        self._last_log_position = self._next_log_position = 0
        self._checkpoint_agreed = self._end_agreed = False
        self.restart(position)

    def log_due(self, position: int) -> bool:
        """Whether to log after the step that ended at a position of the job."""
        if self._ranks > 1:
            return position >= self._next_log_position
        return time.monotonic() - self._last_log_time >= self._log_every

    def checkpoint_due(self, logged: bool) -> bool:
        """Whether to write a checkpoint. `logged`: whether the job has just logged."""
        return self._time_for_checkpoint() if self._ranks == 1 else logged and self._checkpoint_agreed

    def end_due(self, logged: bool) -> bool:
        """Whether the job is to end now. `logged`: whether it has just logged."""
        return self._asked_to_end() if self._ranks == 1 else logged and self._end_agreed

    def _time_for_checkpoint(self) -> bool:
        return (
            self._checkpoint_every is not None
            and time.monotonic() - self._last_checkpoint_time >= self._checkpoint_every
        )

    def logged(self, position: int) -> float:
        """Note that the job logs now; returns the seconds since the last log. All ranks call it after the same step."""
        now = time.monotonic()
        seconds, self._last_log_time = now - self._last_log_time, now
        if self._ranks > 1:
            steps = max(1, position - self._last_log_position)
            wanted = steps * self._log_every / seconds if seconds else steps
            ahead = max(1, min(round(wanted), LARGEST_GROWTH * steps))
            decision = (position + ahead, self._time_for_checkpoint(), self._asked_to_end())
            self._last_log_position = position
            self._next_log_position, self._checkpoint_agreed, self._end_agreed = self._strategy.broadcast(
                decision
            )
        return seconds

    def checkpoint_written(self) -> None:
        """Note that a checkpoint was written just now."""
        self._last_checkpoint_time = time.monotonic()

    def restart(self, position: int) -> None:
        """Start the clocks again at a position: what happens between two segments is no training time."""
        self._last_log_time = self._last_checkpoint_time = time.monotonic()
        self._last_log_position, self._next_log_position = position, position + 1
