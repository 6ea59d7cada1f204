"""Files that are either whole or absent, and whose damage is noticed when they are read.

A file is written under a temporary name, flushed to the disk and renamed, so that nobody ever sees half of it, even
when the writer is killed. A sealed file ends in a line with the SHA-256 of all that stands before that line; a JSON
file carries a checksum of its values. A file that does not agree with its checksum is set aside under another name.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from scaling.errors import UserError
from scaling.records.folder import DAMAGED, PART

JsonObject = dict[str, Any]
"""The values of a JSON object by key, of whatever types JSON knows."""
CHECKSUM = "checksum"
"""Key of a JSON object's own checksum."""
_SEAL = b"\nsha256 "
_CHUNK_BYTES = 1 << 20


class Damaged(UserError):
    """A file is not what this program wrote: it is truncated, altered, or of another origin."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, so that it survives a crash of the machine once this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        move_into_place(Path(temporary), path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        _name_file(error, path)
        raise


def _name_file(error: BaseException, path: Path) -> None:
    """Tell an error which file it concerns; one of writing to an open file, as on a full disk, names none."""
    if isinstance(error, OSError) and error.errno is not None and error.filename is None:
        error.filename = str(path)


def move_into_place(temporary: Path, path: Path) -> None:
    """Rename a written file once its bytes are on the disk, and put its new name on the disk too."""
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
    """Remove the temporary files that killed writers left in a folder in which nobody writes now.

    `below`: in all folders below it too.
    """
    for part in folder.glob(f"**/.*{PART}" if below else f".*{PART}"):
        part.unlink(missing_ok=True)


def set_aside(path: Path) -> Path:
    """Rename a damaged file to NAME.damaged-N with the first free number N; returns its new path."""
    number = 1
    while (aside := path.with_name(f"{path.name}{DAMAGED}{number}")).exists():
        number += 1
    path.rename(aside)
    return aside


# --- sealed files: any bytes, then a line with a label and the SHA-256 of everything before the SHA-256 ---


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
    """The bytes of a file with this content after `seal`."""
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
    label, _, stated = words[:-1].rpartition(b" ")
    found = _digest(path, size - len(stated) - 1)
    if found.hexdigest().encode() != stated:
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


def write_json(path: Path, values: JsonObject) -> None:
    """Write a JSON object that carries the checksum of its values."""
    write_atomically(path, json_bytes(values))


def json_bytes(values: JsonObject) -> bytes:
    """The bytes of a JSON object that carries the checksum of its values, as `read_json` expects."""
    return json.dumps({**values, CHECKSUM: _checksum(values)}, indent=1, allow_nan=False).encode()


def read_json(path: Path) -> JsonObject:
    """The values of a JSON object that `write_json` wrote.

    Raises:
        Damaged: one line, naming the file, when it is not what was written.
    """
    try:
        values: JsonObject = json.loads(path.read_bytes())
        stated = values.pop(CHECKSUM)
        whole = stated == _checksum(values)
    except (ValueError, RecursionError) as error:  # The text is not JSON, not UTF-8, or has NaN.
        raise Damaged(f"{path}: truncated or damaged ({' '.join(str(error).split())})") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise Damaged(f"{path}: not a file of this program, or damaged (it has no checksum)") from error
    if not whole:
        raise Damaged(f"{path}: damaged (its checksum does not match)")
    return values


def _checksum(values: JsonObject) -> str:
    return hashlib.sha256(json.dumps(values, allow_nan=False).encode()).hexdigest()
