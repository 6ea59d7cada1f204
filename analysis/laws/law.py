"""A scaling law: its formula, parameters, gradient, published coefficients and compute-optimal size.

A law is written in one of three ways, the first that fits:

- `expression(x, **parameters)`: the formula in plain arithmetic, as the paper writes it. Its derivatives follow by the
  chain rule (`analysis.laws.jet`), so this is all that a new law needs.
- `design(x)`: for a *sum of power laws*, linear inside each exponential, L = Σ_k exp(G_k(x)·θ). It returns the matrices
  G_k, from which value, gradient and curvature follow as matrix products, which is faster.
- `log_loss(θ, x)`: log L and its gradient by hand, where rounding or speed needs care.

θ are the solver's coordinates: positive quantities named in `logged` enter as natural logarithms, so that E, A, B > 0
without a bound; exponents enter as they are. Shapes below: S settings of θ, n runs, p parameters, K terms.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from analysis.laws.jet import Jet, Quantity
from analysis.refusals import BadValue

Variables = Mapping[str, np.ndarray]
"""Column name → its values, one for each run."""

Expansion = tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]
"""log L (S, n), its gradient (S, n, p), and slope (S, n) → Σ over runs of slope · second derivative (S, p, p)."""


@dataclass(frozen=True, kw_only=True, eq=False)  # one law is itself alone: it can be a key
class Law:
    """A law that predicts a positive `target` column from the columns `variables`.

    Attributes:
        name: how `fit(law=…)` names it.
        formula: as the paper writes it.
        source: paper and equation.
        note: what its users should know, in a sentence or two.
        variables: the columns that it reads.
        parameters: their public names, in the order of θ.
        logged: the parameters that θ holds as natural logarithms.
        amplitudes: the parameters in which the loss is linear when the others are fixed; variable projection solves
            for them.
        signed: the parameters whose sign the formula leaves open; any other that comes out negative is doubted.
        box: for each other parameter, the range in θ from which starting values are drawn; it may be empty where
            `simpler` gives them.
        expression: (x, **parameters) → loss, in arithmetic and numpy's elementary functions.
        design: x → G of shape (K, n, p), for a sum of power laws.
        log_loss: (θ of shape (S, p), x) → (log L of shape (S, n), gradient of shape (S, n, p)).
            It must accept complex θ (no absolute values), since its curvature is taken by complex steps.
        simpler: a law that this one extends, and (θ of that law of shape (S, q), x) → θ of this one, shape (S', p),
            that say the same or nearly so: starting values from the fit of the simpler law.
        log_optimum: (θ of shape (S, p), log(C/k) of shape (m,)) → log N of shape (S, m) that minimises the loss on
            C = k·N·D; None where only a numerical search can find it.
        published: name of a study → the parameter values that it printed.
        typical: parameter values such as real studies give, for a law whose paper prints none.
        target: the column that it predicts.
        log_target: the residual of a fit is that of the target's logarithm; else of the target itself, which may be
            negative. Wherever "log L" stands below and in the solver, it is then L.
        whole: for a law with parameters held fixed, the law that has them all, and its θ from this one's.
        fixed: parameters held at a value by `with_fixed`, which this law no longer has.
    """

    name: str
    formula: str
    source: str
    variables: tuple[str, ...]
    parameters: tuple[str, ...]
    logged: tuple[str, ...]
    amplitudes: tuple[str, ...] = ()
    note: str = ""
    signed: tuple[str, ...] = ()
    box: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    expression: Callable[..., Quantity] | None = None
    design: Callable[[Variables], np.ndarray] | None = None
    log_loss: Callable[[np.ndarray, Variables], tuple[np.ndarray, np.ndarray]] | None = None
    simpler: "tuple[Law, Callable[[np.ndarray, Variables], np.ndarray]] | None" = None
    log_optimum: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    typical: Mapping[str, float] = field(default_factory=dict)
    target: str = "loss"
    log_target: bool = True
    whole: "tuple[Law, Callable[[np.ndarray], np.ndarray]] | None" = None
    fixed: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        written = [way for way in (self.expression, self.design, self.log_loss) if way is not None]
        assert len(written) == 1, "a law is written in one way: an expression, a design or a log_loss"
        assert set(self.box) == set(self.parameters) - set(self.amplitudes) or self.simpler is not None, (
            "starts need a range for every other parameter"
        )

    @property
    def has_split(self) -> bool:
        """Whether it predicts a loss from both parameters and tokens, so that some split of a budget is the best."""
        return self.target == "loss" and {"params", "tokens"} <= set(self.variables)

    @property
    def known_values(self) -> dict[str, float]:
        """Parameter values to try the law with: those of the first study that printed them, or typical ones."""
        return dict(next(iter(self.published.values()), self.typical))

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
        if self.design is not None:
            return log_sum_of_powers(theta, self.design(x))
        with np.errstate(all="ignore"):  # a wild trial step may overflow; what is not finite is turned down
            jet = self._jet(theta, x, second=False)
            gradient = _dense(jet, theta.shape[1])
            return (
                (np.log(jet.value), gradient / jet.value[..., None])
                if self.log_target
                else (jet.value, gradient)
            )

    def log_losses(self, theta: np.ndarray, x: Variables) -> np.ndarray:
        """log L alone, shape (S, n): many times as fast as `predict` for a law written as an expression."""
        if self.whole is not None:
            law, full = self.whole
            return law.log_losses(full(theta), x)
        if self.expression is None:
            return self.predict(theta, x)[0]
        named = {
            name: np.exp(theta[:, i : i + 1]) if name in self.logged else theta[:, i : i + 1]
            for i, name in enumerate(self.parameters)
        }
        with np.errstate(all="ignore"):  # as in `predict`
            found = np.asarray(self.expression(x, **named))
            return np.broadcast_to(np.log(found) if self.log_target else found, self._shape(theta, x))

    def expand(self, theta: np.ndarray, x: Variables) -> Expansion:
        """log L and its first two derivatives at θ of shape (S, p)."""
        if self.whole is not None:
            law, full = self.whole
            free = [law.parameters.index(name) for name in self.parameters]
            log_loss, gradient, bend_all = law.expand(full(theta), x)
            return log_loss, gradient[..., free], lambda slope: bend_all(slope)[:, free][:, :, free]
        if self.expression is None:
            log_loss, gradient = self.predict(theta, x)
            return log_loss, gradient, lambda slope: self._bend_by_complex_steps(theta, x, slope)
        with np.errstate(all="ignore"):
            jet = self._jet(theta, x, second=True)
            gradient = _dense(jet, theta.shape[1])
            log_loss = jet.value
            if self.log_target:
                gradient /= jet.value[..., None]
                log_loss = np.log(jet.value)

        def bend(slope: np.ndarray) -> np.ndarray:
            total, scaled = np.zeros((*theta.shape, theta.shape[1])), slope
            if self.log_target:  # ∂² log L = ∂²L / L - (∂ log L)(∂ log L)'
                total -= np.einsum("snp,sn,snq->spq", gradient, slope, gradient, optimize=True)
                scaled = slope / jet.value
            assert jet.second is not None
            for (i, j), second in jet.second.items():
                part = (scaled * second).sum(axis=1)
                total[:, i, j] += part
                if i != j:
                    total[:, j, i] += part
            return total

        return log_loss, gradient, bend

    def _jet(self, theta: np.ndarray, x: Variables, *, second: bool) -> Jet:
        """The loss of shape (S, n) at θ of shape (S, p), with its derivatives in θ."""
        assert self.expression is not None
        coordinates = Jet.coordinates(theta, second=second)
        named = {
            name: np.exp(jet) if name in self.logged else jet
            for name, jet in zip(self.parameters, coordinates, strict=True)
        }
        found = self.expression(x, **named)
        shape = self._shape(theta, x)
        if not isinstance(found, Jet):  # a law that reads none of its parameters
            found = Jet(np.asarray(found), {}, {} if second else None)
        return Jet(np.broadcast_to(found.value, shape), found.first, found.second)

    @staticmethod
    def _shape(theta: np.ndarray, x: Variables) -> tuple[int, int]:
        """(settings, runs); where each setting has runs of its own, x of shape (S, 1), one run for each."""
        return len(theta), next(iter(x.values())).shape[-1]

    def _bend_by_complex_steps(self, theta: np.ndarray, x: Variables, slope: np.ndarray) -> np.ndarray:
        step = 1e-30
        total = np.empty((*theta.shape, theta.shape[1]))
        for j in range(theta.shape[1]):
            shifted = theta.astype(complex)
            shifted[:, j] += 1j * step
            bend = self.predict(shifted, x)[1].imag / step
            total[:, j] = np.einsum("sn,snp->sp", slope, bend)
        return 0.5 * (total + total.transpose(0, 2, 1))

    def loss_each(self, theta: np.ndarray, x: Variables) -> np.ndarray:
        """The loss under row i of θ at run i, shape (P,), for θ of shape (P, p) and variables of shape (P,)."""
        if self.whole is not None:
            law, full = self.whole
            return law.loss_each(full(theta), x)
        if self.design is None:
            single_runs = {name: column[:, None] for name, column in x.items()}
            return self.target_of(self.log_losses(theta, single_runs)[:, 0])
        assert self.design is not None
        return np.asarray(np.exp(np.einsum("np,knp->kn", theta, self.design(x))).sum(axis=0))

    def loss(self, values: Mapping[str, float], **x: float | np.ndarray) -> np.ndarray:
        """The loss at named parameter values, as `laws.get("chinchilla").loss(values, params=7e9, tokens=1.4e11)`."""
        columns = {name: np.atleast_1d(np.asarray(column, dtype=float)) for name, column in x.items()}
        return self.target_of(self.log_losses(self.coordinates(values)[None], columns)[0])

    def target_of(self, predicted: np.ndarray) -> np.ndarray:
        """The target from what `predict` gives: its exponential, for most."""
        return np.asarray(np.exp(predicted) if self.log_target else predicted)

    def response(self, target: np.ndarray) -> np.ndarray:
        """What `predict` should give for an observed target: its logarithm, for most."""
        return np.asarray(np.log(target) if self.log_target else target)


def _dense(jet: Jet, count: int) -> np.ndarray:
    """The first derivatives of a jet in all p coordinates, shape (S, n, p)."""
    gradient = np.zeros((*jet.value.shape, count), dtype=jet.value.dtype)
    for i, part in jet.first.items():
        gradient[..., i] = part
    return gradient


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
