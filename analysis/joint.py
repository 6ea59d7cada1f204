"""Several groups of runs under one law, which share some of its parameters and keep the others for themselves.

Fitted apart, the laws of two optimizers or corpora are ill-conditioned: E, amplitude and exponent trade against each
other, so that their exponents differ by chance. Shared exponents with a factor of each group's own describe them with
fewer parameters and let them be compared (Volkova et al. 2026). Whether the data allow that is tested: the objective of
the smaller model over that of the larger one, against what it is when the smaller one is true. Since the penalty is
Huber's, no χ² holds; the null is simulated by flipping the signs of whole training jobs' residuals (the wild cluster
bootstrap with the null imposed, Cameron, Gelbach and Miller 2008).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import laws, objectives
from analysis.laws.law import Law, Variables
from analysis.points import checked_points, column_or_ones, problem_of
from analysis.problem import Problem
from analysis.refusals import BadValue
from analysis.solver import FROM_NEAR, minimise, polish
from analysis.starts import descend, project
from analysis.table import Table

FLIPS = 199
"""Simulated tables of a test: the smallest p that it can give is 1 in 200."""
LEAST_CLUSTERS = 8
"""Training jobs below which there are too few signs to flip: 2^8 tables are all that there are."""


@dataclass(frozen=True)
class JointFit:
    """One law over all groups.

    Attributes:
        law: the law that each group follows.
        groups: their names.
        shared: the parameters that they share.
        theta: coordinates of each group's law, shape (groups, p).
        objective: the minimised sum over all points.
        parameters: how many are free.
    """

    law: str
    groups: tuple[str, ...]
    shared: tuple[str, ...]
    theta: np.ndarray
    objective: float
    parameters: int

    def frame(self) -> pd.DataFrame:
        """One row for each group, a column for each of the law's parameters."""
        law = laws.get(self.law)
        return pd.DataFrame(law.values(self.theta), index=list(self.groups), columns=list(law.parameters))


@dataclass(frozen=True)
class Test:
    """Whether a larger model describes the groups better than chance allows.

    Attributes:
        question: what a small p answers with yes.
        smaller, larger: how many parameters each has.
        gain: by how much the larger one lowers the objective, as a share.
        p: probability of such a gain if the smaller one is true; NaN where the jobs are too few to say.
    """

    question: str
    smaller: int
    larger: int
    gain: float
    p: float


@dataclass(frozen=True)
class Joint:
    """The models of several groups, from one law for all to one for each, and the tests between neighbours.

    Attributes:
        models: fits by rising number of parameters.
        tests: one between each model and the next.
    """

    models: tuple[JointFit, ...]
    tests: tuple[Test, ...]

    @property
    def exponents(self) -> Test:
        """The last test: do the exponents differ?"""
        return self.tests[-1]


def joint_law(base: Law, groups: int, shared: tuple[str, ...]) -> Law:
    """The law of all groups at once: it reads their number (0, 1, …) in a column `group`.

    Raises:
        BadValue: the law is no sum of power laws.
    """
    if base.design is None:
        known = ", ".join(name for name, law in laws.LAWS.items() if law.design is not None and law.has_split)
        raise BadValue(f"a joint fit needs a sum of power laws; {base.name} is none: choose one of {known}")
    design = base.design
    slots = slots_of(base, groups, shared)
    names = [
        name if name in shared else f"{name}[{group}]"
        for group, row in enumerate(slots)
        for name in base.parameters
    ]
    unique = dict(zip(slots.ravel().tolist(), names, strict=True))
    parameters = tuple(unique[k] for k in range(len(unique)))

    def joint_design(x: Variables) -> np.ndarray:
        own = design(x)
        member = x["group"].astype(int)
        wide = np.zeros((*own.shape[:2], len(parameters)))
        rows = np.arange(own.shape[1])
        for j in range(own.shape[2]):
            wide[:, rows, slots[member, j]] = own[:, :, j]
        return wide

    def is_one_of(kind: tuple[str, ...], name: str) -> bool:
        return name.partition("[")[0] in kind

    return Law(
        name=f"{base.name}, jointly",
        formula=base.formula,
        source="Volkova et al. 2026, with this law",
        variables=(*base.variables, "group"),
        parameters=parameters,
        logged=tuple(name for name in parameters if is_one_of(base.logged, name)),
        amplitudes=tuple(name for name in parameters if is_one_of(base.amplitudes, name)),
        box={
            name: base.box[name.partition("[")[0]]
            for name in parameters
            if not is_one_of(base.amplitudes, name)
        },
        design=joint_design,
    )


