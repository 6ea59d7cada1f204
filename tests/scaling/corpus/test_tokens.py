"""Windows of a token array, and token files that notice when they are damaged."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.corpus.tokens import TokenArray, TokenFile, open_tokens, token_dtype, write_tokens


@settings(deadline=None)
@given(length=st.integers(0, 300), context=st.integers(1, 40))
def test_one_pass_predicts_each_token_once(length: int, context: int) -> None:
    tokens = np.arange(length)
    source = TokenArray(tokens)
    count = source.windows(context)
    if count == 0:
        assert length <= context
        return
    windows = source.gather(np.arange(count), context)
    assert windows.shape == (count, context + 1)
    assert windows.dtype == np.int64
    np.testing.assert_array_equal(windows[:, :-1].ravel(), tokens[: count * context])
    np.testing.assert_array_equal(windows[:, 1:].ravel(), tokens[1 : count * context + 1])
    assert length - 1 - count * context < context, "less than a window is left over"


def test_windows_come_in_the_order_asked_for_and_as_copies() -> None:
    tokens = np.arange(100, dtype=np.uint8)
    windows = TokenArray(tokens).gather([3, 0, 3], context=10)
    assert windows[:, 0].tolist() == [30, 0, 30]
    windows[0, 0] = 99
    assert tokens[30] == 30


@pytest.mark.parametrize("index", [-1, 9])
def test_a_window_that_is_not_there_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match=r"windows 0 … 8"):
        TokenArray(np.arange(100)).gather([0, index], context=11)


def test_a_source_shorter_than_a_window_has_none() -> None:
    source = TokenArray(np.arange(8))
    assert source.windows(8) == 0
    with pytest.raises(ValueError, match="not one window"):
        source.gather([0], context=8)


@pytest.mark.parametrize("vocab_size", [256, 257, 65536, 65537])
def test_files_hold_every_token_of_the_vocabulary(tmp_path: Path, vocab_size: int) -> None:
    tokens = np.array([0, vocab_size - 1, 1])
    known = write_tokens(tmp_path / "t", [tokens[:2], tokens[2:]], vocab_size)
    np.testing.assert_array_equal(open_tokens(tmp_path, known).tokens, tokens)
    assert known.tokens == 3
    assert (tmp_path / "t").stat().st_size == 3 * np.dtype(token_dtype(vocab_size)).itemsize


def test_the_file_is_mapped_not_read_and_cannot_be_written(tmp_path: Path) -> None:
    known = write_tokens(tmp_path / "t", [np.arange(50)], 256)
    tokens = open_tokens(tmp_path, known).tokens
    assert isinstance(tokens.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 1


def test_an_empty_file_has_no_windows(tmp_path: Path) -> None:
    known = write_tokens(tmp_path / "t", [], 256)
    assert open_tokens(tmp_path, known).windows(4) == 0


@pytest.fixture
def written(tmp_path: Path) -> TokenFile:
    return write_tokens(tmp_path / "train.tokens", [np.arange(5000) % 251], 256)


def test_a_truncated_file_is_named(tmp_path: Path, written: TokenFile) -> None:
    path = tmp_path / "train.tokens"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"train\.tokens has 4999 bytes instead of 5000: delete"):
        open_tokens(tmp_path, written)


@pytest.mark.parametrize("place", [0, 2500, 4999])
def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path: Path, written: TokenFile, place: int) -> None:
    path = tmp_path / "train.tokens"
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"train\.tokens is damaged"):
        open_tokens(tmp_path, written)


def test_a_missing_file_is_named(tmp_path: Path, written: TokenFile) -> None:
    with pytest.raises(ValueError, match=r"other\.tokens is missing"):
        open_tokens(tmp_path, dataclasses.replace(written, file="other.tokens"))
