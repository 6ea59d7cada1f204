"""Words become keys: names of models, 7B and 2T, and one line for what cannot be read."""

import pytest

from scaling.budget.keys import BudgetKeys, ModelKeys, SolveKeys, keys_of, parse_keys
from scaling.errors import UserError


def test_words_are_read_with_their_conveniences() -> None:
    keys = parse_keys(["model=llama-2-7b", "tokens=2T", "layout.tensor=2", "price=1.5"], BudgetKeys)
    assert keys.model == ModelKeys(name="llama-2-7b")
    assert (keys.tokens, keys.layout.tensor, keys.price) == (2e12, 2, 1.5)
    assert parse_keys(["model.params=1.5b"], BudgetKeys).model.params == 1.5e9
    assert parse_keys(["model.params=125M", "tokens=3k"], BudgetKeys).tokens == 3e3
    # A suffix stands for a factor only where a number is due: here it is part of a name.
    assert parse_keys(["law=7b"], SolveKeys).law == "7b"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("model.widht=3", "did you mean model.width"),
        ("tokens=abc", "tokens=abc"),
        ("tokens=inf", "tokens=inf: must be finite"),
        ("model.params=nan", "model.params=nan: must be finite"),
        ("devices=1.5", "devices=1.5"),
    ],
)
def test_what_cannot_be_read_is_refused(word: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_keys([word], BudgetKeys)


def test_keys_are_listed_with_their_dots() -> None:
    keys = {key.name: key for key in keys_of(BudgetKeys(model=ModelKeys(width=64)))}
    assert keys["model.width"].value == 64
    assert keys["model.width"].schema is ModelKeys
    assert keys["hardware"].value == "a100-80gb"
    assert "float" in keys["tokens"].hint
    assert "model" not in keys
