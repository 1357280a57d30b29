r"""Pairs of which one or both are discrete; the values are floats in columns, as everywhere here.

References
----------
.. [1] Gao, Kannan, Oh & Viswanath, "Estimating mutual information for discrete-continuous mixtures", NeurIPS 2017,
   Section 5.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import entr, gammaln, psi

from skdim.synthetic._quadrature import grid_entropy, grid_nodes
from skdim.synthetic._sampling import Array, Pair, RandomState, check_count, check_positive, columns, generator

__all__ = [
    "contingency_table",
    "contingency_table_mutual_information",
    "label_and_uniform",
    "label_and_uniform_mutual_information",
    "labelled_gaussians",
    "labelled_gaussians_mutual_information",
    "zero_inflated_poisson",
    "zero_inflated_poisson_mutual_information",
]


def _check_table(probabilities: npt.ArrayLike) -> Array:
    table = np.asarray(probabilities, dtype=np.float64)
    if table.ndim != 2 or not (table >= 0).all() or not np.isclose(table.sum(), 1):
        raise ValueError(f"probabilities must be a table of numbers that are not negative, with sum 1, got {table}.")
    return table


def contingency_table(n_samples: int, probabilities: npt.ArrayLike, random_state: RandomState = None) -> Pair:
    """Draw row and column of a table of probabilities: any two discrete variables.

    Parameters
    ----------
    n_samples : int
        Rows.
    probabilities : array-like of shape (a, b)
        The joint distribution.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X, Y : ndarray of shape (n_samples, 1)
        Row numbers 0 to a - 1 and column numbers 0 to b - 1.

    Raises
    ------
    ValueError
        If ``probabilities`` is not a table of probabilities with sum 1.

    Examples
    --------
    >>> from skdim.synthetic import contingency_table
    >>> X, Y = contingency_table(10_000, [[0.45, 0.05], [0.05, 0.45]], random_state=0)
    >>> round(float((X != Y).mean()), 1)
    0.1
    """
    table = _check_table(probabilities)
    cell = generator(n_samples, random_state).choice(table.size, size=n_samples, p=table.ravel() / table.sum())
    return columns(*np.unravel_index(cell, table.shape))


def contingency_table_mutual_information(probabilities: npt.ArrayLike) -> float:
    r"""Return the mutual information of a table of probabilities.

    .. math:: I(X; Y) = \sum_{ij} p_{ij} \log \frac{p_{ij}}{p_{i \cdot} \, p_{\cdot j}}

    Parameters
    ----------
    probabilities : array-like of shape (a, b)
        The joint distribution.

    Returns
    -------
    float
        The mutual information in nats.

    Raises
    ------
    ValueError
        If ``probabilities`` is not a table of probabilities with sum 1.

    Examples
    --------
    >>> from skdim.synthetic import contingency_table_mutual_information
    >>> round(contingency_table_mutual_information([[0.45, 0.05], [0.05, 0.45]]), 6)
    0.368064
    """
    table = _check_table(probabilities)
    return float(entr(table.sum(0)).sum() + entr(table.sum(1)).sum() - entr(table).sum())


def label_and_uniform(n_samples: int, n_labels: int, random_state: RandomState = None) -> Pair:
    """Draw a label X and a Y uniform on [X, X + 2]: the intervals of neighbours overlap by half [1]_.

    Parameters
    ----------
    n_samples : int
        Rows.
    n_labels : int
        Labels, equally likely.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X : ndarray of shape (n_samples, 1)
        Labels 0 to n_labels - 1.
    Y : ndarray of shape (n_samples, 1)
        Continuous.

    Raises
    ------
    ValueError
        If ``n_labels`` is less than 1.

    Examples
    --------
    >>> from skdim.synthetic import label_and_uniform
    >>> X, Y = label_and_uniform(10_000, n_labels=5, random_state=0)
    >>> round(float((Y - X).mean()), 1)
    1.0
    """
    check_count(1, n_labels=n_labels)
    rng = generator(n_samples, random_state)
    label = rng.integers(n_labels, size=n_samples)
    return columns(label, label + 2 * rng.random(n_samples))


def label_and_uniform_mutual_information(n_labels: int) -> float:
    r"""Return the mutual information of a label and a uniform variable.

    .. math:: I(X; Y) = \log m - \frac{m - 1}{m} \log 2

    Parameters
    ----------
    n_labels : int
        m, the number of labels.

    Returns
    -------
    float
        The mutual information in nats: at most the two ends of the line tell the label, elsewhere two are left [1]_.

    Raises
    ------
    ValueError
        If ``n_labels`` is less than 1.

    Examples
    --------
    >>> from skdim.synthetic import label_and_uniform_mutual_information
    >>> round(label_and_uniform_mutual_information(5), 6)
    1.05492
    """
    check_count(1, n_labels=n_labels)
    return math.log(n_labels) - (n_labels - 1) / n_labels * math.log(2)


def _check_zero_inflated(probability: float) -> None:
    if not 0 <= probability < 1:
        raise ValueError(f"probability must lie in [0, 1), got {probability!r}.")


def zero_inflated_poisson(n_samples: int, probability: float, random_state: RandomState = None) -> Pair:
    """Draw a rate X, exponential of mean 1, and a count Y: Poisson at that rate, or 0 with a given probability [1]_.

    Parameters
    ----------
    n_samples : int
        Rows.
    probability : float
        Probability in [0, 1) that the count is lost.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X : ndarray of shape (n_samples, 1)
        Rates.
    Y : ndarray of shape (n_samples, 1)
        Counts, as floats.

    Raises
    ------
    ValueError
        If ``probability`` is outside [0, 1).

    Examples
    --------
    >>> from skdim.synthetic import zero_inflated_poisson
    >>> X, Y = zero_inflated_poisson(10_000, probability=0.15, random_state=0)
    >>> round(float(Y.mean()), 1)  # 0.85
    0.8
    """
    _check_zero_inflated(probability)
    rng = generator(n_samples, random_state)
    rate = rng.standard_exponential(n_samples)
    return columns(rate, rng.poisson(rate) * (rng.random(n_samples) >= probability))


def zero_inflated_poisson_mutual_information(probability: float) -> float:
    r"""Return the mutual information of an exponential rate and its zero-inflated Poisson count.

    .. math:: I(X; Y) = H(Y) - \int_0^\infty e^{-x} H(Y \mid X = x) \, dx

    Parameters
    ----------
    probability : float
        p, the probability that the count is lost.

    Returns
    -------
    float
        The mutual information in nats. For p = 0 it is the 0.3012 of [1]_; (1 - p) times that, as given there for
        p > 0, would need a witness of the loss, and exceeds the mutual information of the rate and the count alone.

    Raises
    ------
    ValueError
        If ``probability`` is outside [0, 1).

    Examples
    --------
    >>> from skdim.synthetic import zero_inflated_poisson_mutual_information
    >>> [round(zero_inflated_poisson_mutual_information(p), 4) for p in (0, 0.15)]
    [0.3012, 0.2298]
    """
    _check_zero_inflated(probability)
    p, kept = probability, 1 - probability
    k = np.arange(1, 100)
    # P(Y = k) = (1-p) 2^-(k+1), and e^-x P(Y = k | x) is that times the density of a gamma variable of shape k+1 and rate
    # 2, under which the mean of log P(Y = k | x) is log(1-p) + k (ψ(k+1) - log 2) - (k+1)/2 - log k!.
    counts = kept * 0.5 ** (k + 1)
    mean_log = math.log(kept) + k * (psi(k + 1) - math.log(2)) - (k + 1) / 2 - gammaln(k + 1)

    # P(Y = 0 | x) = p + (1-p) e^-x is uniform on [p, 1] under the exponential x: -v log v has this integral.
    def integral(v: float) -> float:
        return float(v**2 / 4 + v * entr(v) / 2)

    given_rate = (integral(1.0) - integral(p)) / kept - (counts * mean_log).sum()
    return float(entr(p + kept / 2) + entr(counts).sum() - given_rate)


def labelled_gaussians(n_samples: int, n_labels: int, separation: float, random_state: RandomState = None) -> Pair:
    r"""Draw a feature X and a label Y: classes that are Gaussians of variance 1 along a line.

    .. math:: X = \delta Y + N

    Parameters
    ----------
    n_samples : int
        Rows.
    n_labels : int
        Labels, equally likely.
    separation : float
        :math:`\delta`, the distance of neighbouring means, positive.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X : ndarray of shape (n_samples, 1)
        Feature.
    Y : ndarray of shape (n_samples, 1)
        Labels 0 to n_labels - 1.

    Raises
    ------
    ValueError
        If ``n_labels`` is less than 1 or ``separation`` is not positive.

    Examples
    --------
    >>> from skdim.synthetic import labelled_gaussians
    >>> X, Y = labelled_gaussians(10_000, n_labels=3, separation=2.0, random_state=0)
    >>> round(float((X - 2 * Y).std()), 1)
    1.0
    """
    check_count(1, n_labels=n_labels)
    check_positive(separation=separation)
    rng = generator(n_samples, random_state)
    label = rng.integers(n_labels, size=n_samples)
    return columns(separation * label + rng.standard_normal(n_samples), label)


def labelled_gaussians_mutual_information(n_labels: int, separation: float) -> float:
    r"""Return the mutual information of a label and the feature of its Gaussian class, by quadrature.

    .. math:: I(X; Y) = -\int p \log p \; dx - \tfrac12 \log 2 \pi e, \quad
        p(x) = \frac1m \sum_{k<m} N(x; k\delta, 1)

    Parameters
    ----------
    n_labels : int
        m, the number of labels.
    separation : float
        :math:`\delta`, the distance of neighbouring means.

    Returns
    -------
    float
        The mutual information in nats, to about 1e-9; at most log m.

    Raises
    ------
    ValueError
        If ``n_labels`` is less than 1 or ``separation`` is not positive.

    Examples
    --------
    >>> from skdim.synthetic import labelled_gaussians_mutual_information
    >>> round(labelled_gaussians_mutual_information(3, 2.0), 6)
    0.619144
    """
    check_count(1, n_labels=n_labels)
    check_positive(separation=separation)
    x = grid_nodes(-10, separation * (n_labels - 1) + 10, 0.1)
    classes = sum(np.exp(-((x - separation * label) ** 2) / 2) for label in range(n_labels))
    density = np.asarray(classes) / (n_labels * math.sqrt(2 * math.pi))
    return grid_entropy(density, x[1] - x[0]) - math.log(2 * math.pi * math.e) / 2
