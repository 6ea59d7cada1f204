"""What the words of `scaling fit` ask: which law, which columns it reads, and which of its parameters are held."""

from collections.abc import Sequence
from dataclasses import fields, replace

import yaml

from analysis import laws
from scaling.config.nearest import nearest_key
from scaling.errors import UserError
from scaling.fitting.keys import CompareKeys, FitKeys, parse_keys
from scaling.fitting.own_law import is_own, load_own_law


def parse_asked(words: Sequence[str]) -> FitKeys:
    """The keys from `key=value` words, where a variable of the law is a key too: `experts=num_experts`.

    Raises:
        UserError: a word is neither a key nor a variable of the law.
        Refusal: there is no such law, or a parameter cannot be held.
    """
    known = {f.name for f in fields(FitKeys)}
    asked = next(
        (word.partition("=")[2] for word in reversed(words) if word.startswith("law=")), FitKeys().law
    )
    law = None
    if asked == "optimum":  # a table of optima, which no law of the loss is fitted to
        variables: tuple[str, ...] = ()
    elif asked in laws.FAMILIES:
        variables = ("proportion",)
    else:
        law = load_own_law(asked) if is_own(asked) else laws.get(asked)
        variables = (*law.variables, law.target)
    own = [word for word in words if _key(word) not in known and _key(word) in variables]
    for word in words:
        key = _key(word)
        if key not in known and key not in variables and "." not in key:
            of_law = [name for name in variables if name not in known]
            has = f"; law={asked} reads {', '.join(of_law)}" if of_law else ""
            raise UserError(f"{word}: no such key{has}; {nearest_key(key, [*known, *variables])}")
    keys = parse_keys([word for word in words if word not in own])
    columns = dict(keys.columns)
    for word in own:
        columns |= _columns(*word.split("=", 1))
    if law is None and columns:
        law = laws.get(f"{asked}[{len(columns)}]")
    if law is not None:
        law = laws.fix(law, keys.fixed)
    return replace(keys, columns=columns, law=asked if law is None else law.name)


def compare_keys(words: Sequence[str]) -> CompareKeys:
    """The keys of `scaling compare`: those of a fit, and the column that splits one table.

    Raises:
        UserError, Refusal: as `parse_asked`.
    """
    splits = [word for word in words if _key(word) == "by"]
    asked = parse_asked([word for word in words if word not in splits])
    by = splits[-1].partition("=")[2] if splits else None
    return CompareKeys(**{item.name: getattr(asked, item.name) for item in fields(FitKeys)}, by=by)


def _key(word: str) -> str:
    return word.partition("=")[0]


def _columns(key: str, value: str) -> dict[str, str]:
    """Role → column of one word; `proportion=[a,b]` names the first and the second."""
    if not value.startswith("["):
        return {key: value}
    return {f"{key}_{number}": str(column) for number, column in enumerate(yaml.safe_load(value), start=1)}


def list_laws() -> str:
    """Every law with its formula, variables and source, for `law=?`."""
    shown = [*laws.LAWS.values(), *(family(3) for family in laws.FAMILIES.values())]
    parts = []
    for law in shown:
        reads = ", ".join(law.variables)
        parts.append(
            f"{law.name.partition('[')[0]}\n  {law.formula}\n"
            f"  reads {reads} and {law.target}; {len(law.parameters)} parameters: {', '.join(law.parameters)}\n"
            f"  {law.source}"
        )
    units = "\n".join(f"  {v.name:18}{v.meaning}" for v in laws.VARIABLES.values() if v.meaning)
    return (
        "\n\n".join(parts)
        + "\n\nvariables (key=COLUMN says which column holds one):\n"
        + units
        + "\n\nlaw=FILE.py:FUNCTION fits a law of your own: def my_law(x, E=(1, 3), alpha=(0.1, 1)): …"
    )
