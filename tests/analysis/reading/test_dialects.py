"""A table written in any dialect reads back to the same numbers, or is refused in one line: never to other numbers."""

import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.refusals import Refusal
from analysis.table import load

RUNS = pd.DataFrame(
    {
        "params": [22_821_773, 36_227_307, 57_507_265, 1_280_000_000],
        "tokens": [7_302_967_507, 4_600_581_177, 2_898_184_545, 91_000_000_000],
        "loss": [3.6665, 3.56706, 3.5075, 2.123],
    }
).astype(float)
NAMES = {
    "params": [
        "params",
        "N",
        "Model Size",
        "n_params",
        "#params",
        "parameter_count",
        "config/n_params",
        "numParams",
    ],
    "tokens": ["tokens", "D", "Train Tokens", "num_tokens", "tokens_seen", "throughput/total_tokens"],
    "loss": [
        "loss",
        "val/loss",
        "Validation Loss",
        "eval/lm/c4-validation/CrossEntropyLoss",
        "pile test xent",
        "valLoss",
    ],
}
UNITS = {"": 1.0, "_m": 1e6, " (B)": 1e9, " [1e6]": 1e6, "_in_billions": 1e9}
SUFFIXES = {"": 1.0, "M": 1e6, " B": 1e9, " billion": 1e9, "k": 1e3}


def in_marks(number: float, decimal: str, thousands: str, digits: int = 12) -> str:
    """A number in plain digits, with a decimal mark, and a mark between groups of three."""
    whole, _, fraction = f"{number:.{digits}f}".rstrip("0").rstrip(".").partition(".")
    grouped = f"{int(whole):,}".replace(",", thousands)
    return grouped + (decimal + fraction if fraction else "")


@st.composite
def texts(draw: st.DrawFn) -> tuple[bytes, str]:
    """A file of RUNS in some dialect, and the ending of its name."""
    decimal = draw(st.sampled_from([".", ","]))
    thousands = draw(st.sampled_from(["", {".": ",", ",": "."}[decimal], " ", "_", "'"]))
    order = draw(st.permutations(list(RUNS.columns)))
    rows = RUNS.iloc[draw(st.permutations(range(len(RUNS))))]
    cells, header = {}, {}
    for role in order:
        name, unit, suffix = draw(st.sampled_from(NAMES[role])), "", ""
        if role != "loss":
            unit = draw(st.sampled_from(list(UNITS)))
            suffix = draw(st.sampled_from(list(SUFFIXES))) if not unit else ""
        header[role] = name + unit
        values = rows[role] / UNITS[unit] / SUFFIXES[suffix] if role != "loss" else rows[role]
        cells[role] = [in_marks(value, decimal, thousands) + suffix for value in values]
    shape = draw(st.sampled_from(["text", "text", "text", "records", "columns", "lines", "arrays"]))
    table = [[cells[role][i] for role in order] for i in range(len(RUNS))]
    names = [header[role] for role in order]
    if shape == "text":
        separators = [mark for mark in ",;\t|" if not any(mark in cell for row in table for cell in row)]
        separator = draw(st.sampled_from([",", *separators]))
        quoted = separator not in separators or draw(st.booleans())
        lines = [names, *table]
        if quoted:
            lines = [[f'"{cell}"' for cell in line] for line in lines]
        above = draw(st.sampled_from(["", "# runs of March\n", "# a\n# b, c\n", "\n", f"sep={separator}\n"]))
        end = draw(st.sampled_from(["\n", "\r\n"]))
        tail = draw(st.sampled_from(["", separator]))
        text = above + "".join(separator.join(line) + tail + end for line in lines)
    else:
        records = [dict(zip(names, row, strict=True)) for row in table]
        made: dict[str, Callable[[], str]] = {
            "records": lambda: json.dumps(records),
            "columns": lambda: json.dumps({name: [record[name] for record in records] for name in names}),
            "lines": lambda: "\n".join(json.dumps(record) for record in records),
            "arrays": lambda: json.dumps([names, *table]),
        }
        text = made[shape]()
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"]))
    content = text.encode(encoding)
    packed = draw(st.booleans())
    ending = draw(st.sampled_from(["csv", "txt", "tsv", "json", "dat"]))
    return (gzip.compress(content), f"{ending}.gz") if packed else (content, ending)


def read_or_reason(content: bytes, ending: str) -> pd.DataFrame | str:
    """The rows that a file gives, or why it was refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"runs.{ending}"
        path.write_bytes(content)
        try:
            return load(path).frame
        except Refusal as refusal:
            return str(refusal)


@settings(max_examples=300, deadline=None)
@given(texts())
def test_any_dialect_reads_back_to_the_same_numbers_or_is_refused(dialect: tuple[bytes, str]) -> None:
    found = read_or_reason(*dialect)
    if isinstance(found, str):
        assert "\n" not in found
        assert "decimal=" in found or "units." in found  # the only reasons that these dialects leave
        return
    expected = RUNS.sort_values("params").to_numpy()
    np.testing.assert_allclose(
        found.sort_values("params")[list(RUNS.columns)].to_numpy(), expected, rtol=1e-9
    )
