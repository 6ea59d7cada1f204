"""The command lines of the commands that are not Hydra apps: flags, names and `key=value` words."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from scaling.config.integers import accept_integral_numbers
from scaling.config.nearest import nearest, nearest_key
from scaling.config.ranges import check_all_ranges
from scaling.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Words:
    """The words of a command line, sorted by what they are."""

    flags: frozenset[str]
    """Words that begin with a dash."""
    names: list[str]
    """All other words that are not of the form key=value: files, folders, questions."""
    overrides: list[str]
    """Words of the form key=value."""

    def single_name(self, what: str) -> str:
        """The one name of a command that takes exactly one.

        Raises:
            UserError: when there is none, or there are several; `what` says what is needed.
        """
        if len(self.names) != 1:
            given = (
                f"{len(self.names)} were given: {', '.join(self.names)}" if self.names else "none was given"
            )
            raise UserError(f"{what}; {given}")
        return self.names[0]


def sort_words(words: Sequence[str], flags: Sequence[str] = ()) -> Words:
    """Sort the words of a command line.

    Args:
        words: what was typed after the command.
        flags: the flags that the command knows, such as `["--json"]`.

    Raises:
        UserError: for a flag that the command does not know.
    """
    given = [word for word in words if word.startswith("-")]
    for flag in given:
        if flag not in flags:
            known = [*flags, "--help"]
            raise UserError(f"{flag}: no such flag; {nearest(flag, known, 'flags: ' + ', '.join(known))}")
    others = [word for word in words if not word.startswith("-")]
    # A file may have an equals sign in its name.
    names = [word for word in others if "=" not in word or os.path.exists(word)]
    return Words(frozenset(given), names, [word for word in others if word not in names])


def parse(overrides: Sequence[str], schema: type[T]) -> T:
    """Merge `key=value` words into a fresh instance of the dataclass `schema`.

    Args:
        overrides: words such as `["model.width=64", "tokens=1e9"]`; values are read as YAML.
        schema: a dataclass that OmegaConf can structure; its `__post_init__` runs on the merged values, and the ranges
            that it declares are checked.

    Raises:
        UserError: one line with the key, the value and a remedy.
    """
    accept_integral_numbers()
    config = OmegaConf.structured(schema)
    for word in overrides:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UserError(f"{word!r} is not of the form key=value; keys: {', '.join(known_keys(config))}")
        try:
            config.merge_with_dotlist([word])
        except OmegaConfBaseException as error:
            raise UserError(explain(error, config, f"{key}={value}")) from error
        except yaml.YAMLError as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{word}: the value is not YAML ({reason}); put it in quotes: {key}='\"…\"'"
            ) from error
    result = OmegaConf.to_object(config)
    assert isinstance(result, schema)
    check_all_ranges(result)
    return result


def known_keys(config: DictConfig | Any, prefix: str = "") -> list[str]:
    """All dotted keys of a config, depth first."""
    keys = []
    for key in config:
        dotted = f"{prefix}{key!s}"
        keys.append(dotted)
        if OmegaConf.is_missing(config, key):
            continue
        node = config[key]
        if OmegaConf.is_dict(node):
            keys += known_keys(node, f"{dotted}.")
    return keys


def explain(error: Exception, config: DictConfig | Any, given: str) -> str:
    """One line for a refused override: what was given, what is wrong, what to write in its place."""
    key = given.partition("=")[0].lstrip("+~")
    keys = known_keys(config)
    if key not in keys and isinstance(error, ConfigKeyError | ConfigAttributeError):
        return f"{given}: no such key; {nearest_key(key, keys)}"
    reason = str(getattr(error, "msg", None) or error).strip().splitlines()[0]
    return f"{given}: {reason}"


def field_help(schema: type) -> dict[str, str]:
    """The docstring literal under each field of a dataclass: its help text.

    Python drops these literals, so they are read from the source of the class.
    """
    import ast
    import inspect
    import textwrap

    assert is_dataclass(schema)
    texts: dict[str, str] = {}
    for base in reversed(schema.__mro__):
        if not is_dataclass(base):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for item, after in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(item, ast.AnnAssign)
                and isinstance(item.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                texts[item.target.id] = " ".join(str(after.value.value).split())
    return {field.name: texts.get(field.name, "") for field in fields(schema)}
