"""The `key=value` grammar of the commands that are not Hydra apps, and one-line errors for all of them."""

from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from scaling.errors import UserError

T = TypeVar("T")


def parse(overrides: list[str], schema: type[T]) -> T:
    """Merge `key=value` words into a fresh instance of the dataclass `schema`.

    Args:
        overrides: words such as `["model.width=64", "tokens=1e9"]`; values are read as YAML.
        schema: a dataclass that OmegaConf can structure; its `__post_init__` runs on the merged values.

    Raises:
        UserError: one line with the key, the value and a remedy.
    """
    config = OmegaConf.structured(schema)
    for word in overrides:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UserError(f"{word!r} is not of the form key=value; keys: {', '.join(known_keys(config))}")
        try:
            config.merge_with_dotlist([word])
        except (OmegaConfBaseException, ConfigKeyError) as error:
            raise UserError(explain(error, config, f"{key}={value}")) from error
    result = OmegaConf.to_object(config)
    assert isinstance(result, schema)
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
    if key not in keys:
        near = get_close_matches(key, keys, n=3, cutoff=0.5)
        last = key.rpartition(".")[2]
        near += [k for k in keys if k.rpartition(".")[2] == last and k not in near]
        siblings = [k for k in keys if k.rpartition(".")[0] == key.rpartition(".")[0]]
        hint = f"did you mean {' or '.join(near[:3])}?" if near else f"keys there: {', '.join(siblings)}."
        return f"{given}: no such key; {hint}"
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
