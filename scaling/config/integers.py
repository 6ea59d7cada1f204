"""Integers as people write large ones: `tokens=1e6` means 1,000,000 for a key that takes whole numbers, too."""

from typing import Any

from omegaconf.nodes import IntegerNode

_convert = IntegerNode._validate_and_convert_impl


def _convert_integral(node: IntegerNode, value: Any) -> int:
    """OmegaConf's conversion, which refuses every float, also those that are whole numbers."""
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return _convert(node, value)
    return int(value) if type(value) is float and value.is_integer() else _convert(node, value)


def accept_integral_numbers() -> None:
    """Make OmegaConf, and with it Hydra, take 1e6 where an integer is declared, in files and on command lines."""
    # OmegaConf has no hook for the conversion of a type, so that its own method is replaced.
    setattr(IntegerNode, "_validate_and_convert_impl", _convert_integral)  # noqa: B010 (mypy checks assignments)
