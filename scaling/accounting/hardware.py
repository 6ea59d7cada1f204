"""Finds a device: in the catalogue by its name, or in a YAML file of the user's own."""

from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from scaling.accounting.catalogue import ALIASES, CATALOGUE
from scaling.accounting.device import Device, Price
from scaling.config.nearest import nearest
from scaling.errors import UserError


def get_device(name: str) -> Device:
    """The device of a name in the catalogue, of a YAML file (`NAME.yaml`), or `auto`: this machine, measured.

    Raises UserError with the nearest names, or with what the file lacks.
    """
    if name.endswith((".yaml", ".yml")):
        return read_device(Path(name))
    if name.strip().lower() == "auto":
        return measured_here()
    key = name.strip().lower().replace("_", "-").replace(" ", "-")
    key = ALIASES.get(key, key)
    if key in CATALOGUE:
        return CATALOGUE[key]
    hint = nearest(key, [*CATALOGUE, *ALIASES], f"choose one of {', '.join(CATALOGUE)}.")
    raise UserError(
        f"hardware={name}: unknown device; {hint} A YAML file describes your own "
        "(hardware=my.yaml), and hardware=auto measures this machine"
    )


@cache
def measured_here() -> Device:
    """This machine, measured once a process."""
    from scaling.accounting.this_machine import this_machine  # numpy, for which no other device waits

    return this_machine()


def read_device(path: Path) -> Device:
    """A user's device from YAML: fields of `Device`, optionally `like: NAME` to start from a catalogue entry.

    >>> # my.yaml
    >>> # like: a100-80gb
    >>> # power_watts: 300
    >>> # price: {usd_per_device_hour: 1.1, date: 2026-01, source: our contract}
    """
    if not path.is_file():
        raise UserError(
            f"hardware={path}: no such file; give a catalogue name ({', '.join(CATALOGUE)}) or a YAML file"
        )
    try:
        given = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise UserError(f"hardware={path}: not YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(given, dict):
        raise UserError(f"hardware={path}: expected `key: value` lines such as `like: a100-80gb`")
    values: dict[str, Any] = dict(given)
    base = get_device(str(values.pop("like"))) if "like" in values else None
    known = [f.name for f in fields(Device)]
    for key in values:
        if key not in known:
            hint = nearest(key, known, f"keys: like, {', '.join(known)}")
            raise UserError(f"hardware={path}: no such key {key!r}; {hint}")
    values = {key: _read_value(path, key, value) for key, value in values.items()}
    values.setdefault("name", path.stem)
    if base is not None:
        values.setdefault("title", f"{base.title}, as in {path.name}")
        return replace(base, **values)
    values.setdefault("title", values["name"])
    values.setdefault("source", str(path))
    values.setdefault("power_watts", None)
    missing = [f.name for f in fields(Device) if f.name not in values and f.name in _REQUIRED]
    if missing:
        raise UserError(
            f"hardware={path}: missing {', '.join(missing)}; or start from a known device with `like: NAME`"
        )
    return Device(**values)


_REQUIRED = {
    "peak_flops", "memory_bytes", "memory_bytes_per_second", "link_bytes_per_second", "network_bytes_per_second",
    "node_devices",
}  # fmt: skip
_TEXTS = {"name", "title", "source", "matmul_source", "sustained_source", "attention_source"}


def _read_value(path: Path, key: str, value: Any) -> Any:  # YAML holds anything; `Device` checks the values
    """A value of a device file in its field's type; 312e12 is a number, though YAML reads it as text."""
    try:
        if key in _TEXTS or value is None:
            return value
        if key == "peak_flops":
            return {str(precision): float(peak) for precision, peak in value.items()}
        if key == "price":
            return Price(
                usd_per_device_hour=float(value["usd_per_device_hour"]),
                date=str(value.get("date", "undated")),
                source=str(value.get("source", path.name)),
            )
        return int(value) if key == "node_devices" else float(value)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise UserError(
            f"hardware={path}: {key}={value!r} is not of the form that `Device` documents"
        ) from error
