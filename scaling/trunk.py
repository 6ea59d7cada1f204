"""A training job's steps: one stable trunk, from which each run branches off to decay.

A run of S steps whose learning rate decays over its last d is the trunk's first S - d steps followed by d
decaying ones. Runs of several lengths therefore share one trunk (Hu et al., 2024; Hägele et al., 2024): the
trunk is kept where a branch leaves it, the branch is trained and recorded, and the trunk goes on from there.
Each branch is, step for step, the run that it stands for.
"""

from dataclasses import dataclass

from scaling.config import ScheduleConfig, WSDConfig


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Consecutive steps of one kind, numbered as in the run that they stand for."""

    start: int
    """First step."""
    stop: int
    """One past the last step."""
    run: int | None
    """Index of the run that ends with this segment; None on the trunk."""


def segments(schedule: ScheduleConfig, run_steps: list[int]) -> list[Segment]:
    """The segments of a job, in the order in which they are trained.

    Args:
        schedule: wsd splits every run into trunk and branch; other schedules train one run as a whole.
        run_steps: steps of each run, rising.
    """
    if not isinstance(schedule, WSDConfig):
        assert len(run_steps) == 1, "only wsd shares a trunk"
        return [Segment(start=0, stop=run_steps[0], run=0)]
    plan: list[Segment] = []
    trunk = 0
    for run, steps in enumerate(run_steps):
        leave = max(trunk, steps - max(1, round(schedule.decay_fraction * steps)))
        if leave > trunk:
            plan.append(Segment(start=trunk, stop=leave, run=None))
        plan.append(Segment(start=leave, stop=steps, run=run))
        trunk = leave
    return plan


def steps_trained(plan: list[Segment]) -> int:
    """Steps that a job really takes."""
    return sum(segment.stop - segment.start for segment in plan)
