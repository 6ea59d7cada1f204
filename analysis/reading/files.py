"""Reading the files that tables of runs come in."""

from pathlib import Path

import pandas as pd

from analysis.refusals import BadTable


def read(path: Path) -> pd.DataFrame:
    """Read one file by its ending, or `records.csv` in a folder."""
    if path.is_dir():
        if not (path / "records.csv").is_file():
            raise BadTable(
                f"{path} holds no records.csv; give a sweep's folder or a CSV, Parquet or JSONL file"
            )
        path = path / "records.csv"
    if not path.is_file():
        raise BadTable(f"{path} does not exist; give a CSV, Parquet or JSONL file, or a sweep's folder")
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    try:
        if kind in ("csv", "tsv"):
            return pd.read_csv(path, sep="\t" if kind == "tsv" else ",")
        if kind in ("jsonl", "ndjson"):
            return pd.read_json(path, lines=True)
        if kind == "parquet":
            return pd.read_parquet(path)
    except ImportError as error:
        raise BadTable(
            f"{path}: Parquet needs pyarrow; install it (pip install pyarrow) or give a CSV"
        ) from error
    except (ValueError, EOFError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise BadTable(f"{path} cannot be read as {kind}: {str(error).splitlines()[0]}") from error
    raise BadTable(
        f"{path}: unknown ending {path.suffix!r}; give .csv, .tsv, .parquet, .jsonl or one of these with .gz"
    )
