"""Loss laws: each a small pure function of the runs, with its parameters, gradient, published coefficients and optimum.

Two shapes of law cover the field. A *sum of power laws* is linear inside each exponential,
L = Σ_k exp(G_k(x)·θ), so its one function returns the design matrices G_k and everything else (value, gradient,
curvature) follows in closed form. Any other law gives `log_loss(θ, x)` and its gradient.

θ are the solver's coordinates: positive quantities named in `logged` enter as natural logarithms, so that E, A, B > 0
without a bound; exponents enter as they are. Shapes below: S settings of θ, n runs, p parameters, K terms.
To add a law, write its function and call `register`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from analysis.refusals import BadValue

Variables = Mapping[str, np.ndarray]  # column name → values, one a run


@dataclass(frozen=True, kw_only=True)
class Law:
    """A law that predicts a positive `target` from `variables`.

    Attributes:
        name: how `fit(law=…)` names it.
        formula: as the paper writes it.
        source: paper and equation.
        variables: columns that it reads.
        parameters: public names, in the order of θ.
        logged: those of them that θ holds as natural logarithms.
        amplitudes: those in which the loss is linear when the others are fixed (variable projection solves for them).
        box: for each other parameter, the range in θ from which starting values are drawn.
        design: x → G of shape (K, n, p), for a sum of power laws.
        log_loss: (θ of shape (S, p), x) → (log L of shape (S, n), gradient of shape (S, n, p)), for any other law.
            It must accept complex θ (no absolute values), since its curvature is taken by complex steps.
        log_optimum: (θ of shape (S, p), log(C/k) of shape (m,)) → log N of shape (S, m) that minimises the loss on
            C = k·N·D; None where only a numerical search answers.
        published: name of the study → public parameter values.
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

    def coordinates(self, values: Mapping[str, float]) -> np.ndarray:
        """Public values → θ, shape (p,)."""
        missing = [name for name in self.parameters if name not in values]
        if missing:
            raise BadValue(
                f"law {self.name!r} needs values for {', '.join(self.parameters)}; missing {', '.join(missing)}"
            )
        return np.array(
            [np.log(values[k]) if k in self.logged else values[k] for k in self.parameters], dtype=float
        )

    def values(self, theta: np.ndarray) -> np.ndarray:
        """θ, shape (…, p) → public values of the same shape."""
        logged = np.array([name in self.logged for name in self.parameters])
        theta = np.asarray(theta, dtype=float)
        with np.errstate(over="ignore"):  # a parameter that ran away is infinite
            return np.where(logged, np.exp(np.where(logged, theta, 0.0)), theta)

    def predict(self, theta: np.ndarray, x: Variables) -> tuple[np.ndarray, np.ndarray]:
        """log L, shape (S, n), and its gradient in θ, shape (S, n, p), for θ of shape (S, p)."""
        if self.log_loss is not None:
            return self.log_loss(theta, x)
        assert self.design is not None
        return log_sum_of_powers(theta, self.design(x))

    def loss_each(self, theta: np.ndarray, x: Variables) -> np.ndarray:
        """L of θ's row i at run i, shape (P,), for θ of shape (P, p) and variables of shape (P,)."""
        if self.log_loss is not None:
            return np.exp(
                self.log_loss(theta, {name: column[:, None] for name, column in x.items()})[0][:, 0]
            )
        assert self.design is not None
        return np.exp(np.einsum("np,knp->kn", theta, self.design(x))).sum(axis=0)

    def loss(self, values: Mapping[str, float], **x: float | np.ndarray) -> np.ndarray:
        """The law at public parameter values: `laws.get("chinchilla").loss(values, params=7e9, tokens=1.4e11)`."""
        columns = {name: np.atleast_1d(np.asarray(column, dtype=float)) for name, column in x.items()}
        return np.exp(self.predict(self.coordinates(values)[None], columns)[0][0])


