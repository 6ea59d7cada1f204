"""A training job's steps: one stable trunk, from which each run branches off to decay.

A run whose learning rate decays over its last tokens is the trunk up to there, followed by decaying steps. Runs of
several lengths therefore share one trunk (Hu et al., 2024; Hägele et al., 2024): the trunk is kept where a branch
leaves it, the branch is trained and recorded, and the trunk goes on from there. Each branch is, step for step, the
run that it stands for.
"""

from dataclasses import dataclass

from scaling.config.schema import ScheduleConfig, WSDConfig
from scaling.training.batch_ramp import BatchRamp


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Consecutive steps of one kind, numbered as in the run that they stand for."""

    start: int
    """First step."""
    stop: int
    """One past the last step."""
    run: int | None
    """Index of the run that ends with this segment; None on the trunk."""


def segments(schedule: ScheduleConfig, run_steps: list[int], batches: BatchRamp) -> list[Segment]:
    """The segments of a job, in the order in which they are trained.

    Args:
        schedule: wsd splits every run into trunk and branch; other schedules train one run as a whole.
        run_steps: steps of each run, rising.
        batches: the batch of every step, from which follows where a run begins to decay.
    """
    if not isinstance(schedule, WSDConfig):
        assert len(run_steps) == 1, "only wsd shares a trunk"
        return [Segment(start=0, stop=run_steps[0], run=0)]
    plan: list[Segment] = []
    trunk = 0
    for run, steps in enumerate(run_steps):
        stable_tokens = (1 - schedule.decay_fraction) * batches.tokens_before(steps)
        leave = max(trunk, min(steps - 1, batches.steps_for(stable_tokens)))
        if leave > trunk:
            plan.append(Segment(start=trunk, stop=leave, run=None))
        plan.append(Segment(start=leave, stop=steps, run=run))
        trunk = leave
    return plan


def steps_trained(plan: list[Segment]) -> int:
    """Steps that a job really takes."""
    return sum(segment.stop - segment.start for segment in plan)
