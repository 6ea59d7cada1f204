"""Checks of a key's value, which refuse it in one line."""

from scaling.errors import UserError


def require(condition: bool, message: str) -> None:
    """Raise UserError with the message unless the condition holds."""
    if not condition:
        raise UserError(message)


def one_of(key: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise UserError unless the value is one of the choices."""
    require(value in choices, f"{key}={value}: choose one of {', '.join(choices)}")