def log_sum_of_powers(theta: np.ndarray, design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log Σ_k exp(G_k θ) and its gradient, for θ of shape (S, p) and G of shape (K, n, p)."""
    terms = np.einsum("sp,knp->skn", theta, design)
    top = terms.real.max(axis=1, keepdims=True)
    weights = np.exp(terms - top)
    total = weights.sum(axis=1)
    gradient = np.einsum("skn,knp->snp", weights / total[:, None], design)
    return np.log(total) + top[:, 0], gradient


LAWS: dict[
    str, Law
] = {}  # also filled by analysis.hyperparameters and analysis.schedule when they are imported


def register(law: Law) -> Law:
    """Make a law known to `fit(law=…)` under its name."""
    LAWS[law.name] = law
    return law


def get(name: str | Law) -> Law:
    """The law of that name (a Law passes through)."""
    if isinstance(name, Law):
        return name
    if name not in LAWS:
        raise BadValue(f"unknown law {name!r}: choose one of {', '.join(sorted(LAWS))}")
    return LAWS[name]


def _columns(*columns: np.ndarray | float) -> np.ndarray:
    """Columns (scalars are repeated) → a matrix of shape (n, p)."""
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


# --- Chinchilla -------------------------------------------------------------------------------------------------------


def chinchilla_design(x: Variables) -> np.ndarray:
    """L = E + A/N^α + B/D^β with θ = (log E, log A, log B, α, β)."""
    log_n, log_d = np.log(x["params"]), np.log(x["tokens"])
    zero = np.zeros_like(log_n)
    return np.stack(
        [_columns(1.0, 0, 0, 0, zero), _columns(0.0, 1, 0, -log_n, 0), _columns(0.0, 0, 1, 0, -log_d)],
    )


def chinchilla_log_optimum(theta: np.ndarray, log_nd: np.ndarray) -> np.ndarray:
    """N_opt = G·(C/6)^a with G = (αA/βB)^(1/(α+β)) and a = β/(α+β) (Hoffmann et al. 2022, eq. 4)."""
    _, log_a, log_b, alpha, beta = theta.T[:, :, None]
    return (np.log(alpha) + log_a - np.log(beta) - log_b + beta * log_nd) / (alpha + beta)


CHINCHILLA = register(
    Law(
        name="chinchilla",
        formula="L = E + A/N^α + B/D^β",
        source="Hoffmann et al. 2022 (arXiv:2203.15556), eq. 2",
        variables=("params", "tokens"),
        parameters=("E", "A", "B", "alpha", "beta"),
        logged=("E", "A", "B"),
        amplitudes=("E", "A", "B"),
        box={"alpha": (0.05, 1.2), "beta": (0.05, 1.2)},
        design=chinchilla_design,
        log_optimum=chinchilla_log_optimum,
        published={
            # Hoffmann et al. 2022, eq. 10.
            "hoffmann2022": {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
            # Besiroglu et al. 2024 (arXiv:2404.10102), table 1: a refit of Hoffmann's points digitised from the figure.
            "besiroglu2024": {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658},
        },
    )
)


# --- Kaplan -----------------------------------------------------------------------------------------------------------

PF_DAY = 1e15 * 86_400.0  # FLOPs in a petaflop/s-day (Kaplan et al. 2020, section 1.3)


def _kaplan_single(
    name: str, column: str, symbol: str, equation: str, published: Mapping[str, Mapping[str, float]]
) -> Law:
    scale, exponent = f"{symbol}_c", f"alpha_{symbol}"

    def log_loss(theta: np.ndarray, x: Variables) -> tuple[np.ndarray, np.ndarray]:
        log_scale, alpha = theta[:, :1], theta[:, 1:]
        distance = log_scale - np.log(x[column])
        return alpha * distance, np.stack(np.broadcast_arrays(alpha, distance), axis=-1)

    return Law(
        name=name,
        formula=f"L = ({symbol}_c/{symbol})^α_{symbol}",
        source=f"Kaplan et al. 2020 (arXiv:2001.08361), {equation}",
        variables=(column,),
        parameters=(scale, exponent),
        logged=(scale,),
        box={scale: (20.0, 70.0), exponent: (0.01, 0.5)},
        log_loss=log_loss,
        published=published,
    )


# N counts non-embedding parameters throughout Kaplan et al.
KAPLAN_N = register(
    _kaplan_single("kaplan_n", "params", "N", "eq. 1.1", {"kaplan2020": {"N_c": 8.8e13, "alpha_N": 0.076}})
)
KAPLAN_D = register(
    _kaplan_single("kaplan_d", "tokens", "D", "eq. 1.2", {"kaplan2020": {"D_c": 5.4e13, "alpha_D": 0.095}})
)
KAPLAN_C = register(
    _kaplan_single(
        "kaplan_c",
        "flops",
        "C",
        "eq. 1.3",
        {
            "kaplan2020_minimum_compute": {"C_c": 3.1e8 * PF_DAY, "alpha_C": 0.050},
            "kaplan2020_fixed_batch": {"C_c": 1.6e7 * PF_DAY, "alpha_C": 0.057},
        },
    )
)


def kaplan_log_loss(theta: np.ndarray, x: Variables) -> tuple[np.ndarray, np.ndarray]:
    """L = [(N_c/N)^(α_N/α_D) + D_c/D]^α_D with θ = (log N_c, log D_c, α_N, α_D)."""
    log_nc, log_dc, alpha_n, alpha_d = (theta[:, i : i + 1] for i in range(4))
    distance = log_nc - np.log(x["params"])
    model, data = alpha_n / alpha_d * distance, log_dc - np.log(x["tokens"])
    top = np.maximum(model.real, data.real)
    model_part, data_part = np.exp(model - top), np.exp(data - top)
    total = model_part + data_part
    share, inner = model_part / total, np.log(total) + top
    gradient = np.stack(
        [alpha_n * share, alpha_d * (1 - share), share * distance, inner - share * model], axis=-1
    )
    return alpha_d * inner, gradient


def kaplan_log_optimum(theta: np.ndarray, log_nd: np.ndarray) -> np.ndarray:
    """With q = α_N/α_D, the inner sum N_c^q N^-q + D_c N/(C/6) is least at N^(1+q) = q·N_c^q·(C/6)/D_c."""
    log_nc, log_dc, alpha_n, alpha_d = theta.T[:, :, None]
    q = alpha_n / alpha_d
    return (np.log(q) + q * log_nc + log_nd - log_dc) / (1 + q)


KAPLAN = register(
    Law(
        name="kaplan",
        formula="L = [(N_c/N)^(α_N/α_D) + D_c/D]^α_D",
        source="Kaplan et al. 2020 (arXiv:2001.08361), eq. 1.5, coefficients from table 2",
        variables=("params", "tokens"),
        parameters=("N_c", "D_c", "alpha_N", "alpha_D"),
        logged=("N_c", "D_c"),
        box={"N_c": (20.0, 50.0), "D_c": (20.0, 50.0), "alpha_N": (0.02, 0.5), "alpha_D": (0.02, 0.5)},
        log_loss=kaplan_log_loss,
        log_optimum=kaplan_log_optimum,
        published={"kaplan2020": {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}},
    )
)


# --- Gadre ------------------------------------------------------------------------------------------------------------


def gadre_design(x: Variables) -> np.ndarray:
    """L = E + (A·M^η + B·M^-η)·C^-η with M = D/N and C = 6ND; θ = (log E, log A, log B, η).

    C/M = 6N² and C·M = 6D², so this is Chinchilla's law with α = β = 2η.
    """
    log_n, log_d, log_6 = np.log(x["params"]), np.log(x["tokens"]), np.log(6.0)
    return np.stack(
        [
            _columns(1.0, 0, 0, np.zeros_like(log_n)),
            _columns(0.0, 1, 0, -(2 * log_n + log_6)),
            _columns(0.0, 0, 1, -(2 * log_d + log_6)),
        ]
    )


def gadre_log_optimum(theta: np.ndarray, log_nd: np.ndarray) -> np.ndarray:
    """A·N^-2η + B·D^-2η is least on N·D = C/6 where the two are equal, so N_opt ∝ C^½ (Gadre et al. 2024, sec. 2)."""
    _, log_a, log_b, eta = theta.T[:, :, None]
    return 0.5 * log_nd + (log_a - log_b) / (4 * eta)


GADRE = register(
    Law(
        name="gadre",
        formula="L = E + (A·M^η + B·M^-η)·C^-η, M = D/N, C = 6ND",
        source="Gadre et al. 2024 (arXiv:2403.08540), eq. 4",
        variables=("params", "tokens"),
        parameters=("E", "A", "B", "eta"),
        logged=("E", "A", "B"),
        amplitudes=("E", "A", "B"),
        box={"eta": (0.03, 0.6)},
        design=gadre_design,
        log_optimum=gadre_log_optimum,
    )
)


# --- Muennighoff ------------------------------------------------------------------------------------------------------


def _saturating(repeats: np.ndarray, half_life: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """h = 1 + R*·(1 - exp(-R/R*)), the worth of 1 + R passes, and its derivatives in R and in R*."""
    decay = np.exp(-repeats / half_life)
    return 1 + half_life * (1 - decay), decay, 1 - decay * (1 + repeats / half_life)


def muennighoff_log_loss(theta: np.ndarray, x: Variables) -> tuple[np.ndarray, np.ndarray]:
    """L = E + A/N'^α + B/D'^β, θ = (log E, log A, log B, log α, log β, log R*_D, log R*_N).

    D' = U_D·h(D/U_D - 1, R*_D) with U_D unique tokens; N' = U_N·h(N/U_N - 1, R*_N), where U_N is the smaller of N and
    the size for which U_D tokens are compute-optimal under the same law.
    """
    log_e, log_a, log_b, log_alpha, log_beta, log_rd, log_rn = (theta[:, i : i + 1] for i in range(7))
    alpha, beta, half_d, half_n = np.exp(log_alpha), np.exp(log_beta), np.exp(log_rd), np.exp(log_rn)
    log_n, log_d = np.log(x["params"]), np.log(x["tokens"])
    log_unique = np.minimum(np.log(x["unique_tokens"]), log_d)

    worth_d, _, d_half_d = _saturating(np.exp(log_d - log_unique) - 1, half_d)
    log_d_eff = log_unique + np.log(worth_d)

    log_g = (log_alpha + log_a - log_beta - log_b) / (alpha + beta)
    log_match = log_g + beta / alpha * (log_unique + log_g)  # size for which U_D tokens are compute-optimal
    excess = (log_n - log_match).real > 0
    ratio = np.exp(
        np.where(excess, np.minimum(log_n - log_match, 50.0), 0.0)
    )  # beyond e^50 its worth has saturated
    worth_n, decay_n, d_half_n = _saturating(ratio - 1, half_n)
    log_n_eff = np.where(excess, log_match + np.log(worth_n), log_n)
    via_match = np.where(excess, 1 - decay_n * ratio / worth_n, 0.0)  # ∂ log N' / ∂ log U_N
    match_alpha = 1 / alpha - log_g - beta / alpha * (log_g + log_unique)  # ∂ log U_N / ∂ log α
    match_beta = beta / alpha * (log_unique - 1 / beta)  # ∂ log U_N / ∂ log β

    terms = np.stack(np.broadcast_arrays(log_e, log_a - alpha * log_n_eff, log_b - beta * log_d_eff), axis=-1)
    top = terms.real.max(axis=-1, keepdims=True)
    parts = np.exp(terms - top)
    total = parts.sum(axis=-1, keepdims=True)
    share_e, share_a, share_b = np.moveaxis(parts / total, -1, 0)
    size_a = -alpha * share_a  # ∂ log L / ∂ log N'
    gradient = [
        share_e,
        share_a + size_a * via_match / alpha,
        share_b - size_a * via_match / alpha,
        size_a * (log_n_eff + via_match * match_alpha),
        -beta * share_b * log_d_eff + size_a * via_match * match_beta,
        -beta * share_b * half_d * d_half_d / worth_d,
        size_a * np.where(excess, half_n * d_half_n / worth_n, 0.0),
    ]
    return np.log(total[..., 0]) + top[..., 0], np.stack(np.broadcast_arrays(*gradient), axis=-1)


MUENNIGHOFF = register(
    Law(
        name="muennighoff",
        formula="L = E + A/N'^α + B/D'^β, D' = U_D(1 + R*_D(1 - e^(-R_D/R*_D))), N' likewise",
        source="Muennighoff et al. 2023 (arXiv:2305.16264), eqs. 5 and 6, coefficients from appendix A",
        variables=("params", "tokens", "unique_tokens"),
        parameters=("E", "A", "B", "alpha", "beta", "R_D", "R_N"),
        logged=("E", "A", "B", "alpha", "beta", "R_D", "R_N"),
        amplitudes=("E", "A", "B"),
        box={
            "alpha": (np.log(0.1), np.log(1.0)),
            "beta": (np.log(0.1), np.log(1.0)),
            "R_D": (0.0, np.log(60.0)),
            "R_N": (0.0, np.log(60.0)),
        },
        log_loss=muennighoff_log_loss,
        published={
            "muennighoff2023": {
                "E": 1.869, "A": 521.0, "B": 1488.0, "alpha": 0.353, "beta": 0.353, "R_D": 15.39, "R_N": 5.31,
            }
        },
    )
)  # fmt: skip
