"""Kaplan's laws: loss as a power of size, of tokens or of compute alone, and of size and tokens together."""

from collections.abc import Mapping

import numpy as np

from analysis.laws.law import Law, Variables

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
KAPLAN_N = _kaplan_single(
    "kaplan_n", "params", "N", "eq. 1.1", {"kaplan2020": {"N_c": 8.8e13, "alpha_N": 0.076}}
)
KAPLAN_D = _kaplan_single(
    "kaplan_d", "tokens", "D", "eq. 1.2", {"kaplan2020": {"D_c": 5.4e13, "alpha_D": 0.095}}
)
KAPLAN_C = _kaplan_single(
    "kaplan_c",
    "flops",
    "C",
    "eq. 1.3",
    {
        "kaplan2020_minimum_compute": {"C_c": 3.1e8 * PF_DAY, "alpha_C": 0.050},
        "kaplan2020_fixed_batch": {"C_c": 1.6e7 * PF_DAY, "alpha_C": 0.057},
    },
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
    return np.asarray((np.log(q) + q * log_nc + log_nd - log_dc) / (1 + q))


KAPLAN = Law(
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
