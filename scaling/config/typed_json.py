"""A typed config as JSON and back, so that a job gets the config that was planned, value for value.

A command line cannot carry it: values would be spelled by hand, parsed again, and completed with whatever the defaults
are on the machine that reads them.
"""

from dataclasses import fields, is_dataclass
from typing import Any

from scaling.config.schema import (
    SCHEMAS,
    Branch,
    DesignConfig,
    HardwareConfig,
    LoggerConfig,
    ModelConfig,
    TrainConfig,
    TrainerConfig,
)
from scaling.errors import UserError

CLASS, VALUES = "class", "values"
"""Key that names the dataclass of an object (no config field has this name), and key of the values of a mapping."""
MAPPING = "mapping"
"""What stands for the dataclass in an object that is a plain mapping, such as a callback's `_target_` and arguments."""
_CLASSES: dict[str, type] = {
    each.__name__: each
    for each in (
        *SCHEMAS.values(),
        Branch,
        DesignConfig,
        HardwareConfig,
        LoggerConfig,
        ModelConfig,
        TrainerConfig,
    )
}


def to_json(config: TrainConfig) -> dict[str, Any]:
    """The values of a config, with the name of the dataclass in every object."""
    values = _plain(config)
    assert isinstance(values, dict)
    return values


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {
            CLASS: type(value).__name__,
            **{f.name: _plain(getattr(value, f.name)) for f in fields(value)},
        }
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {CLASS: MAPPING, VALUES: {key: _plain(entry) for key, entry in value.items()}}
    assert value is None or isinstance(value, bool | int | float | str), type(value)
    return value


def from_json(values: dict[str, Any]) -> TrainConfig:
    """The config that `to_json` wrote; every check of its dataclasses runs again.

    Raises:
        UserError: when the values do not make a config of this version.
    """
    try:
        config = _typed(values)
    except (KeyError, TypeError) as error:
        raise UserError(f"not a job's config of this version ({error}); begin the study again") from error
    if not isinstance(config, TrainConfig):
        raise UserError("not a job's config; begin the study again")
    return config


def _typed(value: Any) -> Any:
    if isinstance(value, dict):
        if value[CLASS] == MAPPING:
            return {key: _typed(entry) for key, entry in value[VALUES].items()}
        rest = {key: _typed(entry) for key, entry in value.items() if key != CLASS}
        return _CLASSES[value[CLASS]](**rest)
    return [_typed(entry) for entry in value] if isinstance(value, list) else value
