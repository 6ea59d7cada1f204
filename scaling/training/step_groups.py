"""Optimizer steps in groups: Lightning takes each group for one batch.

Lightning's loop takes a fixed time for each of what it calls a batch, which would be a large part of a small model's
step. Several small steps therefore form one group. A job can log, write a checkpoint and end only between groups.
"""

from collections.abc import Iterator

from torch.utils.data import DataLoader, IterableDataset

from scaling.shape.flops import train_flops_per_token
from scaling.shape.shape import ModelShape
from scaling.training.module import Pretraining
from scaling.training.segments import segment_at

METERED_STEPS = 2
"""Steps over which a run's peak memory is measured: the optimizer's state exists from the second one on."""
GROUP_FLOPS = 1e10
"""About the FLOPs of a group: a tenth of a second on a processor core, against which the time of Lightning's loop is
small (`benchmarks/throughput.py`)."""
LARGEST_GROUP = 16
"""Most steps in a group: by then Lightning's time for each step is so small that larger groups gain nothing."""


def steps_in_group(shape: ModelShape, sequences: int) -> int:
    """Steps that form a group, for a batch of so many sequences."""
    step_flops = train_flops_per_token(shape, "exact") * shape.context * sequences
    return min(LARGEST_GROUP, max(1, int(GROUP_FLOPS / step_flops)))


class StepGroups(IterableDataset[tuple[int, int]]):
    """The groups of a job, from the module's position on: the position of the first step, and the number of steps."""

    def __init__(self, module: Pretraining, one_by_one: bool) -> None:
        self.module, self.one_by_one = module, one_by_one

    def __iter__(self) -> Iterator[tuple[int, int]]:
        module, largest_batch = self.module, 0
        batches = module.recipe.batches
        position = module.next_to_train(module.position)
        while position < module.total_steps:
            segment, step = segment_at(module.segments, position)
            sequences = batches.sequences(step)
            # The memory meter slows the first steps of a batch larger than any before: they form their own group.
            most = (
                METERED_STEPS if sequences > largest_batch else steps_in_group(module.model.shape, sequences)
            )
            if self.one_by_one:
                most = 1
            steps = 1
            while (
                steps < most and step + steps < segment.stop and batches.sequences(step + steps) == sequences
            ):
                steps += 1
            yield position, steps
            largest_batch = max(largest_batch, sequences)
            position = module.next_to_train(position + steps)


def loader(groups: StepGroups) -> DataLoader[tuple[int, int]]:
    """The data that Lightning iterates over: groups alone, since each step gathers its own batch."""
    return DataLoader(groups, batch_size=None, num_workers=0)
