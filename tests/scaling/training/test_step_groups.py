"""Steps in groups: every step once and in order, no group past a change of the batch or of the segment."""

import pytest
from training_jobs import RAMP, Make

from scaling.config.schema import ModelConfig
from scaling.model.decoder import Decoder
from scaling.training.job import job_of
from scaling.training.module import Pretraining
from scaling.training.segments import segment_at
from scaling.training.step_groups import LARGEST_GROUP, METERED_STEPS, StepGroups, steps_in_group


def module_of(tiny_job: Make) -> Pretraining:
    config = tiny_job([8192, 32768], optim=RAMP)
    job = job_of(config)
    return Pretraining(Decoder(job.shape), job.recipe, job.corpus, "32-true")


def test_groups_cover_a_job_and_end_where_batch_or_segment_change(tiny_job: Make) -> None:
    module = module_of(tiny_job)
    groups = list(StepGroups(module, one_by_one=False))
    assert [p for first, steps in groups for p in range(first, first + steps)] == list(
        range(module.total_steps)
    )
    sequences = module.recipe.batches.sequences
    largest = 0
    for first, steps in groups:
        places = [segment_at(module.segments, position) for position in range(first, first + steps)]
        (size,) = {sequences(step) for _, step in places}
        assert len({segment for segment, _ in places}) == 1
        if size > largest:
            assert steps <= METERED_STEPS
        largest = max(largest, size)
    assert max(steps for _, steps in groups) == LARGEST_GROUP


def test_what_is_recorded_is_left_out(tiny_job: Make) -> None:
    module = module_of(tiny_job)
    module.leave_out([1])
    last_first, steps = list(StepGroups(module, one_by_one=True))[-1]
    assert steps == 1
    assert segment_at(module.segments, last_first)[0].run == 0


@pytest.mark.parametrize(("width", "expected"), [(16, LARGEST_GROUP), (1024, 1)])
def test_large_steps_form_no_groups(tiny_job: Make, width: int, expected: int) -> None:
    config = tiny_job([4096], model=ModelConfig(width=width, depth=2, context=128))
    job = job_of(config)
    assert steps_in_group(job.shape, 4) == expected
