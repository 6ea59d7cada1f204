"""The layouts that a search looks at use every device and split the model as it can be split."""

from dataclasses import replace

import pytest

from scaling.accounting.hardware import get_device
from scaling.accounting.layout import check_layout
from scaling.budget.layouts import accumulation_for, layouts
from scaling.shape.published import published_shape

A100 = get_device("a100-80gb")


@pytest.mark.parametrize(("name", "devices"), [("llama-2-7b", 8), ("mixtral-8x7b", 64), ("gpt2", 12)])
def test_layouts_use_every_device_and_split_least_first(name: str, devices: int) -> None:
    shape = published_shape(name)
    found = list(layouts(shape, A100, devices, 4e6))
    assert len(found) == len(set(found)) > 5
    splits = [layout.tensor * layout.pipeline * layout.context for layout in found]
    assert splits == sorted(splits)
    for layout in found:
        check_layout(shape, layout)
        assert layout.devices == devices
        assert layout.tensor <= A100.node_devices


def test_a_batch_limits_the_replicas_and_long_sequences_are_split() -> None:
    gpt2 = published_shape("gpt2")
    assert all(layout.data <= 5 for layout in layouts(gpt2, A100, 16, 4 * 1024))
    assert not list(layouts(gpt2, A100, 7 * 64, 1024))
    long = replace(gpt2, context=131_072)
    assert any(layout.context > 1 for layout in layouts(long, A100, 16, 4e6))
    assert not any(layout.context > 1 for layout in layouts(gpt2, A100, 16, 4e6))


def test_accumulation_comes_nearest_to_the_batch() -> None:
    gpt2 = published_shape("gpt2")
    assert accumulation_for(gpt2, data=4, micro_batch=2, batch_tokens=1024 * 64) == 8
    assert accumulation_for(gpt2, data=4, micro_batch=2, batch_tokens=1.0) == 1
