"""A law with some parameters held at given values: they are no longer estimated, and count for nothing."""

from collections.abc import Mapping

import numpy as np

from analysis.laws.law import Law, Variables
from analysis.refusals import BadValue


def with_fixed(law: Law, fixed: Mapping[str, float]) -> Law:
    """The law of the other parameters, named `law[E=1.6]`.

    Raises:
        BadValue: the law has no such parameter, the value cannot be, or no parameter is left to fit.
    """
    for name, value in fixed.items():
        if name not in law.parameters:
            raise BadValue(
                f"fixed.{name}={value:g}: law {law.name!r} has no such parameter; it has {', '.join(law.parameters)}"
            )
        if not np.isfinite(value) or (name in law.logged and value <= 0):
            raise BadValue(
                f"fixed.{name}={value:g}: must be finite" + (" and above 0" if name in law.logged else "")
            )
    free = tuple(name for name in law.parameters if name not in fixed)
    if not free:
        raise BadValue(f"law {law.name!r}: every parameter is held fixed, so there is nothing to fit")
    if not fixed:
        return law
    at = [law.parameters.index(name) for name in free]
    held = {
        law.parameters.index(name): float(np.log(value) if name in law.logged else value)
        for name, value in fixed.items()
    }

    def whole(theta: np.ndarray) -> np.ndarray:
        full = np.empty((len(theta), len(law.parameters)), dtype=theta.dtype)
        full[:, at] = theta
        for place, value in held.items():
            full[:, place] = value
        return full

    def log_loss(theta: np.ndarray, x: Variables) -> tuple[np.ndarray, np.ndarray]:
        value, gradient = law.predict(whole(theta), x)
        return value, gradient[..., at]

    def log_optimum(theta: np.ndarray, log_nd: np.ndarray) -> np.ndarray:
        assert law.log_optimum is not None
        return law.log_optimum(whole(theta), log_nd)

    def lift(theta: np.ndarray, x: Variables) -> np.ndarray:
        assert law.simpler is not None
        return law.simpler[1](theta, x)[:, at]

    said = ",".join(f"{name}={float(value)!r}" for name, value in fixed.items())
    return Law(
        name=f"{law.name}[{said}]",
        formula=law.formula,
        source=law.source,
        variables=law.variables,
        parameters=free,
        logged=tuple(name for name in law.logged if name in free),
        amplitudes=tuple(name for name in law.amplitudes if name in free),
        signed=law.signed,
        box={name: bounds for name, bounds in law.box.items() if name in free},
        log_loss=log_loss,
        simpler=None if law.simpler is None else (law.simpler[0], lift),
        log_optimum=None if law.log_optimum is None else log_optimum,
        typical={name: value for name, value in law.known_values.items() if name in free},
        target=law.target,
        log_target=law.log_target,
        whole=(law, whole),
        fixed=dict(fixed),
    )
