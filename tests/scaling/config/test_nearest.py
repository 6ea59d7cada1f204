"""Hints for a word that is none of the known ones."""

from scaling.config.nearest import nearest, nearest_key

KEYS = ["tokens", "model", "model.width", "model.depth", "optim", "optim.lr"]


def test_words_spelled_alike_are_proposed_nearest_first() -> None:
    assert nearest("adam", ["muon", "adamw"]) == "did you mean adamw?"
    assert nearest("a100", ["a100-80gb", "a100", "t4"]) == "did you mean a100 or a100-80gb?"


def test_without_one_the_choices_are_named() -> None:
    assert nearest("xyz", ["muon", "adamw"]) == "choose one of muon, adamw"
    assert nearest("xyz", ["muon", "adamw"], "see --help") == "see --help"


def test_a_key_is_found_by_its_spelling_its_last_word_or_its_siblings() -> None:
    assert nearest_key("model.widht", KEYS) == "did you mean model.width or model.depth or model?"
    assert nearest_key("trainer_settings.lr", KEYS) == "did you mean optim.lr?"
    assert nearest_key("model.xyzxyzxyzxyz", KEYS) == "keys there: model.width, model.depth"
    assert nearest_key("qqq.xyz", ["tokens"]) == "keys there: tokens"
