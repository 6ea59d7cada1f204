"""Files that are whole or absent, and are known to be what was written.

A file is written beside its place, flushed to the disk and renamed into it, so that nobody ever sees half of one,
whatever is killed. A sealed file ends in a line with the SHA-256 of all that stands before it; JSON carries its own
checksum. What does not agree is set aside under another name and never read.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from scaling.errors import UserError
from scaling.records.folder import DAMAGED, PART

CHECKSUM = "checksum"
"""Key of a JSON object's own checksum."""
_SEAL = b"\nsha256 "
_CHUNK_BYTES = 1 << 20


class Damaged(UserError):
    """A file that is not what was written: truncated, altered, or of another origin."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, and durably: another file never stands half-written in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        move_into_place(Path(temporary), path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def move_into_place(temporary: Path, path: Path) -> None:
    """Give a written file its name, once its bytes are on the disk; and the name itself is, too."""
    _sync(temporary)
    os.replace(temporary, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_parts(folder: Path, *, below: bool = True) -> None:
    """Remove what killed writers left in a folder that has no other writer now; and, `below` it, in all its folders."""
    for part in folder.glob(f"**/.*{PART}" if below else f".*{PART}"):
        part.unlink(missing_ok=True)


def set_aside(path: Path) -> Path:
    """Rename a damaged file to NAME.damaged-N, N the first that is free; returns its new path."""
    number = 1
    while (aside := path.with_name(f"{path.name}{DAMAGED}{number}")).exists():
        number += 1
    path.rename(aside)
    return aside


# --- sealed files: any bytes, then a line with a label and the digest of all before the digest ---------


def digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    return _digest(path, path.stat().st_size).hexdigest()


def seal(path: Path, label: str) -> None:
    """End a file with its seal. `label`: a few words without line breaks, such as what the file belongs to."""
    line = _SEAL + label.encode() + b" "
    found = _digest(path, path.stat().st_size)
    found.update(line)
    with path.open("ab") as file:
        file.write(line + found.hexdigest().encode() + b"\n")


def sealed(content: bytes, label: str) -> bytes:
    """Bytes with the seal that `seal` gives a file."""
    whole = content + _SEAL + label.encode() + b" "
    return whole + hashlib.sha256(whole).hexdigest().encode() + b"\n"


def seal_label(path: Path) -> str:
    """Check a sealed file and return its label.

    Raises:
        Damaged: one line, naming the file, when it is not what was sealed.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 512))
        tail = file.read()
    start = tail.rfind(_SEAL)
    words = tail[start + len(_SEAL) :]
    if start < 0 or not words.endswith(b"\n") or b" " not in words:
        raise Damaged(f"{path}: truncated, or not a file of this program (it has no seal at its end)")
    label, _, told = words[:-1].rpartition(b" ")
    found = _digest(path, size - len(told) - 1)
    if found.hexdigest().encode() != told:
        raise Damaged(f"{path}: damaged (its checksum does not match)")
    return label.decode()


def _digest(path: Path, size: int) -> "hashlib._Hash":
    result = hashlib.sha256()
    with path.open("rb") as file:
        while size and (chunk := file.read(min(size, _CHUNK_BYTES))):
            result.update(chunk)
            size -= len(chunk)
    return result


# --- JSON with its own checksum ------------------------------------------------------------------------


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON object that carries the checksum of its values."""
    write_atomically(path, json_bytes(values))


def json_bytes(values: dict[str, Any]) -> bytes:
    """A JSON object that carries the checksum of its values, for `read_json`."""
    return json.dumps({**values, CHECKSUM: _checksum(values)}, indent=1, allow_nan=False).encode()


def read_json(path: Path) -> dict[str, Any]:
    """The values of a JSON object that `write_json` wrote.

    Raises:
        Damaged: one line, naming the file, when it is not what was written.
    """
    try:
        values: dict[str, Any] = json.loads(path.read_bytes())
        told = values.pop(CHECKSUM)
        whole = told == _checksum(values)
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or not a number that JSON knows
        raise Damaged(f"{path}: truncated or damaged ({' '.join(str(error).split())})") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise Damaged(f"{path}: not a file of this program, or damaged (it has no checksum)") from error
    if not whole:
        raise Damaged(f"{path}: damaged (its checksum does not match)")
    return values


def _checksum(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, allow_nan=False).encode()).hexdigest()
