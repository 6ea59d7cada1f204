"""How a job is trained, as numbers: hyperparameters that follow the model's size, and learning-rate schedules.

`benchmarks/hyperparameters.py` checks the rules: it tries half and double of each number at three sizes.
"""

import math
from dataclasses import dataclass

from scaling.config.schema import OptimConfig, ScheduleConfig, WSDConfig
from scaling.training.batch_ramp import BatchRamp
from scaling.training.segments import Segment, segments

REFERENCE_PARAMS = 1e5
"""Parameters of a model whose peak learning rate is `optim.lr_reference`."""
LARGEST_WARMUP_FRACTION = 0.25
"""Largest share of the smallest token budget that warmup takes: a small budget would otherwise end within it."""


# --- rules ---------------------------------------------------------------------------------------------


def peak_lr(config: OptimConfig, params_total: int) -> float:
    """Peak learning rate of a model: as configured, or a power law that falls with its parameters."""
    if config.lr is not None:
        return config.lr
    return float(config.lr_reference * (params_total / REFERENCE_PARAMS) ** -config.lr_exponent)


def warmup_tokens(config: ScheduleConfig, params_total: int, smallest_budget_tokens: float) -> float:
    """Tokens of linear warmup: as configured, or in proportion to the parameters (Porian et al., 2024)."""
    tokens = config.warmup_tokens
    if tokens is None:
        tokens = config.warmup_tokens_per_param * params_total
    return min(tokens, LARGEST_WARMUP_FRACTION * smallest_budget_tokens)


# --- schedules -----------------------------------------------------------------------------------------


def lr_fraction(
    config: ScheduleConfig, step: int, tokens: float, run_tokens: float | None, warmup: float
) -> float:
    """Learning rate divided by its peak, for a step of a run.

    Args:
        config: wsd or cosine.
        step: steps taken before this one.
        tokens: tokens seen by the middle of the step.
        run_tokens: length of the run; None on a trunk, where the rate warms up and fades, but does not decay.
        warmup: tokens of linear warmup.
    """
    rise = min(1.0, tokens / warmup) if warmup > 0 else 1.0
    if isinstance(config, WSDConfig):
        rise *= max(1.0, step / config.fade_steps) ** -config.fade_exponent
    if run_tokens is None:
        return rise
    if isinstance(config, WSDConfig):
        left = (run_tokens - tokens) / (config.decay_fraction * run_tokens)
        fall = min(1.0, max(0.0, left))
    else:
        progress = min(1.0, max(0.0, (tokens - warmup) / max(run_tokens - warmup, 1e-9)))
        fall = 0.5 * (1 + math.cos(math.pi * progress))
    return rise * (config.final_lr_fraction + (1 - config.final_lr_fraction) * fall)


# --- a job's recipe ---


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a job is trained, with every rule resolved to a number."""

    optim: OptimConfig
    schedule: ScheduleConfig
    lr: float
    """Peak learning rate."""
    warmup_tokens: float
    batches: BatchRamp
    micro_batch_sequences: int
    """Most sequences in one forward pass on one device."""
    run_steps: tuple[int, ...]
    """Steps of each run of the job, rising."""
    seed: int

    @property
    def context(self) -> int:
        """Tokens in a sequence."""
        return self.batches.context

    @property
    def segments(self) -> list[Segment]:
        """The segments of the job, in the order in which they are trained."""
        return segments(self.schedule, list(self.run_steps), self.batches)

    def tokens_in(self, plan: list[Segment]) -> int:
        """Tokens of all steps of some segments."""
        before = self.batches.tokens_before
        return sum(before(segment.stop) - before(segment.start) for segment in plan)

    def lr_fraction(self, segment: Segment, step: int) -> float:
        """Learning rate divided by its peak at a step, for the number of tokens seen by its middle."""
        before = self.batches.tokens_before
        tokens = (before(step) + before(step + 1)) / 2
        run_tokens = None if segment.run is None else float(before(self.run_steps[segment.run]))
        return lr_fraction(self.schedule, step, tokens, run_tokens, self.warmup_tokens)
