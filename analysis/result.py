"""The result of a fit: a frozen record that explains, predicts, allocates, draws itself, and goes to JSON and back."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis import allocate, laws, objectives
from analysis.certificate import Certificate, amplitudes_at_bound
from analysis.loss_unit import loss_unit
from analysis.points import column_values, problem_of
from analysis.problem import Problem
from analysis.refusals import BadTable, BadValue
from analysis.uncertainty import percentiles, widening

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMAT = 1  # version of the JSON that a fit writes


@dataclass(frozen=True, eq=False)
class FitResult:
    """A law fitted to a table of runs.

    Attributes:
        law: name of the law.
        objective_name: name of the objective that was minimised.
        theta: the estimate in the law's coordinates, shape (p,).
        objective: the minimised sum over points.
        points: the law's variables, its target, and where used `weight`, `scale`, `cluster`, one row for each run.
        draws: bootstrap estimates in the law's coordinates, shape (B, p); no rows where intervals were not estimated.
        level: nominal coverage of every interval.
        seed: of the bootstrap.
        clusters: independent units that the bootstrap resampled.
        certificate: what the solver can prove.
        convention: how parameters, FLOPs and loss are counted, in words.
        flops_per_param_token: k in C = k·N·D, for the exponents and optima.
    """

    law: str
    objective_name: str
    theta: np.ndarray
    objective: float
    points: pd.DataFrame
    draws: np.ndarray
    level: float
    seed: int
    clusters: int
    certificate: Certificate
    convention: Mapping[str, str] = field(default_factory=dict)
    flops_per_param_token: float = allocate.TRAIN_FLOPS_PER_PARAM_TOKEN

    # --- estimates --------------------------------------------------------------------------------------------------

    @property
    def _law(self) -> laws.Law:
        return laws.get(self.law)

    @property
    def parameters(self) -> dict[str, float]:
        """Public parameter values, those held fixed last: E, A, B, alpha, beta for Chinchilla's law."""
        fitted = dict(zip(self._law.parameters, self._law.values(self.theta).tolist(), strict=True))
        return fitted | dict(self._law.fixed)

    @cached_property
    def exponents(self) -> dict[str, float]:
        """a and b of N_opt ∝ C^a and D_opt ∝ C^b; empty where the law's optimum is no power of C, or there is none."""
        slope = self._exponent_a(self.theta[None])
        return (
            {}
            if slope is None or not np.isfinite(slope[0])
            else {"a": float(slope[0]), "b": float(1 - slope[0])}
        )

    def _exponent_a(self, theta: np.ndarray) -> np.ndarray | None:
        if self._law.log_optimum is None:
            return None
        with np.errstate(invalid="ignore", divide="ignore"):
            steps = self._law.log_optimum(theta, np.array([0.0, 1.0]))
        return np.asarray(steps[:, 1] - steps[:, 0])

    @property
    def derived_draws(self) -> pd.DataFrame:
        """Bootstrap draws of every parameter and exponent, one row for each draw."""
        frame = pd.DataFrame(self._law.values(self.draws), columns=list(self._law.parameters))
        slope = self._exponent_a(self.draws)
        return frame if slope is None else frame.assign(a=slope, b=1 - slope)

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """Interval at `level` of each parameter and exponent; empty where intervals were not estimated."""
        if not len(self.draws):
            return {}
        frame = self.derived_draws
        low, high = self.interval(frame.to_numpy())
        return {name: (float(low[i]), float(high[i])) for i, name in enumerate(frame.columns)}

    @cached_property
    def standard_errors(self) -> dict[str, float]:
        """Standard deviation of the bootstrap draws of each parameter and exponent; empty where not estimated."""
        if not len(self.draws):
            return {}
        with np.errstate(over="ignore"):  # draws of an amplitude that the runs do not determine may be huge
            return {str(k): float(v) for k, v in self.derived_draws.std(ddof=1).items()}

    @cached_property
    def widening(self) -> float:
        """How much wider than the draws' own percentiles the intervals are (see uncertainty.widening).

        Draws for training curves are spread as Student's already (see analysis.clustered).
        """
        if self.clusters < len(self.points):
            return 1.0
        return widening(
            self.level,
            len(self.points),
            self.clusters,
            len(self.theta),
            self.problem.square_share(self.theta),
        )

    @cached_property
    def problem(self) -> Problem:
        """The points as the solver sees them."""
        return problem_of(self.points, self._law, objectives.get(self.objective_name))

    @cached_property
    def at_bound(self) -> tuple[str, ...]:
        """Amplitudes (E, A, B) whose estimate is at its bound of zero: the runs do not determine them."""
        return amplitudes_at_bound(self.problem, self.theta)

    def interval(self, draws: np.ndarray) -> np.ndarray:
        """Interval at `level` of each column of draws (B, …) of anything derived from this fit, shape (2, …)."""
        return percentiles(draws, self.level, self.widening)

    @property
    def residuals(self) -> np.ndarray:
        """log observed minus log predicted target, one for each run."""
        observed = self._law.response(self.points[self._law.target].to_numpy(float))
        return np.asarray(observed - self._law.log_losses(self.theta[None], self._variables())[0])

    @property
    def aicc(self) -> float:
        """Akaike's criterion, corrected for few runs: Gaussian for squared objectives, Laplace for robust ones.

        Comparable only between fits of the same runs under the same objective.
        """
        residual, n = self.residuals, len(self.points)
        k = len(self.theta) + 1  # the scale of the residuals is fitted too
        if n - k - 1 <= 0:
            return float("inf")
        if np.isinf(objectives.get(self.objective_name).delta):
            minus_two_log_likelihood = n * (np.log(2 * np.pi * np.mean(residual**2)) + 1)
        else:
            minus_two_log_likelihood = 2 * n * (np.log(2 * np.mean(np.abs(residual))) + 1)
        return float(minus_two_log_likelihood + 2 * k + 2 * k * (k + 1) / (n - k - 1))

    def _variables(self) -> dict[str, np.ndarray]:
        return {name: column_values(self.points, name) for name in self._law.variables}

    # --- questions --------------------------------------------------------------------------------------------------

    def predict(
        self,
        params: ArrayLike | None = None,
        tokens: ArrayLike | None = None,
        *,
        runs: bool = False,
        **others: ArrayLike,
    ) -> pd.DataFrame:
        """Predicted loss at sizes N and tokens D (scalars or arrays that broadcast), with intervals at `level`.

        Args:
            params: N.
            tokens: D.
            runs: the interval is for the loss of one new run, residual scatter included, not for the law's curve.
            others: further variables of the law by name (`flops`, `unique_tokens`).

        Returns:
            The variables, `loss`, and `loss_low`, `loss_high` (NaN where intervals were not estimated).
        """
        given = {"params": params, "tokens": tokens, **others}
        columns = {name: given.get(name) for name in self._law.variables}
        missing = [name for name, value in columns.items() if value is None]
        if missing:
            raise BadValue(
                f"law {self.law!r} predicts from {', '.join(columns)}; missing {', '.join(missing)}"
            )
        broadcast = np.broadcast_arrays(
            *(np.atleast_1d(np.asarray(value, dtype=float)) for value in columns.values())
        )
        x = {name: array.ravel() for name, array in zip(columns, broadcast, strict=True)}
        for name, array in x.items():
            known = laws.variable(name)
            if not known.allows(array).all():
                raise BadValue(f"{name} must be {known.bounds}; got {array[~known.allows(array)][:1]}")
        return pd.DataFrame(x).assign(**self.predict_columns(x, runs=runs))

    def predict_columns(self, x: laws.Variables, *, runs: bool = False) -> dict[str, np.ndarray]:
        """The target predicted from the law's own columns, with `_low` and `_high`, each of shape (m,)."""
        target = self._law.target
        estimate = self._law.target_of(self._law.log_losses(self.theta[None], x)[0])
        low = high = np.full(len(estimate), np.nan)
        if len(self.draws):
            log_draws = self._law.log_losses(self.draws, x)
            if runs:
                scatter = self.residuals * np.sqrt(len(self.points) / (len(self.points) - len(self.theta)))
                log_draws = log_draws + np.random.default_rng(self.seed).choice(scatter, size=log_draws.shape)
            low, high = self._law.target_of(self.interval(log_draws))
        return {target: estimate, f"{target}_low": low, f"{target}_high": high}

    def optimal(self, flops: ArrayLike, *, unique_tokens: float | None = None) -> pd.DataFrame:
        """Compute-optimal size, tokens and loss at each budget C in FLOPs, each with its interval at `level`."""
        budgets = np.atleast_1d(np.asarray(flops, dtype=float))
        best = self._optimal(self.theta[None], budgets, unique_tokens)
        frame = pd.DataFrame({"flops": budgets})
        spread = self._optimal(self.draws, budgets, unique_tokens) if len(self.draws) else None
        for name in ("params", "tokens", "loss"):
            frame[name] = getattr(best, name)[0]
            low = high = np.full(len(budgets), np.nan)
            if spread is not None:
                low, high = self.interval(getattr(spread, name))
            frame[f"{name}_low"], frame[f"{name}_high"] = low, high
        return frame

    def _optimal(
        self, theta: np.ndarray, budgets: np.ndarray, unique_tokens: float | None
    ) -> allocate.Allocation:
        return allocate.optimal(
            self._law,
            theta,
            budgets,
            flops_per_param_token=self.flops_per_param_token,
            unique_tokens=unique_tokens,
        )

    # --- showing ----------------------------------------------------------------------------------------------------

    def frame(self) -> pd.DataFrame:
        """One row for each parameter or exponent: estimate, standard error and interval (NaN: not estimated)."""
        estimates = {**self.parameters, **self.exponents}
        missing = (np.nan, np.nan)
        return pd.DataFrame(
            {
                "estimate": estimates,
                "standard_error": {k: self.standard_errors.get(k, np.nan) for k in estimates},
                "low": {k: self.intervals.get(k, missing)[0] for k in estimates},
                "high": {k: self.intervals.get(k, missing)[1] for k in estimates},
            }
        )

    def summary(self) -> str:
        """The fit in readable text."""
        law, proof = self._law, self.certificate
        residual_of = f"log {law.target}" if law.log_target else law.target
        lines = [
            f"{law.formula}    ({law.source})",
            f"{len(self.points)} runs in {self.clusters} clusters; "
            f"root-mean-square residual of {residual_of} {np.sqrt(np.mean(self.residuals**2)):.3g}",
            f"objective {self.objective_name} = {self.objective:.10g} (sum over points)",
            "convention: " + ("; ".join(f"{k}: {v}" for k, v in self.convention.items()) or "not stated"),
            "",
            f"{'':10}{'estimate':>13}{'std. error':>13}   {self.level:.0%} interval",
        ]
        for name, row in self.frame().iterrows():
            spread = "   not estimated"
            if name in law.fixed:
                spread = "   held fixed"
            elif len(self.draws):
                spread = f"{row.standard_error:13.4g}   {row.low:.5g} to {row.high:.5g}"
            lines.append(f"{name!s:10}{row.estimate:13.6g}{spread}")
        if self.exponents:
            lines.append("N_opt ∝ C^a, D_opt ∝ C^b")
        found = "converged" if proof.converged else "NOT CONVERGED"
        lines += [
            "",
            f"certificate: {found}; {proof.starts_at_best} of {proof.starts} starts reached the best of"
            f" {proof.distinct_optima} distinct optima; scaled gradient {proof.gradient_norm:.1e};"
            f" Hessian condition {proof.hessian_condition:.3g}",
        ]
        lines += [f"warning: {warning}" for warning in proof.warnings]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        table = self.frame().to_html(float_format=lambda v: f"{v:.6g}", na_rep="not estimated")
        head, *_, tail = self.summary().split("\n\n")
        return f"<pre>{escape(head)}</pre>{table}<pre>{escape(tail)}</pre>"

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Observed against predicted target, coloured by the law's first variable (the size, for most)."""
        from analysis.fit_figure import observed_against_predicted  # matplotlib is slow to import

        variable, target = self._law.variables[0], self._law.target
        observed = self.points[target].to_numpy()
        return observed_against_predicted(
            observed,
            self._law.target_of(self._law.response(observed) - self.residuals),
            self.points[variable].to_numpy(),
            target,
            variable,
            ax,
            loss_unit(self.convention) if target == "loss" else "",
        )

    # --- JSON -------------------------------------------------------------------------------------------------------

    def to_json(self, indent: int | None = 2) -> str:
        """The whole result as JSON; `from_json` gives it back exactly, bootstrap draws included."""
        return json.dumps(
            {
                "format": FORMAT,
                "law": self.law,
                "parameters": self.parameters,
                "objective": self.objective,
                "objective_name": self.objective_name,
                "intervals": {k: list(v) for k, v in self.intervals.items()},
                "standard_errors": self.standard_errors,
                "exponents": self.exponents,
                "certificate": {**asdict(self.certificate), "warnings": list(self.certificate.warnings)},
                "convention": dict(self.convention),
                "level": self.level,
                "seed": self.seed,
                "clusters": self.clusters,
                "flops_per_param_token": self.flops_per_param_token,
                "theta": self.theta.tolist(),
                "points": {str(k): column_values(self.points, k).tolist() for k in self.points.columns},
                "draws": {
                    "shape": list(self.draws.shape),
                    "encoding": "base64 of little-endian float64, row by row, in the coordinates of theta",
                    "data": b64encode(np.ascontiguousarray(self.draws, dtype="<f8").tobytes()).decode(),
                },
            },
            indent=indent,
            allow_nan=True,
        )

    @classmethod
    def from_json(cls, text: str) -> "FitResult":
        """The result that `to_json` wrote."""
        try:
            record = json.loads(text)
            version = record["format"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise BadTable(f"not the JSON of a fit: {error}") from None
        if version != FORMAT:
            raise BadTable(
                f"this fit was written as format {version}; this version reads format {FORMAT}: fit again"
            )
        draws = np.frombuffer(b64decode(record["draws"]["data"]), dtype="<f8").reshape(
            record["draws"]["shape"]
        )
        proof = {**record["certificate"], "warnings": tuple(record["certificate"]["warnings"])}
        if proof["hessian_condition"] is None:  # strict JSON has no infinity
            proof["hessian_condition"] = float("inf")
        return cls(
            law=record["law"],
            objective_name=record["objective_name"],
            theta=np.array(record["theta"]),
            objective=record["objective"],
            points=pd.DataFrame(record["points"]),
            draws=draws.astype(float),
            level=record["level"],
            seed=record["seed"],
            clusters=record["clusters"],
            certificate=Certificate(**proof),
            convention=record["convention"],
            flops_per_param_token=record["flops_per_param_token"],
        )
