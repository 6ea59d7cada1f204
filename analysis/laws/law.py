"""A scaling law: its formula, parameters, gradient, published coefficients and compute-optimal size.

Two shapes of law cover the field. A *sum of power laws* is linear inside each exponential,
L = Σ_k exp(G_k(x)·θ), so its one function returns the design matrices G_k, from which value, gradient and curvature
follow in closed form. Any other law gives `log_loss(θ, x)` and its gradient.

θ are the solver's coordinates: positive quantities named in `logged` enter as natural logarithms, so that E, A, B > 0
without a bound; exponents enter as they are. Shapes below: S settings of θ, n runs, p parameters, K terms.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from analysis.refusals import BadValue

Variables = Mapping[str, np.ndarray]
"""Column name → its values, one for each run."""


@dataclass(frozen=True, kw_only=True)
class Law:
    """A law that predicts a positive `target` column from the columns `variables`.

    Attributes:
        name: how `fit(law=…)` names it.
        formula: as the paper writes it.
        source: paper and equation.
        variables: the columns that it reads.
        parameters: their public names, in the order of θ.
        logged: the parameters that θ holds as natural logarithms.
        amplitudes: the parameters in which the loss is linear when the others are fixed; variable projection solves
            for them.
        box: for each other parameter, the range in θ from which starting values are drawn.
        design: x → G of shape (K, n, p), for a sum of power laws.
        log_loss: (θ of shape (S, p), x) → (log L of shape (S, n), gradient of shape (S, n, p)), for any other law.
            It must accept complex θ (no absolute values), since its curvature is taken by complex steps.
        log_optimum: (θ of shape (S, p), log(C/k) of shape (m,)) → log N of shape (S, m) that minimises the loss on
            C = k·N·D; None where only a numerical search can find it.
        published: name of a study → the parameter values that it printed.
        target: the column that it predicts.
    """

    name: str
    formula: str
    source: str
    variables: tuple[str, ...]
    parameters: tuple[str, ...]
    logged: tuple[str, ...]
    amplitudes: tuple[str, ...] = ()
    box: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    design: Callable[[Variables], np.ndarray] | None = None
    log_loss: Callable[[np.ndarray, Variables], tuple[np.ndarray, np.ndarray]] | None = None
    log_optimum: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    target: str = "loss"

    def __post_init__(self) -> None:
        assert (self.design is None) != (self.log_loss is None), "a law is either a design or a log_loss"
        assert set(self.box) == set(self.parameters) - set(self.amplitudes), (
            "starts need a range for every other parameter"
        )

    @property
    def has_split(self) -> bool:
        """Whether it predicts a loss from both parameters and tokens, so that some split of a budget is the best."""
        return self.target == "loss" and {"params", "tokens"} <= set(self.variables)

    def coordinates(self, values: Mapping[str, float]) -> np.ndarray:
        """θ of shape (p,) for parameter values given by name.

        Raises:
            BadValue: a parameter has no value.
        """
        missing = [name for name in self.parameters if name not in values]
        if missing:
            raise BadValue(
                f"law {self.name!r} needs values for {', '.join(self.parameters)}; missing {', '.join(missing)}"
            )
        return np.array(
            [np.log(values[k]) if k in self.logged else values[k] for k in self.parameters], dtype=float
        )

    def values(self, theta: np.ndarray) -> np.ndarray:
        """Parameter values, shape (…, p), in the order of `parameters`, for θ of that shape."""
        logged = np.array([name in self.logged for name in self.parameters])
        theta = np.asarray(theta, dtype=float)
        with np.errstate(over="ignore"):  # a parameter that diverged is infinite
            return np.where(logged, np.exp(np.where(logged, theta, 0.0)), theta)

    def predict(self, theta: np.ndarray, x: Variables) -> tuple[np.ndarray, np.ndarray]:
        """log L, shape (S, n), and its gradient in θ, shape (S, n, p), for θ of shape (S, p)."""
        if self.log_loss is not None:
            return self.log_loss(theta, x)
        assert self.design is not None
        return log_sum_of_powers(theta, self.design(x))

    def loss_each(self, theta: np.ndarray, x: Variables) -> np.ndarray:
        """The loss under row i of θ at run i, shape (P,), for θ of shape (P, p) and variables of shape (P,)."""
        if self.log_loss is not None:
            single_runs = {name: column[:, None] for name, column in x.items()}
            return np.asarray(np.exp(self.log_loss(theta, single_runs)[0][:, 0]))
        assert self.design is not None
        return np.asarray(np.exp(np.einsum("np,knp->kn", theta, self.design(x))).sum(axis=0))

    def loss(self, values: Mapping[str, float], **x: float | np.ndarray) -> np.ndarray:
        """The loss at named parameter values, as `laws.get("chinchilla").loss(values, params=7e9, tokens=1.4e11)`."""
        columns = {name: np.atleast_1d(np.asarray(column, dtype=float)) for name, column in x.items()}
        return np.asarray(np.exp(self.predict(self.coordinates(values)[None], columns)[0][0]))


def log_sum_of_powers(theta: np.ndarray, design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log Σ_k exp(G_k θ) and its gradient, for θ of shape (S, p) and G of shape (K, n, p)."""
    terms = np.einsum("sp,knp->skn", theta, design)
    top = terms.real.max(axis=1, keepdims=True)
    weights = np.exp(terms - top)
    total = weights.sum(axis=1)
    gradient = np.einsum("skn,knp->snp", weights / total[:, None], design)
    return np.log(total) + top[:, 0], gradient


def term_rows(*columns: np.ndarray | float) -> np.ndarray:
    """One term's rows of a design matrix, shape (n, p), from its p columns; a scalar stands for every run."""
    return np.stack(np.broadcast_arrays(*columns), axis=-1)
