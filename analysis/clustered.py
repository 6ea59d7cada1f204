"""Uncertainty where the rows of a table are points of few training runs: simulated errors of runs, not resampled runs.

All points of one run share its error (its seed, its tuning), so that six sizes of 41 checkpoints hold six independent
errors and not 246. Resampling so few runs overstates the spread: a resample that gives three sizes nearly all the
weight no longer determines the three parameters of the size's term, and the intervals came out twice too wide at ten
sizes. Instead new errors are drawn and the law, made linear about its optimum, is fitted to each simulated table under
the same objective:

- the mean error of a run is normal, with one variance for all runs, estimated with the degrees of freedom that the fit
  leaves between runs; that the variance is estimated turns normal draws into Student's (as a random effect in Searle,
  Casella & McCulloch 1992, "Variance Components", chapter 3; degrees of freedom by Satterthwaite 1946);
- how a run's points deviate from its mean is kept as it was seen, times a normal number for each run: the wild cluster
  bootstrap (Cameron, Gelbach & Miller 2008), which keeps whatever correlation the points have.
"""

from dataclasses import dataclass

import numpy as np

from analysis.problem import Problem

LEAST_FREEDOM = 3.0
"""Degrees of freedom between runs below which intervals are not estimated: with two, Student's 90 % quantile is 2.9 and
hangs on two numbers; with three, 2.4, and 6 sizes under Chinchilla's law cover as they should
(benchmarks/clusters.py)."""
SLACK = 0.1
"""By how much Satterthwaite's degrees of freedom may fall short: they are a ratio of sums, not a count."""
RANK = 1e-9
"""Singular value of the Jacobian, as a share of the largest, below which runs do not determine that direction."""
STAGES, STEPS = 6, 6
"""The penalty's δ shrinks in so many stages of so many reweighted least squares each: to 1e-3 of a standard error."""
VALUES_AT_ONCE = 10**6
"""Simulated losses held in memory at once."""


@dataclass(frozen=True)
class RunErrors:
    """The errors of the runs of a table, taken apart.

    Attributes:
        mean_sd: standard deviation of a run's mean error, in log loss.
        freedom: degrees of freedom from which it is estimated.
        deviations: each point's residual less the mean of its run's, as the law within runs leaves it, shape (n,).
        member: the number of each point's run, shape (n,).
        runs: how many runs.
    """

    mean_sd: float
    freedom: float
    deviations: np.ndarray
    member: np.ndarray
    runs: int

    def simulate(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """New errors of every point, shape (count, n)."""
        scale = np.sqrt(self.freedom / rng.chisquare(self.freedom, size=(count, 1)))
        means = self.mean_sd * scale * rng.standard_normal((count, self.runs))
        wild = np.sqrt(self.runs / (self.runs - 1)) * rng.standard_normal((count, self.runs))
        return np.asarray(means[:, self.member] + wild[:, self.member] * self.deviations)


def has_curves(clusters: np.ndarray) -> bool:
    """Whether some rows are points of one training run."""
    return len(np.unique(clusters)) < len(clusters)


def run_errors(problem: Problem, theta: np.ndarray, weight: np.ndarray, clusters: np.ndarray) -> RunErrors:
    """The errors of runs as least squares about the optimum θ (p,) sees them, unbiased for what the fit absorbs."""
    _, member, size = np.unique(clusters, return_inverse=True, return_counts=True)
    jacobian, _ = _directions(problem, theta, weight)
    root = np.sqrt(weight) * _scale(problem)
    residuals = -problem.log_ratio(theta[None])[0]
    residuals = residuals - jacobian @ (jacobian.T @ (root**2 * residuals))

    def sums(values: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(member, column, len(size)) for column in values.T], axis=1)

    means = np.bincount(member, residuals, len(size)) / size
    # Against the law's own slopes within runs: else errors of whole runs, which bend the fit, pass for deviations.
    within = jacobian - (sums(jacobian) / size[:, None])[member]
    deviations = residuals - means[member]
    deviations = deviations - within @ np.linalg.lstsq(within, deviations, rcond=RANK)[0]
    # Means of residuals = left · errors of runs, where runs are off by a constant.
    left = np.eye(len(size)) - (sums(jacobian) / size[:, None]) @ sums(root[:, None] ** 2 * jacobian).T
    spread = left @ left.T
    total, square = float(np.trace(spread)), float(np.sum(spread**2))
    return RunErrors(
        mean_sd=float(np.sqrt(np.sum(means**2) / total)) if total > 1e-9 else np.nan,
        freedom=total**2 / square if total > 1e-9 else 0.0,
        deviations=deviations,
        member=member,
        runs=len(size),
    )


def simulated_draws(
    problem: Problem, theta: np.ndarray, weight: np.ndarray, errors: RunErrors, count: int, seed: int
) -> np.ndarray:
    """Estimates of the law from `count` simulated tables, shape (count, p), spread as Student's about θ (p,)."""
    rng = np.random.default_rng(seed)
    jacobian, back = _directions(problem, theta, weight)
    scale = _scale(problem)
    step = max(1, VALUES_AT_ONCE // len(weight))
    return np.concatenate(
        [
            theta
            + _refit(problem, scale[:, None] * jacobian, scale * errors.simulate(rows, rng), weight) @ back.T
            for rows in [min(step, count - start) for start in range(0, count, step)]
        ]
    )


def _scale(problem: Problem) -> np.ndarray:
    """What multiplies a residual of the log loss in the objective, shape (n,)."""
    return problem.scale * np.exp(problem.log_loss) if problem.raw else problem.scale


def _directions(problem: Problem, theta: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Jacobian of log L in orthonormal directions, (n, q), and the matrix (p, q) from these back to θ.

    Directions that the runs do not determine at all are left out: θ does not move along them.
    """
    jacobian = problem.law.predict(theta[None], problem.x)[1][0]
    root = np.sqrt(weight) * _scale(problem)
    _, values, right = np.linalg.svd(root[:, None] * jacobian, full_matrices=False)
    kept = values > RANK * values[0]
    back = right[kept].T / values[kept]
    return jacobian @ back, back


def _refit(problem: Problem, design: np.ndarray, losses: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The objective's minimum of losses (B, n) against a design (n, q), by reweighted least squares: shape (B, q)."""
    objective = problem.objective
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    estimate = (losses * weight) @ design  # least squares: the design is orthonormal
    if np.isinf(objective.delta) and objective.over == 1.0:
        return np.asarray(estimate)
    first = losses - estimate @ design.T
    sharp = problem.sharpest()[0, 0]
    last = (
        objective.delta * objective.fitted_scale(first, np.broadcast_to(weight, first.shape))[:, None]
        if objective.scaled
        else np.full((len(losses), 1), sharp)
    )
    start = np.maximum(np.sqrt(np.mean(first**2, axis=1, keepdims=True)), last)
    for stage in np.linspace(0, 1, STAGES):
        delta = start ** (1 - stage) * last**stage
        for _ in range(STEPS):
            residual = losses - estimate @ design.T
            pull = weight * delta / np.maximum(np.abs(residual), delta)
            if objective.over != 1.0:
                pull = np.where(residual < 0, objective.over, 1.0) * pull
            normal = (pull @ products).reshape(len(losses), design.shape[1], -1)
            estimate += np.linalg.solve(normal, ((pull * residual) @ design)[:, :, None])[:, :, 0]
    return np.asarray(estimate)
