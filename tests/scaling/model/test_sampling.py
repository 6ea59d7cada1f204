"""Choosing the next token: what top-k, top-p and temperature promise; and text from a trained run."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.cli.sample import main
from scaling.config.corpus import BPETokenizer, TextCorpus
from scaling.config.schema import TrainConfig
from scaling.model.decoder import Decoder
from scaling.model.sampling import keep_top_k, keep_top_p, next_token_probabilities, tempered, tokens_after
from scaling.model.saved import load
from scaling.records.files import seal
from scaling.shape.shape import ModelShape
from scaling.training.pretrain import pretrain

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


def test_text_from_a_run_of_bytes(
    tiny_job: Callable[..., TrainConfig], capsys: pytest.CaptureFixture
) -> None:
    config = tiny_job([4096])
    record = pretrain(config)[0]
    run = str(config.folder / record.run_id)
    prompt = "a: {b} # ${c}"
    assert main([run, f"prompt={prompt}", "max_tokens=20", "temperature=0.7", "top_k=50", "top_p=0.9"]) == 0
    first = capsys.readouterr().out
    assert first.startswith(prompt)
    assert main([str(config.folder), f"prompt={prompt}", "max_tokens=20", "temperature=0.7", "top_k=50",
                 "top_p=0.9"]) == 0  # fmt: skip
    assert capsys.readouterr().out == first
    assert main([run, "prompt=a", "max_tokens=0"]) == 0
    assert capsys.readouterr().out == "a\n"


def test_text_from_a_run_of_byte_pairs(tiny_job: Callable[..., TrainConfig], tmp_path: Path) -> None:
    pytest.importorskip("tokenizers", reason="the extra [bpe] is not installed")
    text = tmp_path / "words.txt"
    text.write_text("\n".join(f"the {i} quick brown foxes and naïve € dogs" for i in range(4000)))
    config = tiny_job(
        [4096], corpus=TextCorpus(paths=[str(text)], validation_bytes=4096),
        tokenizer=BPETokenizer(vocab_size=300),
    )  # fmt: skip
    record = pretrain(config)[0]
    trained = load(config.folder / record.run_id)
    (tokens,) = trained.tokenizer.encode(["naïve € foxes".encode()])
    assert trained.tokenizer.decode(tokens.tolist()) == "naïve € foxes"
    assert trained.model.shape.vocab_size == 300


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["top_k=0"], "top_k=0: must be at least 1"),
        (["top_p=1.5"], "top_p=1.5: must lie in"),
        (["temperature=-1"], "temperature=-1"),
        (["temprature=1"], "did you mean temperature"),
        (["max_tokens=many"], "max_tokens=many"),
        ([], "holds no model.pt"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        main([str(tmp_path), *words])


def test_a_missing_folder_a_damaged_model_and_a_choice_of_two(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        load(tmp_path / "none")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.pt").write_bytes(b"PK\x03\x04 half of a file")
    with pytest.raises(ValueError, match=r"holds 2 models; choose one of .*one, .*two"):
        load(tmp_path)
    with pytest.raises(ValueError, match=r"model\.pt: truncated, or not a file of this program"):
        load(tmp_path / "one")
    torch.save({"model": {}}, tmp_path / "two" / "model.pt")
    seal(tmp_path / "two" / "model.pt", "model")
    with pytest.raises(ValueError, match=r"not a whole model of this version \(KeyError: 'shape'\)"):
        load(tmp_path / "two")
