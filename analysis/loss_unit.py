"""In which unit a table's losses are: nats/token, unless they are measured by byte or character."""

from collections.abc import Mapping

NATS = "nats/token"
LOSS_UNIT = "loss_unit"
"""Key of a convention under which the unit stands where it is not nats/token."""


def loss_unit(convention: Mapping[str, str]) -> str:
    """The unit of the losses of a table or a fit, by its convention."""
    return convention.get(LOSS_UNIT, NATS)
