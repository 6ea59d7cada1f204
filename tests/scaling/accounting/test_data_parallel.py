"""What of data-parallel communication shows beside the computation."""

from dataclasses import replace
from math import ceil

import pytest

from scaling.accounting.collectives import COMMUNICATION_SHARE
from scaling.accounting.data_parallel import BUCKET_PARAMS, BUCKET_PARAMS_PER_REPLICA, exposed_data_seconds
from scaling.accounting.hardware import get_device
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.states import model_states
from scaling.accounting.timing import step_time
from scaling.shape.published import published_shape

A100 = get_device("a100-80gb")
MIXED = TrainingRecipe(precision="bf16-mixed")
LLAMA = published_shape("llama-2-7b")


def test_hybrid_sharding_gathers_inside_a_group_and_holds_a_copy_in_each() -> None:
    whole = Layout(data=512, zero_stage=3)
    hybrid = replace(whole, zero_group=8)
    assert (hybrid.shard_group, hybrid.shard_copies) == (8, 64)
    assert model_states(LLAMA, MIXED, hybrid).total == pytest.approx(
        64 * model_states(LLAMA, MIXED, whole).total
    )
    # Across nodes only a shard of the gradients travels, once a step: with many micro-batches that is less.
    hybrid_step = step_time(LLAMA, replace(hybrid, accumulation=16), A100, MIXED)
    assert (
        hybrid_step.data_seconds < step_time(LLAMA, replace(whole, accumulation=16), A100, MIXED).data_seconds
    )
    with pytest.raises(ValueError, match="zero_group=7 does not divide the 512 replicas"):
        replace(whole, zero_group=7)
    with pytest.raises(ValueError, match=r"needs layout\.zero_stage=3"):
        replace(whole, zero_stage=1, zero_group=8)


def exposed(layout: Layout, *, forward: float, backward: float) -> float:
    return exposed_data_seconds(
        layout, A100, MIXED, params=7e9, blocks=32, forward_seconds=forward, backward_seconds=backward
    )


def test_one_replica_has_nothing_to_send() -> None:
    assert exposed(Layout(tensor=8), forward=0.0, backward=0.0) == 0


def test_computation_hides_all_but_the_share_that_communication_takes_of_it() -> None:
    layout = Layout(data=8)
    alone = exposed(layout, forward=0.0, backward=0.0)
    hidden = exposed(layout, forward=1e3, backward=1e3)
    assert 0 < hidden < alone
    buckets = ceil(7e9 / BUCKET_PARAMS)
    assert hidden == pytest.approx(max(COMMUNICATION_SHARE, 1 / buckets) * alone)


def test_buckets_grow_with_the_replicas_as_in_megatron() -> None:
    assert (BUCKET_PARAMS, BUCKET_PARAMS_PER_REPLICA) == (40_000_000, 1_000_000)
