"""Quantiles of the distributions that intervals and tests need, from scipy.special (scipy.stats is slow to import).

Degrees of freedom may be infinite, where Student's distribution is the normal one.
"""

from math import inf

from scipy.special import fdtrc, fdtri, ndtr, ndtri, stdtr, stdtrit

MANY = 1e9
"""Degrees of freedom that stand for infinitely many: quantiles agree to nine digits."""


def normal(probability: float) -> float:
    """The standard normal quantile."""
    return float(ndtri(probability))


def normal_probability(value: float) -> float:
    """The probability that a standard normal value lies below this one."""
    return float(ndtr(value))


def student(probability: float, freedom: float) -> float:
    """Student's quantile with so many degrees of freedom."""
    return normal(probability) if freedom == inf else float(stdtrit(freedom, probability))


def student_p(value: float, freedom: float) -> float:
    """The probability that Student's t is at least this far from zero, on either side."""
    return 2.0 * float(stdtr(min(freedom, MANY), -abs(value)))


def fisher(probability: float, above: float, below: float) -> float:
    """The quantile of Fisher's F with these degrees of freedom above and below the line."""
    return float(fdtri(above, min(below, MANY), probability))


def fisher_p(value: float, above: float, below: float) -> float:
    """The probability that Fisher's F is at least this large."""
    return float(fdtrc(above, min(below, MANY), value))
