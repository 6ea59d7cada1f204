"""Closed forms agree with a trace row by row, and what cannot be traced is refused."""

from dataclasses import replace

import pytest

from scaling.accounting.layout import Layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.budget.keys import ModelKeys, VerifyKeys
from scaling.budget.verify import compare, verify
from scaling.errors import UserError
from scaling.shape.published_models import PUBLISHED
from scaling.shape.shape import ModelShape, decoder_shape

SHAPE = decoder_shape(width=64, depth=2, heads=4, kv_heads=2, vocab_size=256, context=64, tied_head=True)
PLAIN = TrainingRecipe(runtime="torch_cpu")


def test_every_row_of_a_comparison_agrees() -> None:
    rows = {row.component: row for row in compare(SHAPE, PLAIN, Layout(micro_batch=2))}
    assert rows["parameters"].relative_error == 0
    assert rows["training FLOPs of a step"].relative_error == 0
    assert rows["weights"].relative_error == 0
    assert all(abs(row.relative_error) <= 0.03 for row in rows.values())


def test_the_keys_choose_model_and_step() -> None:
    left_open = {row.component: row.traced for row in verify(VerifyKeys())}
    # The vocabulary of 50,257 and blocks of width 64: the model that `scaling train` makes, but for its tokenizer.
    assert left_open["parameters"] > 50_257 * 64
    small = VerifyKeys(model=ModelKeys(width=64, depth=2, vocab_size=256, context=64), accumulation=2)
    rows = {row.component: row.to_json() for row in verify(small)}
    assert rows["parameters"]["traced"] == rows["parameters"]["closed_form"]
    once = {row.component: row.traced for row in verify(replace(small, accumulation=1))}
    assert rows["training FLOPs of a step"]["traced"] == 2 * once["training FLOPs of a step"]


@pytest.mark.parametrize(
    ("shape", "recipe", "layout", "words"),
    [
        (PUBLISHED["gpt2"], PLAIN, Layout(), "only this project's own decoder"),
        (SHAPE, TrainingRecipe(runtime="torch"), Layout(), "runtime=torch_cpu"),
        (SHAPE, replace(PLAIN, optimizer="adafactor"), Layout(), "use adamw, muon"),
        (SHAPE, replace(PLAIN, precision="bf16-master"), Layout(), "use 32-true"),
        (SHAPE, replace(PLAIN, recompute="selective"), Layout(), "recompute=none"),
        (SHAPE, PLAIN, Layout(data=2), "one device, not on 2"),
    ],
)
def test_what_cannot_be_traced_is_refused(
    shape: ModelShape, recipe: TrainingRecipe, layout: Layout, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        compare(shape, recipe, layout)
