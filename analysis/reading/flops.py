"""Training FLOPs of a table beside 6 · params · tokens: which unit they are in, and whether they can be that at all."""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.allocate import TRAIN_FLOPS_PER_PARAM_TOKEN
from analysis.reading.names import plain_name, unit_of_name
from analysis.reading.numbers import FLOP_PREFIXES, SECONDS_PER_DAY, read_numbers
from analysis.refusals import BadColumn

FARTHEST = 100.0
"""No way of counting is farther from 6ND: attention and the head of a tiny model make a factor of ten, experts that
rest one of fifty. A unit makes a factor of 1,000 and more."""
NEAR = 4.0
"""FLOPs in the right unit are within this factor of 6ND, whatever of embeddings and attention they count."""
KNOWN_UNITS = tuple(
    sorted({*FLOP_PREFIXES.values(), *(prefix * SECONDS_PER_DAY for prefix in (1e12, 1e15, 1e18))})
)
"""What FLOPs are written in: powers of a thousand, and TF-days, PF-days and EF-days."""
_BARE_UNIT = re.compile(r"^(?:model_)?(?:k|m|g|t|p|e|kilo|mega|giga|tera|peta|exa)_?flops?$")


def six_nd_ratio(frame: pd.DataFrame) -> pd.Series:
    """FLOPs of each row over 6 · params · tokens."""
    return pd.Series(frame["flops"] / (TRAIN_FLOPS_PER_PARAM_TOKEN * frame["params"] * frame["tokens"]))


def is_rate(table: pd.DataFrame, column: str, mapping: Mapping[str, str]) -> bool:
    """Whether a column that is named by a unit alone (`tflops`) holds a speed, as many do, and not training FLOPs."""
    if not _BARE_UNIT.match(plain_name(column)):
        return False
    if not {"params", "tokens"} <= mapping.keys():
        return True
    known = {**mapping, "flops": column}
    frame = pd.DataFrame(
        {
            role: read_numbers(table[known[role]]) * unit_of_name(known[role])[1]
            for role in ("params", "tokens", "flops")
        }
    )
    ratio = float(six_nd_ratio(frame).median())
    return not 1 / FARTHEST <= ratio <= FARTHEST


def refuse_far(frame: pd.DataFrame, column: str, unit: float) -> None:
    """Raise where FLOPs are so far from 6ND that they are in another unit, or no training FLOPs.

    Args:
        frame: `params`, `tokens`, `flops` and the `row` of each.
        column: the column of the FLOPs.
        unit: what 1 stands for in it.
    """
    ratio = six_nd_ratio(frame)
    far = ~ratio.between(1 / FARTHEST, FARTHEST)
    if not far.any():
        return
    which = frame["row"][far]
    rows = (
        ""
        if far.all()
        else f" in row {which.iloc[0]}" + (f" and {far.sum() - 1} more" if far.sum() > 1 else "")
    )
    low, high = float(ratio[far].min()), float(ratio[far].max())
    times = f"{low:.2g}" if high / low < 1.05 else f"{low:.2g} to {high:.2g}"
    advice = "name another column with flops=COLUMN, or leave it out with flops=none"
    proposed = likely_unit(ratio)
    if far.all() and proposed is not None:
        advice = f"say what 1 stands for, units.flops={short(proposed * unit)} by these rows; or {advice}"
    raise BadColumn(f"flops (column {column!r}) are {times} times 6 · params · tokens{rows}: {advice}")


def short(number: float) -> str:
    """A power of ten as it is typed: 1e18."""
    return f"{number:.3g}".replace("e+0", "e").replace("e+", "e")


def likely_unit(ratio: pd.Series) -> float | None:
    """The known unit by which all rows would be near 6ND; None where there is none."""
    middle = float(ratio.median())
    best = min(KNOWN_UNITS, key=lambda unit: abs(float(np.log(unit * middle))))
    return best if (ratio * best).between(1 / NEAR, NEAR).all() else None


def in_words(frame: pd.DataFrame) -> str:
    """How the FLOPs of a table compare with 6ND."""
    ratio = six_nd_ratio(frame)
    low, high = float(ratio.min()), float(ratio.max())
    if low > 0.99 and high < 1.01:
        return "6 · params · tokens to 1 %"
    return f"{low:.3g} to {high:.3g} times 6 · params · tokens"
