"""The keys of `scaling fit`."""

from scaling.config.overrides import field_help
from scaling.fitting.keys import FitKeys, help_text


def test_every_key_is_documented() -> None:
    texts = field_help(FitKeys)
    assert all(texts.values())
    assert all(name in help_text() for name in texts)


def test_only_the_columns_that_were_named_are_handed_on() -> None:
    assert FitKeys(params="N").named(("params", "tokens")) == {"params": "N"}
