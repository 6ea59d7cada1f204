"""Hints for a word that is none of the known ones: "did you mean …?"."""

from collections.abc import Iterable
from difflib import get_close_matches

CLOSE = 0.5
"""Least similarity of what is proposed, on difflib's scale from 0 (nothing in common) to 1 (equal)."""


def nearest(word: str, choices: Iterable[str], otherwise: str | None = None) -> str:
    """The choices that are spelled most like a word, as a question.

    Where none is spelled like it, `otherwise` is returned; by default, a list of all choices.
    """
    known = list(choices)
    near = get_close_matches(word, known, n=3, cutoff=CLOSE)
    return _question(near) if near else otherwise or f"choose one of {', '.join(known)}"


def nearest_with_all(word: str, choices: Iterable[str]) -> str:
    """The choices that are spelled most like a word, as a question, then all of them: for a short list."""
    known = list(choices)
    near = get_close_matches(word, known, n=1, cutoff=CLOSE)
    return f"{_question(near)} There are: {', '.join(known)}" if near else f"choose one of {', '.join(known)}"


def nearest_key(key: str, keys: Iterable[str]) -> str:
    """The dotted keys that are spelled most like `key` or end in the same word, as a question; else its siblings."""
    known = list(keys)
    group, _, name = key.rpartition(".")
    near = get_close_matches(key, known, n=3, cutoff=CLOSE)
    near += [k for k in known if k.rpartition(".")[2] == name and k not in near]
    if near:
        return _question(near[:3])
    siblings = [k for k in known if k.rpartition(".")[0] == group]
    return f"keys there: {', '.join(siblings or known)}"


def _question(near: list[str]) -> str:
    return f"did you mean {' or '.join(near)}?"
