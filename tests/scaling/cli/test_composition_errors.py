"""What Hydra and OmegaConf refuse, in one line that says what to write."""

import pytest
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import InstantiationException, MissingConfigException, OverrideParseException

from scaling.cli.composition_errors import explain_composition, is_composition_error
from scaling.config.schema import register
from scaling.errors import UserError


@pytest.mark.parametrize(
    ("command", "word", "line"),
    [
        ("train", "model.widht=3", "model.widht=3: no such key; did you mean model.width"),
        ("train", "model.width=abc", "model.width=abc: Value 'abc' of type 'str' could not be converted"),
        ("train", "branches=[3]", "branches=[3]: Invalid type assigned: int is not a subclass of Branch"),
        ("train", "tokens=${nope}", "tokens=${nope}: Interpolation key 'nope' not found (tokens: Tokens to "),
        ("train", "optim=adam", "optim=adam: no such option; did you mean adamw? There are: adamw, muon"),
        ("train", "experiment=nope", "experiment=nope: no such option; choose one of gpu, known_truth, "),
        ("sweep", "experiment=quikstart", "experiment=quikstart: no such option; did you mean quickstart? There are: "),
        ("sweep", "experiment=nope", "experiment=nope: no such option; choose one of gpu, known_truth, "),
        ("train", "experiment=smoke", "experiment=smoke: plans a study of many runs; use `scaling sweep experiment="),
        ("train", "design.sizes=3", "design.sizes=3: plans a study of many runs; use `scaling sweep design.sizes=3`"),
        ("train", "model.width=[1", "model.width=[1: cannot be read (no viable alternative at input '[1')"),
        ("train", "model.width", "model.width: cannot be read ("),
        ("train", "model=3", "Config group override must be a string or a list. Got int; a group, such as"),
        ("train", "+model.width=3", "Could not append to config. An item is already at 'model.width'."),
    ],
)  # fmt: skip
def test_a_wrong_word_is_one_line(command: str, word: str, line: str) -> None:
    register()
    GlobalHydra.instance().clear()
    with initialize_config_module("scaling.conf", version_base="1.3"), pytest.raises(Exception) as refused:
        str(compose(command, overrides=[word]).tokens)
    assert is_composition_error(refused.value)
    told = explain_composition(refused.value, [word])
    assert told.startswith(line)
    assert "\n" not in told


def test_a_value_error_of_our_own_is_no_composition_error() -> None:
    with pytest.raises(ValueError) as bug:
        list(zip([1], [], strict=True))
    assert not is_composition_error(bug.value)
    assert not is_composition_error(ValueError())


def test_an_option_that_a_missing_package_would_bring_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaling.sweep.placement.find_spec", lambda name: None)
    for option, extra in {"joblib": "joblib", "submitit_slurm": "slurm", "ray": "ray"}.items():
        error = MissingConfigException("In 'sweep': Could not find", f"hydra/launcher/{option}", ["local"])
        assert explain_composition(error, []) == (
            f"hydra/launcher={option}: its package is not installed; pip install 'scaling-simulator[{extra}]'"
        )
    typed = MissingConfigException("Could not find", "hydra/launcher/lcal", ["local", "schema_x"])
    assert (
        explain_composition(typed, [])
        == "hydra/launcher=lcal: no such option; did you mean local? There are: local"
    )


def test_a_refusal_of_a_class_that_hydra_makes_is_shown_as_it_is() -> None:
    error = InstantiationException("Error in call to target 'x':\nUserError('workers=0')")
    assert explain_composition(error, []) == "Error in call to target 'x': UserError('workers=0')"
    error.__cause__ = UserError("workers=0: must be at least 1")
    assert explain_composition(error, []) == "workers=0: must be at least 1"


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("corpus.paths=[my täxts]", """corpus.paths='["my täxts"]'"""),
        ("corpus.paths=[a b,ü]", """corpus.paths='["a b","ü"]'"""),
        ("name=größe", """name='"größe"'"""),
    ],
)
def test_text_with_special_characters_is_shown_in_quotes_that_hydra_takes(word: str, quoted: str) -> None:
    with pytest.raises(OverrideParseException) as refused:
        OverridesParser.create().parse_overrides([word])
    told = explain_composition(refused.value, [word])
    assert "Exception" not in told
    assert told.endswith(quoted)
    key, _, value = quoted.partition("=")
    OverridesParser.create().parse_overrides([f"{key}={value[1:-1]}"])  # as the shell passes it on
