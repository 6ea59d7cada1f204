"""Corpus `stdlib`: the source of Python's standard library, a real text that every machine with Python has.

Left out, by a rule rather than by name:
- packages installed beside it (site-packages, dist-packages) and everything below a folder named test,
  tests or idle_test: many distributions ship without them, and they are half of the bytes;
- generated tables (codec maps, entity lists, the build's variables): files in which more than 60 % of
  the text stands on lines that begin with a literal.
"""

import os
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from scaling.errors import UserError

_LEFT_OUT = frozenset({"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"})
"""Folders that are not read."""
_TABLE_SHARE = 0.6
"""A file is a table if more than this share of its bytes stands on lines that begin with a literal."""
_LITERAL_LINE = re.compile(rb"""^[ \t]*[(\[{]?[ \t]*(?:[bru]?['"](?!['"]{2})|\d|\\)[^\n]*""", re.MULTILINE)
"""A line that opens with a digit or a quoted string, perhaps inside a bracket, but not with a docstring's quotes."""


def files() -> list[Path]:
    """Source files of the standard library, sorted by path."""
    root = Path(sysconfig.get_path("stdlib"))
    found: list[Path] = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in _LEFT_OUT]
        found += [Path(folder, name) for name in names if name.endswith(".py")]
    if not found:
        raise UserError(
            f"no Python source under {root}: this Python came without its library's source; set corpus=text"
        )
    return sorted(found)


def documents() -> Iterator[bytes]:
    """One document a file: UTF-8 source, tables left out."""
    for path in files():
        source = path.read_bytes()
        if source and not is_table(source) and _is_utf8(source):
            yield source


def is_table(source: bytes) -> bool:
    """Whether a source file is mostly a table of literals, as codec maps are."""
    literal_bytes = sum(map(len, _LITERAL_LINE.findall(source)))
    return literal_bytes > _TABLE_SHARE * len(source)


def _is_utf8(source: bytes) -> bool:
    # PEP 263 allows other encodings; the few such files are test data of the codecs.
    try:
        source.decode()
    except UnicodeDecodeError:
        return False
    return True
