"""Memory: published measurements, laws of sharding and recomputation, and one clear line for ill layouts."""

import time
from dataclasses import replace
from statistics import median

import budget_memory as benchmark
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scaling.accounting.kept_activations import activation_bytes
from scaling.accounting.layout import Layout
from scaling.accounting.memory import training_memory
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.states import device_params, model_states
from scaling.shape.params import count_params
from scaling.shape.published_models import PUBLISHED
from scaling.shape.shape import ModelShape, decoder_shape

OPTIMIZERS = ("adamw", "adamw_8bit", "sgd", "sgd_momentum", "muon", "adafactor")
PRECISIONS = ("32-true", "bf16-mixed", "bf16-true", "bf16-master", "fp8-mixed")
RUNTIMES = ("torch_cpu", "torch", "megatron")


@st.composite
def recipes(draw: st.DrawFn) -> TrainingRecipe:
    return TrainingRecipe(
        optimizer=draw(st.sampled_from(OPTIMIZERS)),
        precision=draw(st.sampled_from(PRECISIONS)),
        recompute=draw(st.sampled_from(["none", "selective", "selective_ops", "full"])),
        attention=draw(st.sampled_from(["flash", "materialised"])),
        runtime=draw(st.sampled_from(RUNTIMES)),
        dropout=draw(st.booleans()),
    )


@st.composite
def shapes(draw: st.DrawFn) -> ModelShape:
    """Shapes that divide by 8 wherever a layout may cut them; half of them mixtures of experts."""
    mixture = draw(st.booleans())
    shape = decoder_shape(
        width=64 * draw(st.integers(1, 8)),
        depth=8 * draw(st.integers(1, 3)),
        heads=16,
        kv_heads=draw(st.sampled_from([8, 16])),
        head_width=8,
        ffn_width=64 * draw(st.integers(1, 8)),
        vocab_size=64 * draw(st.integers(1, 64)),
        context=64 * draw(st.integers(1, 16)),
        ffn=draw(st.sampled_from(["swiglu", "gelu"])),
        tied_head=draw(st.booleans()),
        qk_norm=draw(st.booleans()),
    )
    return replace(shape, experts=8, experts_active=draw(st.integers(1, 8))) if mixture else shape


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    pipeline = draw(st.sampled_from([1, 2, 4]))
    return Layout(
        data=draw(st.sampled_from([1, 2, 8])),
        zero_stage=draw(st.integers(0, 3)),
        tensor=draw(st.sampled_from([1, 2, 4])),
        sequence=draw(st.booleans()),
        pipeline=pipeline,
        interleave=draw(st.sampled_from([1, 2])) if pipeline > 1 else 1,
        context=draw(st.sampled_from([1, 2])),
        micro_batch=draw(st.sampled_from([1, 4])),
        accumulation=draw(st.sampled_from([1, 8])),
    )


# --- published ---


def test_published_gpu_memory() -> None:
    errors = [abs(case.relative_error) for case in benchmark.gpu_memory_cases()]
    assert len(errors) == 13
    assert median(errors) <= 0.10
    assert max(errors) <= 0.15


def test_published_layouts_fit_or_are_out_of_memory_as_published() -> None:
    agree, total = benchmark.fits_agreement()
    assert agree == total == 7


def test_megatrons_activations_and_states() -> None:
    assert max(abs(case.relative_error) for case in benchmark.megatron_activation_cases()) <= 0.015
    assert max(abs(case.relative_error) for case in benchmark.megatron_state_cases()) <= 0.03


def test_zero_table_to_its_printed_digits() -> None:
    agree, total = benchmark.zero_table_agreement()
    assert agree == total == 19


# --- laws ---


@settings(max_examples=150, deadline=None)
@given(shapes(), recipes(), layouts(), st.sampled_from(["data", "tensor", "pipeline", "context", "expert"]))
def test_doubling_a_degree_never_raises_what_it_shards(
    shape: ModelShape, recipe: TrainingRecipe, layout: Layout, degree: str
) -> None:
    if degree == "expert":
        assume(shape.experts)
        layout = replace(layout, data=8)
    more = replace(layout, **{degree: 2 * getattr(layout, degree)})
    before, after = (model_states(shape, recipe, each) for each in (layout, more))
    for name in ("weights", "master_weights", "gradients", "optimizer_states"):
        # The first stage keeps the embedding, and a single stage a tied head: neither grows with stages.
        assert getattr(after, name) <= getattr(before, name) * (1 + 1e-12), name
    if degree in ("tensor", "context"):
        assert activation_bytes(shape, recipe, more) <= activation_bytes(shape, recipe, layout) * (1 + 1e-12)
    if degree != "pipeline":
        assert (
            training_memory(shape, recipe, more).peak_memory_bytes
            <= training_memory(shape, recipe, layout).peak_memory_bytes * (1 + 1e-12)
            or (
                layout.shard_group == 1 < more.shard_group
            )  # the first replica beside another needs buffers to reduce gradients
        )


