"""Choosing the next token: what top-k, top-p and temperature promise, and where a text ends."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.corpus.tokenizer import SEPARATOR_BYTE, ByteEncoder
from scaling.model.decoder import Decoder
from scaling.model.sampling import (
    continued,
    keep_top_k,
    keep_top_p,
    next_token_probabilities,
    tempered,
    tokens_after,
)
from scaling.model.saved import TrainedModel
from scaling.shape.shape import ModelShape

logit_lists = st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=40)


@given(logit_lists, st.integers(1, 50))
def test_top_k_leaves_the_k_most_probable(values: list[float], k: int) -> None:
    before = tempered(torch.tensor(values), 1.0)
    after = keep_top_k(before, k)
    kept = after > 0
    assert int(kept.sum()) == min(k, len(values))
    assert after.sum() == pytest.approx(1)
    if not kept.all():
        assert before[kept].min() >= before[~kept].max()
    # What is kept keeps its proportions.
    assert torch.allclose(after[kept] * before[kept].sum(), before[kept])


@given(logit_lists, st.floats(0.01, 0.999))
def test_top_p_leaves_the_smallest_set_that_reaches_p(values: list[float], p: float) -> None:
    before = tempered(torch.tensor(values), 1.0)
    after = keep_top_p(before, p)
    kept = after > 0
    assert after.sum() == pytest.approx(1)
    assert before[kept].sum() >= p - 1e-12, "reaches p"
    assert before[kept].sum() - before[kept].min() < p + 1e-12, "and would not without its least"
    if not kept.all():
        assert before[kept].min() >= before[~kept].max()


@given(logit_lists)
def test_temperature_towards_zero_is_greedy(values: list[float]) -> None:
    logits = torch.tensor(values)
    greedy = tempered(logits, 0)
    assert greedy.argmax() == logits.argmax()
    assert greedy.max() == greedy.sum() == 1
    cold = tempered(logits, 1e-300)
    assert torch.equal(cold > 0, logits == logits.max()), "only the largest, ties shared"
    assert cold.sum() == pytest.approx(1)


@given(logit_lists)
def test_a_high_temperature_is_even_and_one_is_the_softmax(values: list[float]) -> None:
    logits = torch.tensor(values)
    assert torch.allclose(tempered(logits, 1), logits.double().softmax(-1))
    assert torch.allclose(tempered(logits, 1e9), torch.full((len(values),), 1 / len(values)).double())
    assert torch.equal(next_token_probabilities(logits, 1, len(values), 1.0) > 0, tempered(logits, 1) > 0)


@settings(max_examples=5)
@given(st.integers(0, 2**31))
def test_draws_follow_the_probabilities_and_the_seed(seed: int) -> None:
    torch.manual_seed(0)
    model = Decoder(
        ModelShape(
            width=16, depth=1, heads=2, kv_heads=2, head_width=8, ffn_width=32, vocab_size=17, context=4
        )
    )

    def draw(**choice: float) -> list[int]:
        stream = tokens_after(model, [1, 2, 3], seed, **choice)  # type: ignore[arg-type]
        return [next(stream) for _ in range(8)]  # twice the context: the window slides

    assert draw() == draw()
    assert draw(temperature=0) == draw(top_k=1) == draw(top_p=1e-9)
    tokens = [1, 2, 3]
    for _ in range(8):
        tokens.append(int(model(torch.tensor([tokens[-4:]]))[0, -1].argmax()))
    assert draw(temperature=0) == tokens[3:]


class Certain(Decoder):
    """A decoder that gives one token all probability."""

    def __init__(self, token: int) -> None:
        shape = ModelShape(
            width=2, depth=1, heads=1, kv_heads=1, head_width=2, ffn_width=1, vocab_size=256, context=8
        )
        super().__init__(shape)
        self.token = token

    def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(*tokens_BT.shape, 256)
        logits[..., self.token] = 1000.0
        return logits


@pytest.mark.parametrize(("token", "text"), [(SEPARATOR_BYTE, ""), (ord("b"), "bbb")])
def test_a_text_ends_at_a_separator_or_at_its_limit(token: int, text: str) -> None:
    assert continued(TrainedModel(Certain(token), ByteEncoder()), "a", max_tokens=3) == text
