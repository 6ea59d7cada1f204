"""The command line of the commands that are not Hydra apps."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scaling.config.overrides import field_help, parse, sort_words
from scaling.errors import UserError


@dataclass
class Inner:
    """Keys of a group."""

    width: int = 3
    """how wide"""


@dataclass
class Keys:
    """Keys of a command."""

    level: float = 0.9
    """probability
    of intervals"""
    name: str | None = None
    units: dict[str, float] = field(default_factory=dict)
    """what 1 stands for"""
    inner: Inner = field(default_factory=Inner)
    """a group"""


def test_words_are_sorted_by_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a=b.csv").touch()
    words = sort_words(["x.csv", "--json", "level=0.5", "a=b.csv", f"name={'x' * 5000}"], ["--json"])
    assert words.flags == {"--json"}
    assert words.names == ["x.csv", "a=b.csv"]
    assert words.overrides == ["level=0.5", f"name={'x' * 5000}"]


def test_a_flag_that_is_not_known_is_refused() -> None:
    with pytest.raises(UserError, match=r"--jsn: no such flag; did you mean --json\?"):
        sort_words(["--jsn"], ["--json"])
    with pytest.raises(UserError, match="-q: no such flag; flags: --help"):
        sort_words(["-q"])


def test_a_command_of_one_name_takes_exactly_one() -> None:
    assert sort_words(["x", "a=b"]).single_name("give a folder") == "x"
    with pytest.raises(UserError, match="give a folder; none was given"):
        sort_words(["a=b"]).single_name("give a folder")
    with pytest.raises(UserError, match="give a folder; 2 were given: x, y"):
        sort_words(["x", "y"]).single_name("give a folder")


def test_values_are_yaml_and_have_the_type_that_is_declared() -> None:
    keys = parse(["level=1e-1", "name=null", "units.tokens=1e9", "inner.width=7"], Keys)
    assert keys == Keys(level=0.1, units={"tokens": 1e9}, inner=Inner(width=7))


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("level", "'level' is not of the form key=value; keys: level, name, units, inner, inner.width"),
        ("=3", "'=3' is not of the form key=value"),
        ("lvel=3", "lvel=3: no such key; did you mean level"),
        ("inner.widht=3", "inner.widht=3: no such key; did you mean inner.width"),
        ("level=high", "level=high: Value 'high' of type 'str' could not be converted to Float"),
        ("units.tokens=abc", "units.tokens=abc: Value 'abc' of type 'str' could not be converted to Float"),
        ("name=[1", "name=[1: the value is not YAML (while parsing a flow sequence"),
    ],
)
def test_a_wrong_word_is_one_line(word: str, line: str) -> None:
    with pytest.raises(UserError) as refused:
        parse([word], Keys)
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


def test_the_text_under_a_field_is_its_help() -> None:
    assert field_help(Keys) == {
        "level": "probability of intervals",
        "name": "",
        "units": "what 1 stands for",
        "inner": "a group",
    }
