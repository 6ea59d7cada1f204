"""Quantiles of the distributions that intervals and tests need.

Degrees of freedom may be infinite, where Student's distribution is the normal one. The normal distribution comes from
the standard library and the others from scipy.special, which is imported where it is called: a budget's plan needs the
normal one alone, and should not wait for scipy.
"""

from math import erfc, inf, sqrt
from statistics import NormalDist

MANY = 1e9
"""Degrees of freedom that stand for infinitely many: quantiles agree to nine digits."""


def normal(probability: float) -> float:
    """The standard normal quantile."""
    if probability in (0.0, 1.0):
        return inf if probability else -inf
    return NormalDist().inv_cdf(probability)


def normal_probability(value: float) -> float:
    """The probability that a standard normal value lies below this one."""
    return 0.5 * erfc(-value / sqrt(2))


def student(probability: float, freedom: float) -> float:
    """Student's quantile with so many degrees of freedom."""
    if freedom == inf:
        return normal(probability)
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def student_p(value: float, freedom: float) -> float:
    """The probability that Student's t is at least this far from zero, on either side."""
    from scipy.special import stdtr

    return 2.0 * float(stdtr(min(freedom, MANY), -abs(value)))


def fisher(probability: float, above: float, below: float) -> float:
    """The quantile of Fisher's F with these degrees of freedom above and below the line."""
    from scipy.special import fdtri

    return float(fdtri(above, min(below, MANY), probability))


def fisher_p(value: float, above: float, below: float) -> float:
    """The probability that Fisher's F is at least this large."""
    from scipy.special import fdtrc

    return float(fdtrc(above, min(below, MANY), value))
