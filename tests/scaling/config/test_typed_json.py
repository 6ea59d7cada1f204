"""A job's config reaches the job as it was planned, value for value and type for type."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.config.corpus import BPETokenizer, BytesTokenizer, LexiconCorpus, StdlibCorpus, TextCorpus
from scaling.config.schema import (
    AdamWConfig,
    Branch,
    CosineConfig,
    MuonConfig,
    SweepConfig,
    TrainConfig,
    WSDConfig,
)
from scaling.config.typed_json import from_json, to_json
from scaling.errors import UserError

TRAIN = TrainConfig(
    corpus=LexiconCorpus(), tokenizer=BytesTokenizer(), optim=MuonConfig(), schedule=WSDConfig(), tokens=1e6
)


@given(
    tokens=st.floats(min_value=1, max_value=1e15),
    lr=st.floats(min_value=0, max_value=1e6, exclude_min=True),
    name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/."), min_size=1),
    optim=st.sampled_from([AdamWConfig, MuonConfig]),
    corpus=st.sampled_from([LexiconCorpus(), StdlibCorpus(), TextCorpus(paths=["a b", "ü.txt"])]),
    tokenizer=st.sampled_from([BytesTokenizer(), BPETokenizer()]),
)
def test_what_is_written_is_read(tokens: float, lr: float, name: str, optim: type, corpus, tokenizer) -> None:  # type: ignore[no-untyped-def]
    config = TrainConfig(
        name=name, corpus=corpus, tokenizer=tokenizer, optim=optim(lr=lr), schedule=WSDConfig(),
        branches=[Branch(tokens=tokens, budget_flops=None)],
    )  # fmt: skip
    assert from_json(json.loads(json.dumps(to_json(config)))) == config


def test_a_study_keeps_its_design_and_its_schedule() -> None:
    config = SweepConfig(**{**vars(TRAIN), "schedule": CosineConfig()})
    again = from_json(to_json(config))
    assert again == config
    assert type(again) is SweepConfig
    assert type(again.schedule) is CosineConfig


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class": "Popen"}, "not a job's config of this version"),
        ({"class": "WSDConfig"}, "not a job's config of this version"),
        ({"optim": {"class": "MuonConfig", "unknown": 1}}, "not a job's config of this version"),
        ({"tokens": 0.0}, "tokens=0.0: must be at least 1"),
    ],
)
def test_other_values_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_json({**to_json(TRAIN), **change})
