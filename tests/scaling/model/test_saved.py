"""Saved models: what is read back is what was trained; damage is named in one line; older files are still read."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from scaling.config.corpus import BPETokenizer, TextCorpus
from scaling.config.schema import TrainConfig
from scaling.corpus.tokenizer import ByteEncoder
from scaling.model.decoder import Decoder
from scaling.model.saved import load, to_bytes
from scaling.records.files import seal
from scaling.records.folder import MODEL, OLD_MODEL
from scaling.shape.shape import decoder_shape
from scaling.training.pretrain import pretrain


def small_decoder(tied_head: bool = True) -> Decoder:
    torch.manual_seed(0)
    shape = decoder_shape(
        width=16, depth=1, heads=2, kv_heads=1, vocab_size=256, context=8, tied_head=tied_head
    )
    return Decoder(shape, rope_base=5e5)


def content_of(model: Decoder) -> bytes:
    return to_bytes(model, model.state_dict(), ByteEncoder().definition())


def assert_equal(loaded: Decoder, saved: Decoder) -> None:
    assert (loaded.shape, loaded.rope_base, loaded.training) == (saved.shape, saved.rope_base, False)
    weights = saved.state_dict()
    assert loaded.state_dict().keys() == weights.keys()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, weights[name].to(tensor.dtype)), name


@pytest.mark.parametrize("tied_head", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_is_read_back_as_it_was_saved(tmp_path: Path, tied_head: bool, dtype: torch.dtype) -> None:
    model = small_decoder(tied_head).to(dtype)
    (tmp_path / MODEL).write_bytes(content_of(model))
    trained = load(tmp_path)
    assert_equal(trained.model, model)
    assert trained.tokenizer == ByteEncoder()


def test_other_readers_of_safetensors_open_the_file(tmp_path: Path) -> None:
    model = small_decoder()
    (tmp_path / MODEL).write_bytes(content_of(model))
    with safe_open(tmp_path / MODEL, framework="pt") as file:
        assert set(file.keys()) == model.state_dict().keys() - {"head.weight"}
        assert torch.equal(file.get_tensor("embedding.weight"), model.embedding.weight)


def test_the_same_model_gives_the_same_bytes() -> None:
    assert content_of(small_decoder()) == content_of(small_decoder())


@pytest.mark.parametrize("place", [0.0, 0.05, 0.2, 0.5, 0.999])
def test_a_damaged_model_is_named(tmp_path: Path, place: float) -> None:
    """Of a flipped bit in the header or in the weights, and of a file that ends too early."""
    content = content_of(small_decoder())
    at = int(place * len(content))
    flipped = bytearray(content)
    flipped[at] ^= 1
    for damaged in (flipped, content[:at]):
        (tmp_path / MODEL).write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model\.safetensors: (damaged|truncated)"):
            load(tmp_path)


def test_a_model_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    model = small_decoder()
    facts = {
        "shape": asdict(model.shape),
        "rope_base": model.rope_base,
        "tokenizer": ByteEncoder().definition(),
    }
    torch.save({**facts, "model": model.state_dict()}, tmp_path / OLD_MODEL)
    seal(tmp_path / OLD_MODEL, "model")
    assert_equal(load(tmp_path).model, model)


def test_a_missing_folder_and_a_choice_of_two(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        load(tmp_path / "none")
    for folder, name in (("one", MODEL), ("two", OLD_MODEL)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(b"half of a file")
    with pytest.raises(ValueError, match=r"holds 2 models; choose one of .*one, .*two"):
        load(tmp_path)


def test_damage_in_a_model_of_an_earlier_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / OLD_MODEL
    path.write_bytes(b"PK\x03\x04 half of a file")
    with pytest.raises(ValueError, match=r"model\.pt: truncated, or not a file of this program"):
        load(tmp_path)
    torch.save({"model": {}}, path)
    seal(path, "model")
    with pytest.raises(ValueError, match=r"not a whole model of this version \(KeyError: 'shape'\)"):
        load(tmp_path)
    seal(path, "another")
    with pytest.raises(ValueError, match=r"model\.pt: not a model; give the folder of a trained run"):
        load(tmp_path)


def test_a_tokenizer_of_byte_pairs_is_kept(tiny_job: Callable[..., TrainConfig], tmp_path: Path) -> None:
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
