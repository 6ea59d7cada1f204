"""A section of a report: a heading, a table and sentences."""

from dataclasses import dataclass

from analysis.study import Refused

FLAGS = (
    "DISAGREE",
    "Not identified",
    "Warning",
    "not available",
    "Check the plan",
    "Treat the plan",
    "Note: SIMULATED",
)
"""How sentences begin that a reader must not miss."""


@dataclass(frozen=True)
class Section:
    """One heading with its table (possibly empty) and its sentences; `lead` is what to read before the table."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]
    lead: str = ""


def refused_section(title: str, refused: Refused) -> Section:
    """The section of a part that the runs cannot support, with the reason."""
    return Section(title, (), (), (f"not available: {refused.reason}",))
