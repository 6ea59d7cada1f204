"""The scaling law that `solve` goes by: a published one by name, or a fit of the user's own runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from analysis import laws
from analysis.refusals import BadTable
from scaling.config.nearest import nearest
from scaling.errors import UserError
from scaling.records.folder import FIT, FITTED_LAW, FITTED_STUDY
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape

DATA_LIMITED_LAW = "muennighoff2023"
PUBLISHED_FLOPS = (1e18, 1e22)
"""Training compute that the published studies cover, to the decade (Hoffmann et al. 2022, figure 4)."""
PUBLISHED_COVARIANCE: dict[str, tuple[tuple[float, ...], ...]] = {
    "besiroglu2024": (
        (2.1140e-4, 2.2799e-3, 3.7502e-3, 1.35050e-4, 1.82674e-4),
        (2.2799e-3, 7.16806e-2, -3.1022e-2, 4.27540e-3, -1.55242e-3),
        (3.7502e-3, -3.1022e-2, 1.88692e-1, -1.91488e-3, 9.22360e-3),
        (1.35050e-4, 4.27540e-3, -1.91488e-3, 2.55370e-4, -9.58997e-5),
        (1.82674e-4, -1.55242e-3, 9.22360e-3, -9.58997e-5, 4.51170e-4),
    )
}
"""Covariance of a published law's coordinates (log E, log A, log B, α, β) where it can be known. Besiroglu et al. 2024
(arXiv:2404.10102) print standard errors of 4000 bootstraps of the 240 points that they digitised, but not how the
coefficients move together: this is the same bootstrap done again, whose standard errors are theirs."""
PUBLISHED_DRAWS = 500
"""Draws that stand for a published covariance."""
NON_EMBEDDING = ("kaplan", "kaplan_n")
"""Laws whose N leaves out embeddings."""
FIT_FILES = (f"{FIT}/{FITTED_STUDY}", FITTED_STUDY, FITTED_LAW)
"""Where a folder of runs keeps its fitted law; `scaling fit` writes study.json."""


@dataclass(frozen=True, kw_only=True)
class ChosenLaw:
    """A law with its estimate and, where it was fitted, the draws that carry its uncertainty."""

    name: str
    form: laws.Law
    """Its functional form."""
    theta: np.ndarray
    """Coordinates of the law, shape (p,)."""
    draws: np.ndarray
    """Draws of the coordinates, shape (B, p); no rows where nothing is known of the uncertainty."""
    level: float
    """Probability that an interval covers."""
    degrees_of_freedom: float | None
    """Independent groups of runs beyond the coefficients; None: intervals are the draws' own percentiles."""
    clusters: int | None
    """Independent groups of runs; None: not known."""
    source: str
    fitted_flops: tuple[float, float]
    """Training compute of the runs behind it, least and most."""
    verdict: str | None = None
    """How far the fitted study itself trusts a plan by this law, in words; None for a published law."""

    @property
    def counts_non_embedding(self) -> bool:
        """Whether the law's N leaves out embeddings."""
        return self.form.name in NON_EMBEDDING

    def params_of(self, shape: ModelShape) -> float:
        """Parameters of a model in the law's own count; of a mixture those that a token uses, as budgets count them."""
        counts = count_params(shape)
        return float(counts.active_non_embedding if self.counts_non_embedding else counts.active)

    def interval(self, values: np.ndarray) -> tuple[float, float] | None:
        """Interval of a quantity from its value under each draw, shape (B,); None where there are no draws."""
        if not len(values):
            return None
        if self.degrees_of_freedom is None:
            low, high = np.quantile(values, [(1 - self.level) / 2, (1 + self.level) / 2])
            return float(low), float(high)
        from analysis.uncertainty import interval  # scipy is slow to import

        low, high = interval(values[:, None], self.level, self.degrees_of_freedom, self.clusters)[:, 0]
        return float(low), float(high)


def choose_law(name: str) -> ChosenLaw:
    """A published law (a study such as hoffmann2022, or a law with one study), a fit's JSON file, or its folder.

    Raises UserError naming the studies known, or the file that was looked for.
    """
    path = Path(name)
    if path.is_dir() or path.suffix == ".json" or "/" in name:
        return _own_fit(path)
    # Only a law of both parameters and tokens has a split to choose.
    studies = {study: law for law in laws.LAWS.values() if law.has_split for study in law.published}
    latest = {law.name: study for study, law in studies.items()}
    study = latest.get(name, name)
    if study in studies:
        return _published(studies[study], study)
    known = [*studies, *latest]
    hint = nearest(name, known, f"choose one of {', '.join(studies)}")
    raise UserError(
        f"law={name}: no such published law; {hint}; or give a folder of runs or a fit's JSON file"
    )


def _published(law: laws.Law, study: str) -> ChosenLaw:
    theta = law.coordinates(law.published[study])
    known = study in PUBLISHED_COVARIANCE
    return ChosenLaw(
        name=study,
        form=law,
        theta=theta,
        draws=theta + _deviations(study) if known else np.empty((0, len(theta))),
        level=0.9,
        degrees_of_freedom=None,
        clusters=None,
        source=law.source,
        fitted_flops=PUBLISHED_FLOPS,
    )


@lru_cache
def _deviations(study: str) -> np.ndarray:
    """Deviations of a published law's coordinates, shape (B, p): normal, the same each time."""
    covariance = np.array(PUBLISHED_COVARIANCE[study])
    normal = np.random.default_rng(0).standard_normal((PUBLISHED_DRAWS // 2, len(covariance)))
    # In pairs of opposite sign, so that their mean is the estimate.
    deviations: np.ndarray = np.concatenate([normal, -normal]) @ np.linalg.cholesky(covariance).T
    return deviations


def _own_fit(path: Path) -> ChosenLaw:
    files = [path] if path.suffix == ".json" else [path / name for name in FIT_FILES]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        if path.suffix != ".json" and not path.is_dir():
            raise UserError(
                f"law={path}: no such folder; give that of a sweep or of a fit, or a fit's study.json"
            )
        raise UserError(f"law={path}: no {files[0]}; fit the runs first: scaling fit {path}")
    from analysis.result import FitResult  # pandas and scipy are slow to import

    try:
        result = FitResult.from_json(found.read_text())
    except BadTable as error:
        raise UserError(
            f"law={path}: {found} holds no fitted law ({error}); its study says why, and what runs would show it"
        ) from error
    law = laws.get(result.law)
    if not law.has_split:
        raise UserError(
            f"law={path}: {result.law} predicts no loss from both parameters and tokens, so it has no split to choose: "
            "fit another law, as scaling fit … law=chinchilla"
        )
    flops = result.flops_per_param_token * result.points["params"] * result.points["tokens"]
    curves = result.clusters < len(result.points)  # whose draws are spread as Student's already
    return ChosenLaw(
        name=str(path),
        form=law,
        theta=result.theta,
        draws=result.draws,
        level=result.level,
        degrees_of_freedom=None if curves else result.clusters - len(result.theta),
        clusters=None if curves else result.clusters,
        source=f"fitted to {len(result.points)} runs",
        fitted_flops=(float(flops.min()), float(flops.max())),
        verdict=_verdict(found.read_text()),
    )


def _verdict(text: str) -> str:
    """What the JSON of a fit says of plans by its law."""
    stored = json.loads(text).get("plan_verdict")
    if stored is None:
        return "Treat the plan as a guess: this fit was not checked for plans (scaling fit on the runs checks it)."
    return str(stored["words"])
