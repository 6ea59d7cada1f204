"""Why Hydra or OmegaConf could not make a config of what was typed, in one line."""

import re
import traceback
from collections.abc import Sequence

from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import OmegaConfBaseException

from analysis.refusals import Refusal
from scaling.config.nearest import nearest_key, nearest_with_all
from scaling.config.schema import documented_keys
from scaling.sweep.placement import missing_extra

LAUNCHERS = "hydra/launcher/"
IN_AN_OPTION = re.compile(r"In '(\w+/\S+)': ")
"""How Hydra's message about a file of `conf/` begins, such as `conf/experiment/smoke.yaml`."""
STUDY_KEY = "Key 'design' not in 'TrainConfig'"
"""OmegaConf's message when keys of a study are given to `scaling train`."""
DETAILS = ("full_key: ", "object_type=", "reference_type=")
"""Lines of OmegaConf's messages that name its own classes."""


def is_composition_error(error: BaseException) -> bool:
    """Whether Hydra or OmegaConf refused what was typed."""
    return isinstance(error, HydraException | OmegaConfBaseException) or _is_hydras_value_error(error)


def _is_hydras_value_error(error: BaseException) -> bool:
    # Hydra refuses some words, such as `model=3`, with a plain ValueError that its own code raises.
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return (
        isinstance(error, ValueError)
        and bool(frames)
        and frames[-1].f_globals["__name__"].startswith("hydra.")
    )


def explain_composition(error: BaseException, words: Sequence[str]) -> str:
    """One line that says which word is wrong, why, and what to write.

    Args:
        error: one for which `is_composition_error` holds.
        words: the command line.
    """
    if isinstance(error, MissingConfigException):
        return _explain_missing_option(error)
    if isinstance(error.__cause__, Refusal):  # raised by a class that Hydra instantiates, such as a launcher
        return " ".join(str(error.__cause__).split())
    if isinstance(error, InstantiationException):
        return " ".join(_lines(error))
    if _is_hydras_value_error(error):
        return f"{error}; a group, such as model or optim, takes the name of one of its options"
    if isinstance(error, OverrideParseException):
        return _explain_unreadable(str(error.override), _lines(error)[0])
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    lines = _lines(cause)
    if (in_an_option := IN_AN_OPTION.match(lines[0])) and len(lines) > 1:
        return _explain_option(in_an_option[1], lines[1:])
    key = str(getattr(cause, "full_key", None) or "").partition("[")[0]
    word = _word_that_sets(key, words)
    keys = documented_keys()
    if lines[0] == STUDY_KEY:
        return f"{word}: plans a study of many runs; use `scaling sweep {word}`"
    if key and key not in keys and not key.startswith("hydra.") and "not in" in lines[0]:
        return f"{word}: no such key; {nearest_key(key, keys)}"
    told = [line for line in lines if not line.startswith(DETAILS)]
    reason = " ".join(told) if told and "Could not override" in told[0] else (told or lines)[0]
    meaning = f" ({key}: {keys[key]})" if keys.get(key) else ""
    return f"{word}: {reason}{meaning}" if word else reason


def _explain_unreadable(word: str, reason: str) -> str:
    """For a word that Hydra's grammar does not know, such as text with special characters and without quotes."""
    key, _, value = word.partition("=")
    if not reason.startswith("Lexer"):  # The characters are known, but do not stand in the form of any value.
        return f"{word}: cannot be read ({reason}); expected key=value, or key='value' in quotes"
    bare = value.strip("'\"")
    if value.startswith("[") and value.endswith("]"):
        texts = [text.strip(" '\"") for text in value[1:-1].split(",")]
        quoted = "[" + ",".join(f'"{text}"' for text in texts) + "]"
    else:
        quoted = f'"{bare}"'
    return (
        f"{word}: the value cannot be read; text with special characters stands in quotes, which the shell "
        f"must not take away: {key}='{quoted}'"
    )


def _explain_missing_option(error: MissingConfigException) -> str:
    """For a group's option that has no file, such as `optim=adam`."""
    lines = _lines(error)
    option = error.missing_cfg_file if isinstance(error.missing_cfg_file, str) else lines[0]
    if option.startswith(LAUNCHERS) and (extra := missing_extra(option.removeprefix(LAUNCHERS))):
        return f"{option.replace('/launcher/', '/launcher=')}: its package is not installed; {extra}"
    choices = [choice for choice in error.options or () if not choice.startswith("schema_")]
    group, _, name = option.rpartition("/")
    word = f"{group}={name}" if group else name
    return f"{word}: no such option" + (f"; {nearest_with_all(name, choices)}" if choices else "")


def _explain_option(option: str, lines: list[str]) -> str:
    """For an option's file that says what the config cannot take; `lines` is the reason."""
    word = option.replace("/", "=")
    if lines[0] == STUDY_KEY:
        return f"{word}: plans a study of many runs; use `scaling sweep {word}`"
    keys = [line.removeprefix("full_key: ") for line in lines if line.startswith("full_key: ")]
    return f"{', '.join([word, *keys])}: {lines[0]}"


def _word_that_sets(key: str, words: Sequence[str]) -> str:
    """The word of the command line that sets a key, or a key below it; the key itself where there is none."""
    for word in words:
        given = word.lstrip("+~").partition("=")[0]
        if key and (given == key or given.startswith(f"{key}.")):
            return word
    return key


def _lines(error: BaseException) -> list[str]:
    """The lines of an error's message that are not empty; at least one."""
    return [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