def slots_of(base: Law, groups: int, shared: tuple[str, ...]) -> np.ndarray:
    """Which coordinate of the joint law is parameter j of group g, shape (groups, p)."""
    slots = np.empty((groups, len(base.parameters)), dtype=int)
    used = 0
    for j, name in enumerate(base.parameters):
        if name in shared:
            slots[:, j] = used
            used += 1
        else:
            slots[:, j] = np.arange(used, used + groups)
            used += groups
    return slots


def fit_jointly(
    tables: Mapping[str, Table],
    law: str = "chinchilla",
    objective: str = "huber_log",
    *,
    flips: int = FLIPS,
    seed: int = 0,
) -> Joint:
    """Fit the groups under shared parameters, fewer and fewer of them, and test each step.

    Args:
        tables: name of a group → its runs; two groups or more.
        law: a sum of power laws, such as chinchilla.
        objective: a name in `objectives.OBJECTIVES`.
        flips: simulated tables of each test.
        seed: of their signs.

    Raises:
        Refusal: a group alone does not carry the law, or the law has no joint form.
    """
    base, penalty = laws.get(law), objectives.get(objective)
    groups = tuple(tables)
    points = [checked_points(table.frame, base, None, "cluster") for table in tables.values()]
    problems = [problem_of(rows, base, penalty) for rows in points]
    exponents = tuple(base.box)
    amplitudes = tuple(name for name in base.amplitudes if name != "E")
    own = joint_law(base, len(groups), ())  # refused at once where there is no joint form
    apart = np.array(
        [
            best_of(problem, column_or_ones(rows, "weight"))
            for problem, rows in zip(problems, points, strict=True)
        ]
    )
    x = {name: np.concatenate([problem.x[name] for problem in problems]) for name in base.variables} | {
        "group": np.repeat(np.arange(len(groups)), [len(rows) for rows in points]).astype(float)
    }
    log_loss = np.concatenate([problem.log_loss for problem in problems])
    cluster = cluster_labels(points)

    steps: list[tuple[str, ...]] = [
        (*exponents, *base.amplitudes), (*exponents, *(("E",) if "E" in base.amplitudes else ())), exponents, (),
    ]  # fmt: skip
    steps = list(dict.fromkeys(steps)) if amplitudes else [steps[0], ()]
    built = [Problem.build(joint_law(base, len(groups), shared), x, log_loss, penalty) for shared in steps]
    thetas, models = [], []
    for shared, problem in zip(steps, built, strict=True):
        slots = slots_of(base, len(groups), shared)
        starts = starts_of(base, problems, apart, slots, len(problem.law.parameters))
        weight = np.ones(len(log_loss))
        found = polish(problem, minimise(problem, starts, weight[None]), weight)
        best = int(np.nanargmin(found.value))
        thetas.append(found.theta[best])
        models.append(
            JointFit(
                law,
                groups,
                shared,
                found.theta[best][slots],
                float(found.value[best]),
                len(found.theta[best]),
            )
        )
    assert own.parameters == built[-1].law.parameters
    questions = {
        2: ("do they differ at all?",),
        3: ("do their factors differ?", "do their exponents differ?"),
        4: ("do their factors differ?", "does E differ?", "do their exponents differ?"),
    }[len(steps)]
    tests = []
    for k, question in enumerate(questions):
        places = [slots_of(base, len(groups), shared) for shared in (steps[k], steps[k + 1])]
        p = flip_signs(built[k], built[k + 1], thetas[k], places, cluster, models[k : k + 2], flips, seed)
        gain = 1 - models[k + 1].objective / models[k].objective
        tests.append(Test(question, models[k].parameters, models[k + 1].parameters, max(gain, 0.0), p))
    return Joint(tuple(models), tuple(tests))


