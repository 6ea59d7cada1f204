"""Numbers as people write them in tables: 70M, 1.4 B, 20 billion tokens, 1e18 FLOPs, 3640 PF-days, 1 000 000, 12 %."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.refusals import BadValue

UNITS = {
    "k": 1e3, "thousand": 1e3, "thousands": 1e3, "m": 1e6, "mn": 1e6, "million": 1e6, "millions": 1e6,
    "b": 1e9, "bn": 1e9, "g": 1e9, "billion": 1e9, "billions": 1e9, "t": 1e12, "tn": 1e12, "trillion": 1e12,
    "trillions": 1e12, "quadrillion": 1e15, "quintillion": 1e18, "sextillion": 1e21,
}  # fmt: skip
"""What people write after a count → what 1 of it stands for."""
FLOP_PREFIXES = {
    "k": 1e3, "kilo": 1e3, "m": 1e6, "mega": 1e6, "g": 1e9, "giga": 1e9, "t": 1e12, "tera": 1e12, "p": 1e15,
    "peta": 1e15, "e": 1e18, "exa": 1e18, "z": 1e21, "zetta": 1e21, "y": 1e24, "yotta": 1e24,
}  # fmt: skip
"""The SI's prefixes, as they stand before FLOPs."""
SECONDS_PER_DAY = 86400
"""A PF-day is the work of 1e15 FLOP/s for one day (Kaplan et al., 2020, section 1.3)."""
LARGEST_UNIT = 1e25
"""No table of runs counts in more than YFLOPs, or in EF-days."""
DECIMAL_MARKS = ".,"

_NUMBER = re.compile(
    r"""\s*(?P<sign>[+\u2212-]?)\s*
    (?P<digits>[0-9][0-9.,_'\u2019\s]*|[.,][0-9]+)
    (?P<exponent>e[+-]?[0-9]+)?
    (?:\s*[x×*·]\s*10\s*(?:\^|\*\*)\s*(?P<power>[+-]?[0-9]+))?
    \s*(?P<unit>[a-z%][a-z/.\s-]*)?\s*""",
    re.IGNORECASE | re.VERBOSE,
)
_WHAT_IS_COUNTED = re.compile(r"[\s-]*(?:tokens?|toks?|param(?:eter)?s?|nats?(?:/tok(?:en)?)?|words)\.?$")
_FLOPS = re.compile(
    rf"(?P<prefix>{'|'.join(sorted(FLOP_PREFIXES, key=len, reverse=True))})?[\s-]*"
    r"(?:flops?|fs?(?=[\s/-]*(?:s[\s-]*)?days?$))(?P<days>(?:[\s/-]*s)?[\s-]*days?)?"
)
_SPACES = re.compile(r"(?<=[0-9])[\s'\u2019](?=[0-9]{3}(?![0-9]))")
_GROUPED = {
    mark: re.compile(rf"[1-9][0-9]{{0,2}}(?:[{other}][0-9]{{3}})+(?:[{mark}][0-9]*)?")
    for mark, other in ((".", ","), (",", "."))
}
_BARE = {mark: re.compile(rf"[0-9]*[{mark}]?[0-9]*") for mark in DECIMAL_MARKS}


@dataclass(frozen=True)
class Written:
    """A number taken apart: its digits with their marks, and the factor that sign, exponent and unit stand for.

    Attributes:
        digits: such as `1,234.5`, spaces and underscores between groups of digits left out.
        exponent: the power of ten written behind it, or None.
        factor: 1e9 for `B`, -1 for a minus.
    """

    digits: str
    exponent: int | None
    factor: float

    def marks(self) -> str:
        """The decimal marks with which the digits can be read: a thousands mark stands before three digits only."""
        return "".join(mark for mark in DECIMAL_MARKS if self._fits(mark))

    def _fits(self, mark: str) -> bool:
        if _BARE[mark].fullmatch(self.digits):
            return True
        return self.exponent is None and _GROUPED[mark].fullmatch(self.digits) is not None

    def value(self, mark: str) -> float:
        """The number, read with a decimal mark; NaN where it cannot be."""
        if not self._fits(mark):
            return float("nan")
        other = DECIMAL_MARKS.replace(mark, "")
        plain = self.digits.replace(other, "").replace(mark, ".")
        return float(f"{plain}e{self.exponent or 0}") * self.factor


def take_apart(text: object) -> Written | None:
    """A number as it is written, or None where the text is none."""
    found = _NUMBER.fullmatch(str(text))
    if found is None:
        return None
    unit = unit_of_cell((found["unit"] or "").strip().lower())
    digits = _SPACES.sub("", found["digits"].strip()).replace("_", "")
    if unit is None or re.search(r"[\s'\u2019]", digits):
        return None
    exponents = [int(part.lower().lstrip("e")) for part in (found["exponent"], found["power"]) if part]
    sign = -1.0 if found["sign"] in ("-", "\u2212") else 1.0
    return Written(digits, sum(exponents) if exponents else None, sign * unit)


def unit_of_cell(words: str) -> float | None:
    """What the words behind a number multiply it with: `b`, `billion tokens`, `pf-days`, `%`; None where unknown."""
    words = _WHAT_IS_COUNTED.sub("", words).strip()
    if not words:
        return 1.0
    if words == "%":
        return 0.01
    if words in UNITS:
        return UNITS[words]
    found = _FLOPS.fullmatch(words)
    if found is None:
        return None
    return FLOP_PREFIXES.get(found["prefix"] or "", 1.0) * (SECONDS_PER_DAY if found["days"] else 1)


def written_number(text: object, mark: str = ".") -> float:
    """A number as people write it: 70M, 1.4B, 1,000,000; NaN where it is none. `mark` is the decimal mark."""
    found = take_apart(text)
    return float("nan") if found is None else found.value(mark)


def read_numbers(column: pd.Series) -> pd.Series:
    """A column as floats; text such as 70M is read, and what is no number is NaN.

    Decimal commas are turned into points before (see `analysis.reading.decimals`).
    """
    values = pd.to_numeric(column, errors="coerce").astype(float)
    text = values.isna() & column.notna()
    if text.any():
        read = {cell: written_number(cell) for cell in column[text].unique()}
        values = values.where(~text, column.where(text).map(read))
    return values


def refuse_bad_units(units: Mapping[str, float]) -> None:
    """Raise unless every unit is a number above 0, and no larger than counts are written in."""
    for role, unit in units.items():
        if not 0 < unit <= LARGEST_UNIT:
            raise BadValue(
                f"units.{role}={unit:g}: what 1 stands for in the column must be above 0 and at most {LARGEST_UNIT:g}, "
                f"such as units.{role}=1e9 for billions"
            )
