"""How a run is trained, as numbers: the rules that follow scale, the schedule, and a job's resolved recipe.

The rules are checked by `benchmarks/hyperparameters.py`, which tries half and double of each at three sizes.
"""

import math
from dataclasses import dataclass

from scaling.config.schema import OptimConfig, ScheduleConfig, WSDConfig
from scaling.training.batch_ramp import BatchRamp
from scaling.training.segments import Segment, segments

REFERENCE_PARAMS = 1e5  # the size at which the learning rate's reference value holds
# Warmup never takes more than this share of the smallest budget, or small budgets would end before they began.
LARGEST_WARMUP_FRACTION = 0.25


# --- rules ---------------------------------------------------------------------------------------------


def peak_lr(config: OptimConfig, params_total: int) -> float:
    """Peak learning rate of a model: as configured, or falling with size as a power law."""
    if config.lr is not None:
        return config.lr
    return config.lr_reference * (params_total / REFERENCE_PARAMS) ** -config.lr_exponent


def warmup_tokens(config: ScheduleConfig, params_total: int, smallest_budget_tokens: float) -> float:
    """Tokens of linear warmup: as configured, or in proportion to size (Porian et al., 2024)."""
    wanted = config.warmup_tokens
    if wanted is None:
        wanted = config.warmup_tokens_per_param * params_total
    return min(wanted, LARGEST_WARMUP_FRACTION * smallest_budget_tokens)


# --- schedules -----------------------------------------------------------------------------------------


def lr_fraction(
    config: ScheduleConfig, step: int, tokens: float, run_tokens: float | None, warmup: float
) -> float:
    """Learning rate over its peak after `tokens` of a run.

    Args:
        config: wsd or cosine.
        step: steps taken before.
        tokens: tokens seen so far (the middle of a step stands for the step).
        run_tokens: length of the run; None on a trunk that several runs share, which only rises and fades.
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
    """A training job with every rule resolved to a number."""

    optim: OptimConfig
    schedule: ScheduleConfig
    lr: float
    """Peak learning rate."""
    warmup_tokens: float
    batches: BatchRamp
    micro_batch_sequences: int
    """Most sequences of a forward pass on one device."""
    run_steps: tuple[int, ...]
    """Steps of each run of the job, rising."""
    seed: int

    @property
    def context(self) -> int:
        """Tokens a sequence."""
        return self.batches.context

    @property
    def plan(self) -> list[Segment]:
        return segments(self.schedule, list(self.run_steps), self.batches)

    def tokens_in(self, plan: list[Segment]) -> int:
        """Tokens of consecutive steps, a segment after another."""
        before = self.batches.tokens_before
        return sum(before(segment.stop) - before(segment.start) for segment in plan)

    def lr_fraction(self, segment: Segment, step: int) -> float:
        """Learning rate over its peak at a step, taken at the middle of the step's tokens."""
        before = self.batches.tokens_before
        tokens = (before(step) + before(step + 1)) / 2
        run_tokens = None if segment.run is None else float(before(self.run_steps[segment.run]))
        return lr_fraction(self.schedule, step, tokens, run_tokens, self.warmup_tokens)