def best_of(problem: Problem, weight: np.ndarray) -> np.ndarray:
    """The estimate of one group alone, shape (p,)."""
    found = polish(problem, descend(problem, weight, 8), weight)
    return np.asarray(found.theta[int(np.nanargmin(found.value))])


def cluster_labels(points: list[pd.DataFrame]) -> np.ndarray:
    """A number for each training job over all groups, shape (n,)."""
    labels, start = [], 0
    for rows in points:
        own = rows["cluster"].to_numpy() if "cluster" in rows else np.arange(len(rows))
        _, member = np.unique(own, return_inverse=True)
        labels.append(member + start)
        start += int(member.max()) + 1
    return np.concatenate(labels)


def starts_of(
    base: Law, problems: list[Problem], apart: np.ndarray, slots: np.ndarray, count: int
) -> np.ndarray:
    """Starting values: each group's exponents, and their mean, with the amplitudes that are best for them."""
    starts = []
    for guess in (*apart, apart.mean(axis=0)):
        theta = np.zeros(count)
        for group, problem in reversed(list(enumerate(problems))):
            mixed = guess.copy()
            for j in range(len(guess)):
                if len(set(slots[:, j].tolist())) > 1:
                    mixed[j] = apart[group, j]
            weight = np.ones((1, len(problem.log_loss)))
            theta[slots[group]] = project(problem, mixed[None], weight)[0] if base.amplitudes else mixed
        starts.append(theta)
    return np.array(starts)


def flip_signs(
    smaller: Problem,
    larger: Problem,
    theta: np.ndarray,
    slots: list[np.ndarray],
    cluster: np.ndarray,
    models: list[JointFit],
    flips: int,
    seed: int,
) -> float:
    """The share of tables simulated under the smaller model whose gain is at least the one that was seen.

    Each training job keeps the sizes of its residuals and takes a random sign for all of them. Both signs of every run
    lie in one problem of 2n rows, of which weights choose n, so that all tables are fitted at once.
    """
    jobs = int(cluster.max()) + 1
    if jobs < LEAST_CLUSTERS:
        return float("nan")
    predicted = smaller.law.predict(theta[None], smaller.x)[0][0]
    n, p = len(predicted), len(theta)
    residual = (smaller.log_loss - predicted) * np.sqrt(n / max(n - p, 1))
    twice = {name: np.tile(column, 2) for name, column in smaller.x.items()}
    losses = np.concatenate([predicted + residual, predicted - residual])
    first, second = (
        Problem.build(problem.law, twice, losses, problem.objective) for problem in (smaller, larger)
    )
    positive = np.random.default_rng(seed).random((flips, jobs))[:, cluster] < 0.5
    weights = np.concatenate([positive, ~positive], axis=1).astype(float)
    of_smaller = minimise(first, np.repeat(theta[None], flips, axis=0), weights, stages=FROM_NEAR)
    starts = np.empty((flips, len(larger.law.parameters)))
    starts[:, slots[1]] = of_smaller.theta[:, slots[0]]
    of_larger = minimise(second, starts, weights, stages=FROM_NEAR)
    gains = of_smaller.value / np.maximum(of_larger.value, 1e-300)
    seen = models[0].objective / max(models[1].objective, 1e-300)
    return float((1 + np.sum(gains >= seen)) / (flips + 1))


def factors(fitted: JointFit, reference: str) -> pd.DataFrame:
    """How many times the reference's parameters and tokens each group needs for the same loss, where exponents agree.

    A group's term A/N^α equals the reference's at N' = N·(A'/A)^(1/α), so that factor is the ratio of sizes.
    """
    frame = fitted.frame()
    base = frame.loc[reference]
    return pd.DataFrame(
        {
            "params_factor": (frame["A"] / base["A"]) ** (1 / frame["alpha"]),
            "tokens_factor": (frame["B"] / base["B"]) ** (1 / frame["beta"]),
        }
    )
