"""The quick search finds layouts nearly as good as the search of all."""

from scaling.accounting.hardware import get_device
from scaling.accounting.recipe import TrainingRecipe
from scaling.budget.layout_search import best_candidate, candidates
from scaling.budget.setup import TrainingSetup
from scaling.shape.published import published_shape

A100 = TrainingSetup(device=get_device("a100-80gb"), recipe=TrainingRecipe(precision="bf16-mixed"))


def test_the_quick_choice_of_layout_is_nearly_the_best_of_all() -> None:
    for name, devices in (("llama-2-7b", 8), ("llama-2-7b", 64), ("llama-2-70b", 256), ("gpt3-13b", 128)):
        shape = published_shape(name)
        quick = best_candidate(shape, A100, devices, 4e6)
        every = candidates(shape, A100, devices, 4e6)
        assert quick is not None
        assert quick.fits
        assert quick.seconds_per_token <= 1.2 * min(c.seconds_per_token for c in every if c.fits)
        assert all(c.layout.devices == devices for c in every)
        assert [c.fits for c in every] == sorted((c.fits for c in every), reverse=True)


def test_the_search_goes_on_where_the_first_layout_that_fits_waits_for_its_replicas() -> None:
    # On 16,384 H100 and a batch of 16M tokens, Llama 3 405B cannot hide FSDP; it was trained through a pipeline.
    recipe = TrainingRecipe(precision="bf16-master", runtime="megatron")
    h100 = TrainingSetup(device=get_device("h100-sxm"), recipe=recipe)
    found = best_candidate(published_shape("llama-3.1-405b"), h100, 16_384, 1.6e7)
    assert found is not None
    assert found.fits
    assert found.layout.pipeline > 1
    assert found.step.parts["data parallel"] < 0.1 * found.step.seconds


def test_devices_that_no_layout_can_use_have_no_candidate() -> None:
    assert best_candidate(published_shape("gpt2"), A100, 3000, 1024) is None
