"""What a set of runs would tell about a target, by the Fisher information of the law, for many laws at once.

θ is estimated by least squares on log losses with errors of variance s². Its covariance is P = (P0⁻¹ + Σ j jᵀ/s²)⁻¹
with j the gradient of log L; a target with gradient g has variance gᵀPg. Where the truth bends away from the law by
shapes q(N, D) of size b, the same estimate is off by b·(gᵀPΣ q j/s² − q_target), whatever the number of runs: that
square is added. A run more changes all of it by a rank-one update (Sherman and Morrison), so hundreds of candidates are
scored in one product.

Shapes: K laws, n candidates, p parameters, m target quantities, 3 bends.
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Candidates:
    """What each candidate would measure.

    Attributes:
        jacobian: gradient of its log loss in θ over its error s, shape (K, n, p).
        bends: bend shapes at it over s, shape (n, 3).
    """

    jacobian: np.ndarray
    bends: np.ndarray


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        gradient: of each target quantity in θ, shape (K, m, p).
        bends: how the truth of it moves with each bend, shape (K, m, 3).
        bend: standard deviation of each bend.
        weight: what a unit of squared error costs, shape (K, m): ones, or the curvature of the loss for regret.
        determinant: the D-criterion instead: the volume of what is left unknown, whatever the target.
    """

    gradient: np.ndarray
    bends: np.ndarray
    bend: float
    weight: np.ndarray
    determinant: bool = False


@dataclass(frozen=True)
class State:
    """What is known after some runs.

    Attributes:
        covariance: P, shape (K, p, p).
        cross: Σ j q/s², shape (K, p, 3).
    """

    covariance: np.ndarray
    cross: np.ndarray

    def with_run(self, candidates: Candidates, which: int) -> "State":
        """After one run more."""
        j = candidates.jacobian[:, which]
        pull = np.einsum("kpq,kq->kp", self.covariance, j)
        scale = 1 + np.einsum("kp,kp->k", j, pull)
        return State(
            self.covariance - np.einsum("kp,kq->kpq", pull, pull) / scale[:, None, None],
            self.cross + j[:, :, None] * candidates.bends[which],
        )


def state_of(candidates: Candidates, runs: np.ndarray, precision: np.ndarray) -> State:
    """What is known after the runs of an index (repeats allowed), from a precision (p, p) or (K, p, p) before them."""
    jacobian = candidates.jacobian[:, runs]
    information = np.einsum("knp,knq->kpq", jacobian, jacobian) + precision
    return State(stable_inverse(information), np.einsum("knp,nb->kpb", jacobian, candidates.bends[runs]))


def stable_inverse(matrices: np.ndarray) -> np.ndarray:
    """Inverses of symmetric matrices (K, p, p), scaled to a unit diagonal first."""
    scale = np.sqrt(np.maximum(np.einsum("kpp->kp", matrices), 1e-300))
    outer = scale[:, :, None] * scale[:, None, :]
    size = matrices.shape[1]
    return np.asarray(np.linalg.inv(matrices / outer + 1e-13 * np.eye(size)) / outer)


def squared_error(state: State, question: Question) -> np.ndarray:
    """Expected squared error of each target quantity, shape (K, m)."""
    reach = np.einsum("kmp,kpq->kmq", question.gradient, state.covariance)
    variance = np.einsum("kmp,kmp->km", reach, question.gradient)
    if not question.bend:
        return np.asarray(variance)
    off = np.einsum("kmp,kpb->kmb", reach, state.cross) - question.bends
    return np.asarray(variance + question.bend**2 * np.einsum("kmb,kmb->km", off, off))


def value(state: State, question: Question) -> float:
    """The criterion, to be made small: mean over laws of the logarithm of weighted error (or of the volume)."""
    if question.determinant:
        return float(np.mean(np.linalg.slogdet(state.covariance)[1]))
    return float(np.mean(np.log(np.sum(question.weight * squared_error(state, question), axis=1))))


def values_with_each(state: State, question: Question, candidates: Candidates) -> np.ndarray:
    """The criterion after each candidate alone is added, shape (n,)."""
    pull = np.einsum("knp,kpq->knq", candidates.jacobian, state.covariance)
    spread = np.einsum("knp,knp->kn", pull, candidates.jacobian)
    if question.determinant:
        volume = np.linalg.slogdet(state.covariance)[1]
        return np.asarray(np.mean(volume[:, None] - np.log1p(spread), axis=0))
    reach = np.einsum("kmp,kpq->kmq", question.gradient, state.covariance)
    along = np.einsum("kmp,knp->kmn", reach, candidates.jacobian)
    share = along / (1 + spread)[:, None, :]
    error = np.einsum("kmp,kmp->km", reach, question.gradient)[:, :, None] - along * share
    if question.bend:
        # h₊ = h - share·(Pj), so h₊A₊ - q = (hA - q) - share·(Pj A) + (h₊j) q_run, with h₊j = along/(1 + spread).
        off = np.einsum("kmp,kpb->kmb", reach, state.cross) - question.bends
        through = np.einsum("knp,kpb->knb", pull, state.cross)
        after = off[:, :, None, :] + share[..., None] * (candidates.bends - through)[:, None]
        error = error + question.bend**2 * np.einsum("kmnb,kmnb->kmn", after, after)
    return np.asarray(np.mean(np.log(np.einsum("km,kmn->kn", question.weight, error)), axis=0))


def without_bends(question: Question) -> Question:
    """The same question of a law that does not bend."""
    return replace(question, bend=0.0)
