"""A law of the user's own, `law=my_law.py:law`: a Python file that he names on his own command line."""

import inspect
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from analysis import laws
from analysis.laws.own import law_of
from scaling.errors import UserError


def is_own(name: str) -> bool:
    """Whether a law's name is that of a function in a file."""
    return ".py:" in name


def load_own_law(name: str) -> laws.Law:
    """Run the file, and register the law that its function is, returns or computes, under the function's name.

    Args:
        name: FILE.py:NAME, where NAME is a Law, a function without arguments that returns one, or a function
            loss(x, E=(low, high), …) as `analysis.laws.own.law_of` reads it.

    Raises:
        UserError: there is no such file or name, or the file fails.
        BadValue: the function is no law.
    """
    path, _, attribute = name.rpartition(":")
    if not Path(path).is_file():
        raise UserError(f"law={name}: no file {path}")
    spec = spec_from_file_location(f"own_law_{Path(path).stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"law={name}: {path} fails with {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        there = ", ".join(k for k, v in vars(module).items() if callable(v) and not k.startswith("_"))
        raise UserError(f"law={name}: {path} has no {attribute!r}; it has {there or 'no function'}")
    found = getattr(module, attribute)
    if not isinstance(found, laws.Law) and callable(found) and not inspect.signature(found).parameters:
        found = found()
    if not isinstance(found, laws.Law):
        if not callable(found):
            raise UserError(f"law={name}: {attribute!r} is neither a law nor a function")
        found = law_of(found, attribute, path)
    if found.name in laws.LAWS:
        raise UserError(
            f"law={name}: there is a law {found.name!r} already; call the function by another name"
        )
    return laws.register(found)
