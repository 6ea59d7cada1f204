"""Reading the files that tables of runs come in; what a file holds is told by its content, not by its name."""

import bz2
import gzip
import lzma
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pandas as pd

from analysis.reading.decimals import plain_numbers
from analysis.reading.delimited import separator, table_of_cells, table_of_text
from analysis.reading.json_tables import table_of_json
from analysis.refusals import BadTable

FORMATS = "a CSV (any separator), JSON, JSON-lines, Parquet or Excel file"
PACKED: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress,
}  # fmt: skip
"""First bytes of a packed file → how it is unpacked."""
BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
EXCEL = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


def read(path: Path, sep: str | None = None, decimal: str | None = None) -> pd.DataFrame:
    """Read one file, or `records.csv` in a folder.

    Args:
        path: a file of text (separators, decimal mark, encoding and lines above the header are found out), JSON,
            Parquet or Excel, also packed by gzip, bzip2 or xz; or a folder that holds `records.csv`.
        sep: what separates the columns of a text; by default what splits every line alike.
        decimal: the decimal mark, "," or "."; by default the numbers tell.

    Raises:
        BadTable: there is no such file, or it holds no table; the message says why.
        BadColumn: numbers such as 1,234 can be read either way.
        BadValue: `sep` or `decimal` is none.
    """
    separator(sep)
    if path.is_dir():
        if not (path / "records.csv").is_file():
            raise BadTable(f"{path} holds no records.csv; give a sweep's folder or {FORMATS}")
        path = path / "records.csv"
    if not path.is_file():
        raise BadTable(f"{path} does not exist; give {FORMATS}, or a sweep's folder")
    try:
        table = table_of(path.read_bytes(), sep)
    except BadTable as error:
        raise BadTable(f"{path} {error}") from error
    except ImportError as error:
        raise BadTable(f"{path}: {needs(path)}") from error
    except (ValueError, EOFError, OSError, lzma.LZMAError) as error:  # of pandas and the packers
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadTable(f"{path} cannot be read: {said}; give {FORMATS}") from error
    return plain_numbers(table, decimal)


def table_of(content: bytes, sep: str | None) -> pd.DataFrame:
    """The table that a file's bytes hold, the cells of a text as they are written."""
    for mark, unpack in PACKED.items():
        if content.startswith(mark):
            return table_of(unpack(content), sep)
    if content.startswith(b"PAR1"):
        return pd.read_parquet(BytesIO(content))
    if content.startswith(EXCEL):
        sheet = pd.read_excel(BytesIO(content), header=None)
        return table_of_cells(
            [["" if pd.isna(cell) else cell for cell in row] for row in sheet.to_numpy().tolist()]
        )
    text = decoded(content)
    start = text.lstrip()[:200].lower()
    if start.startswith(("{", "[")):
        return table_of_json(text)
    if start.startswith(("<!doctype", "<html", "<?xml")):
        raise BadTable(f"holds a web page, not a table; save the raw file, and give {FORMATS}")
    if start.startswith("version https://git-lfs"):
        raise BadTable("is a pointer of Git LFS, not the file itself; fetch it with git lfs pull")
    return table_of_text(text, sep)


def decoded(content: bytes) -> str:
    """Bytes as text: UTF-8, UTF-16 with or without its mark, else the Windows code page that Excel writes."""
    for mark, encoding in BOMS:
        if content.startswith(mark):
            return content.decode(encoding)
    head = content[:2000]
    if b"\x00" in head and len(head) >= 8:
        nulls = [half.count(0) / max(len(half), 1) for half in (head[0::2], head[1::2])]
        if max(nulls) > 0.8 and min(nulls) < 0.1:  # Latin letters in UTF-16: every other byte is zero
            return content.decode("utf-16-be" if nulls[0] > nulls[1] else "utf-16-le")
        raise BadTable(f"holds bytes that are no text; give {FORMATS}")
    if _CONTROL.search(content):
        raise BadTable(f"holds bytes that are no text; give {FORMATS}")
    for encoding in ("utf-8", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def needs(path: Path) -> str:
    """Which package reads a file that pandas alone does not."""
    with path.open("rb") as file:
        if file.read(4).startswith(EXCEL):
            return "Excel needs openpyxl; install it (pip install openpyxl), or save the sheet as CSV"
    return "Parquet needs pyarrow; install it (pip install pyarrow), or give a CSV"
