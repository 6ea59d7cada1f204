"""The keys `schedule.…`: how the learning rate changes in the course of a run."""

from dataclasses import dataclass
from typing import Annotated

from scaling.config.ranges import COUNT, LARGEST_TOKENS, Range, check_ranges


@dataclass(kw_only=True)
class ScheduleConfig:
    """The keys that every schedule has. A schedule gives the learning rate, as a share of its peak, at each token."""

    kind: str
    """Name of the schedule: wsd or cosine. Part of every record, since the fitted law depends on it."""
    warmup_tokens: Annotated[float | None, Range(at_least=0, at_most=LARGEST_TOKENS)] = None
    """Length of the linear warmup; null: warmup_tokens_per_param * N, at most a quarter of the smallest budget."""
    warmup_tokens_per_param: Annotated[float, Range(at_least=0, at_most=1e6)] = 1.0
    """Warmup tokens for each parameter (Porian et al., 2024, warm up over N tokens)."""
    final_lr_fraction: Annotated[float, Range(at_least=0, below=1)] = 0.0
    """Learning rate at the end, divided by what it would be there without the decay."""

    def __post_init__(self) -> None:
        check_ranges(self, "schedule.")


@dataclass(kw_only=True)
class WSDConfig(ScheduleConfig):
    """Warmup, stable, decay: runs of several budgets share one stable trunk, and each decays in a branch of its own.

    The best learning rate falls with the length of a run (Bjorck et al., 2024, arXiv:2409.19913). The trunk's rate
    fades with the steps taken, so that short and long branches each find a rate that suits them.
    """

    kind: str = "wsd"
    decay_fraction: Annotated[float, Range(above=0, at_most=1)] = 0.2
    """Share of a run's tokens in which the learning rate decays, linearly, at the run's end."""
    fade_steps: Annotated[int, COUNT] = 200
    """Number of steps at the peak; after them the stable rate fades as a power of the steps taken."""
    fade_exponent: Annotated[float, Range(at_least=0, below=1)] = 0.35
    """How fast the stable rate fades: peak * (steps / fade_steps) ** -fade_exponent; 0: not at all."""


@dataclass(kw_only=True)
class CosineConfig(ScheduleConfig):
    """Half a cosine from the peak to the final learning rate over the whole run: a training job has one budget only."""

    kind: str = "cosine"
    final_lr_fraction: Annotated[float, Range(at_least=0, below=1)] = 0.1
