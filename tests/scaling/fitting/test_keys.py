"""The keys of `scaling fit`."""

from scaling.config.overrides import field_help
from scaling.fitting.keys import FitKeys, help_text, parse_keys


def test_every_key_is_documented() -> None:
    texts = field_help(FitKeys)
    assert all(texts.values())
    assert all(name in help_text() for name in texts)


def test_only_the_columns_that_were_named_are_handed_on() -> None:
    assert FitKeys(params="N").named(("params", "tokens")) == {"params": "N"}


def test_conditions_and_marks_are_read_as_typed() -> None:
    keys = parse_keys(
        [
            "where.params<3e9",
            "where.params>=1e8",
            "where.opt!=muon",
            "where.model=d=96",
            "where.seed=[0,1]",
            "decimal=,",
        ]
    )
    assert keys.where == {
        "params<": "3e9",
        "params>=": "1e8",
        "opt!=": "muon",
        "model": "d=96",
        "seed": [0, 1],
    }
    assert keys.decimal == ","
    assert parse_keys(["sep=;"]).sep == ";"
