"""What a user may say about a corpus, and what is refused."""

import ast
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

import scaling.config.corpus as config
from scaling.config.corpus import (
    BPETokenizer,
    BytesTokenizer,
    HubCorpus,
    LexiconCorpus,
    StdlibCorpus,
    TextCorpus,
)

KINDS = {
    "corpus": {"stdlib": StdlibCorpus, "text": TextCorpus, "hub": HubCorpus, "lexicon": LexiconCorpus},
    "tokenizer": {"bytes": BytesTokenizer, "bpe": BPETokenizer},
}
CONF = Path(__file__).parents[3] / "conf"


@pytest.mark.parametrize("kind", [kind for kinds in KINDS.values() for kind in kinds.values()])
def test_every_kind_is_a_structured_config_that_comes_back_whole(kind: type) -> None:
    default = kind()
    made = OmegaConf.to_object(OmegaConf.structured(kind))
    assert type(made) is kind
    assert made == default


@pytest.mark.parametrize("group", KINDS)
def test_every_kind_has_its_option_and_defaults_have_one_home(group: str) -> None:
    options = {path.stem: yaml.safe_load(path.read_text()) for path in (CONF / group).glob("*.yaml")}
    assert options == {name: {"defaults": [f"schema_{name}", "_self_"]} for name in KINDS[group]}


def test_every_field_is_documented() -> None:
    tree = ast.parse(Path(config.__file__).read_text())
    bodies = [node.body for node in tree.body if isinstance(node, ast.ClassDef)]
    fields = [pair for body in bodies for pair in pairwise(body) if isinstance(pair[0], ast.AnnAssign)]
    assert len(fields) == len({id(n) for body in bodies for n in body if isinstance(n, ast.AnnAssign)}) > 12
    for field, following in fields:
        documented = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        assert documented, ast.unparse(field)


@pytest.mark.parametrize(
    ("kind", "wrong", "told"),
    [
        (StdlibCorpus, {"validation_bytes": 63}, "corpus.validation_bytes=63"),
        (StdlibCorpus, {"validation_fraction": 0.51}, "corpus.validation_fraction=0.51"),
        (StdlibCorpus, {"validation_fraction": 0.0}, "corpus.validation_fraction=0.0"),
        (StdlibCorpus, {"seed": -1}, "corpus.seed=-1"),
        (TextCorpus, {"document_bytes": 8}, "corpus.document_bytes=8"),
        (HubCorpus, {"limit_bytes": 0}, "corpus.limit_bytes=0"),
        (LexiconCorpus, {"words": 1}, "corpus.words=1"),
        (LexiconCorpus, {"a": 0.0}, "corpus.a=0.0"),
        (LexiconCorpus, {"words": 100_000, "a": 3.0}, "corpus.words=100000, a=3.0"),
        (LexiconCorpus, {"a": float("nan")}, "corpus.a=nan"),
        (LexiconCorpus, {"shortest_word": 5, "longest_word": 4}, "shortest_word=5, longest_word=4"),
        (LexiconCorpus, {"words": 500, "shortest_word": 1, "longest_word": 2}, "spell only 702 words"),
        (BPETokenizer, {"vocab_size": 257}, "tokenizer.vocab_size=257"),
    ],
)
def test_values_that_cannot_work_are_refused_in_one_line(
    kind: type, wrong: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError) as refusal:
        kind(**wrong)
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)
