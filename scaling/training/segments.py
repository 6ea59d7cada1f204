"""The order in which a job takes its steps: a trunk at the stable learning rate, from which each run branches off.

A run whose learning rate decays over its last tokens consists of stable steps, followed by decaying ones. Runs of
several lengths therefore share their stable steps, the trunk (Hu et al., 2024; Hägele et al., 2024). The job keeps the
trunk's state where a branch leaves it, trains and records the branch, and goes back to that state to train the trunk
further. Each branch ends, step for step, as the run would that was trained alone.

A position counts the steps that a job takes, trunk and branches together, in the order of training. A step counts those
of one run from its start.
"""

from dataclasses import dataclass, replace

from scaling.config.schema import ScheduleConfig, WSDConfig
from scaling.training.batch_ramp import BatchRamp


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Consecutive steps on the trunk, or of one branch, numbered as in the run that they belong to."""

    start: int
    """First step."""
    stop: int
    """One past the last step."""
    run: int | None
    """Index of the run that ends with this segment; None on the trunk."""

    @property
    def steps(self) -> int:
        return self.stop - self.start


def segments(schedule: ScheduleConfig, run_steps: list[int], batches: BatchRamp) -> list[Segment]:
    """The segments of a job, in the order in which they are trained.

    Args:
        schedule: wsd splits every run into trunk and branch; other schedules train a single run as one segment.
        run_steps: steps of each run, rising.
        batches: the batch of every step, which tells the step at which a run begins to decay.
    """
    if not isinstance(schedule, WSDConfig):
        assert len(run_steps) == 1, "only wsd shares a trunk"
        return [Segment(start=0, stop=run_steps[0], run=0)]
    plan: list[Segment] = []
    trunk_steps = 0
    for run, steps in enumerate(run_steps):
        stable_tokens = (1 - schedule.decay_fraction) * batches.tokens_before(steps)
        leave = max(trunk_steps, min(steps - 1, batches.steps_for(stable_tokens)))
        if leave > trunk_steps:
            plan.append(Segment(start=trunk_steps, stop=leave, run=None))
        plan.append(Segment(start=leave, stop=steps, run=run))
        trunk_steps = leave
    return plan


def steps_trained(plan: list[Segment]) -> int:
    """Steps that a job takes, those of the trunk once."""
    return sum(segment.steps for segment in plan)


def segment_at(plan: list[Segment], position: int) -> tuple[Segment, int]:
    """The segment at a position of the job, and the step that is taken there, counted as in its run."""
    for segment in plan:
        if position < segment.steps:
            return segment, segment.start + position
        position -= segment.steps
    raise AssertionError("the position lies past the job's end")


def end_position(plan: list[Segment], segment: Segment) -> int:
    """One past the last position of a segment."""
    return steps_trained(plan[: plan.index(segment) + 1])


def segments_before(plan: list[Segment], position: int) -> list[Segment]:
    """What a job has trained when it stands at a position: whole segments, and the start of the one under way."""
    done: list[Segment] = []
    for segment in plan:
        steps = min(position, segment.steps)
        if steps == 0:
            break
        done.append(replace(segment, stop=segment.start + steps))
        position -= steps
    return done


def segments_of_run(plan: list[Segment], run: int) -> list[int]:
    """Indices of the segments that a run consists of: all of the trunk before its branch, and the branch."""
    branch = next(i for i, segment in enumerate(plan) if segment.run == run)
    return [i for i in range(branch) if plan[i].run is None] + [branch]


def segments_spent_on_run(plan: list[Segment], run: int) -> list[int]:
    """Indices of the segments that a job trains for a run beyond what the runs before it share with it."""
    branch = next(i for i, segment in enumerate(plan) if segment.run == run)
    first = max((i + 1 for i in range(branch) if plan[i].run is not None), default=0)
    return list(range(first, branch + 1))