@settings(max_examples=150, deadline=None)
@given(shapes(), layouts(), st.sampled_from([1, 2, 8]))
def test_parts_of_a_sharded_model_sum_to_the_whole(shape: ModelShape, layout: Layout, expert: int) -> None:
    layout = replace(layout, expert=expert if shape.experts else 1, data=8)
    total = 0.0
    for stage in range(layout.pipeline):
        part = device_params(shape, layout, stage)
        total += layout.tensor * (part.hidden + part.ends + layout.expert * part.experts) + part.replicated
    copied_head = shape.vocab_size * shape.width if shape.tied_head and layout.pipeline > 1 else 0
    assert total == pytest.approx(count_params(shape).total + copied_head, rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(shapes(), recipes(), layouts())
def test_zero_shards_states_over_replicas_exactly(
    shape: ModelShape, recipe: TrainingRecipe, layout: Layout
) -> None:
    alone = model_states(shape, recipe, replace(layout, zero_stage=0))
    spread = model_states(shape, recipe, replace(layout, zero_stage=3))
    assert spread.total * layout.shard_group == pytest.approx(alone.total, rel=1e-12)
    totals = [model_states(shape, recipe, replace(layout, zero_stage=z)).total for z in range(4)]
    assert totals == sorted(totals, reverse=True)


@settings(max_examples=150, deadline=None)
@given(shapes(), recipes(), layouts())
def test_more_recomputation_never_keeps_more(
    shape: ModelShape, recipe: TrainingRecipe, layout: Layout
) -> None:
    kept = {
        mode: activation_bytes(shape, replace(recipe, recompute=mode), layout)
        for mode in ("none", "selective", "selective_ops", "full")
    }
    assert kept["full"] <= kept["selective"] <= kept["none"]
    assert kept["full"] <= kept["selective_ops"]


@settings(max_examples=100, deadline=None)
@given(shapes(), recipes(), layouts())
def test_the_peak_is_the_largest_instant_and_names_it(
    shape: ModelShape, recipe: TrainingRecipe, layout: Layout
) -> None:
    estimate = training_memory(shape, recipe, layout)
    assert estimate.peak_allocated_bytes == max(instant.bytes for instant in estimate.instants)
    assert estimate.binding_component in estimate.binding.components
    assert estimate.states.total > 0
    assert all(size > 0 for instant in estimate.instants for size in instant.components.values())
    assert (estimate.allocator_slack_bytes > 0) == (recipe.runtime == "torch")


@settings(max_examples=50, deadline=None)
@given(shapes(), recipes(), layouts(), st.integers(2, 5))
def test_activations_grow_in_proportion_to_the_micro_batch(
    shape: ModelShape, recipe: TrainingRecipe, layout: Layout, factor: int
) -> None:
    more = replace(layout, micro_batch=factor * layout.micro_batch)
    assert activation_bytes(shape, recipe, more) == pytest.approx(
        factor * activation_bytes(shape, recipe, layout)
    )


def test_what_binds_follows_the_job() -> None:
    recipe = TrainingRecipe(precision="32-true", runtime="torch_cpu")
    wide_vocabulary = decoder_shape(width=64, depth=2, heads=4, vocab_size=50_000, context=512)
    assert training_memory(wide_vocabulary, recipe, Layout(micro_batch=8)).binding_instant == "loss"
    deep = decoder_shape(width=256, depth=24, heads=4, vocab_size=64, context=512)
    many = training_memory(deep, recipe, Layout(micro_batch=16))
    assert (many.binding_instant, many.binding_component) == ("backward, last block", "activations")
    few = training_memory(replace(deep, context=8), replace(recipe, optimizer="muon"), Layout())
    assert few.binding_instant in ("optimizer step", "backward, first block")
    assert few.binding_component in ("optimizer_states", "weights", "gradients")


def test_an_estimate_takes_less_than_ten_milliseconds() -> None:
    # Median of many, on shapes not seen before; a bound with a factor of ten to spare.
    times = []
    for context in range(64, 104):
        shape = replace(PUBLISHED["deepseek-v3"], context=context)
        start = time.process_time()
        training_memory(shape, TrainingRecipe(recompute="full"), Layout(data=8, zero_stage=3))
        times.append(time.process_time() - start)
    assert median(times) < 0.01


def test_encoder_decoders_are_refused() -> None:
    with pytest.raises(ValueError, match="encoder_depth=6"):
        training_memory(PUBLISHED["t5-small"])
