r"""Multivariate Student-t: Gaussian vectors over a random scale that X and Y share.

References
----------
.. [1] Arellano-Valle, Contreras-Reyes & Genton, "Shannon entropy and mutual information for multivariate skew-elliptical
   distributions", Scand. J. Stat. 2013, Eq. 7 (the entropy).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, psi

from skdim.synthetic._sampling import Array, Pair, RandomState, check_positive, generator
from skdim.synthetic.gaussians import check_covariance, gaussian_mutual_information, quadratic_forms

__all__ = ["student_t", "student_t_log_ratio", "student_t_mutual_information"]


def student_t(
    n_samples: int, dof: float, dispersion: npt.ArrayLike, dim_x: int, random_state: RandomState = None
) -> Pair:
    r"""Draw from a multivariate Student-t: Gaussian vectors, each divided by a random scale that X and Y share.

    .. math:: (x, y) = \frac{z}{\sqrt{s / \nu}}, \quad z \sim N(0, \Sigma), \quad s \sim \chi^2_\nu

    X and Y are dependent even where the dispersion is the identity.

    Parameters
    ----------
    n_samples : int
        Rows.
    dof : float
        Degrees of freedom :math:`\nu`, positive; 1 is the Cauchy distribution, infinity would be the Gaussian.
    dispersion : array-like of shape (dim_x + dim_y, dim_x + dim_y)
        :math:`\Sigma`, positive definite; the covariance is :math:`\nu / (\nu - 2)` times it, where it exists.
    dim_x : int
        How many of the dimensions belong to X.
    random_state : int, Generator, RandomState or None, default=None
        Seed or source of random numbers.

    Returns
    -------
    X : ndarray of shape (n_samples, dim_x)
        First part of each sample.
    Y : ndarray of shape (n_samples, dim_y)
        The rest.

    Raises
    ------
    ValueError
        If ``dof`` is not positive or ``dispersion`` not a positive definite matrix with room for ``dim_x``.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.synthetic import student_t
    >>> X, Y = student_t(10_000, dof=1, dispersion=np.eye(2), dim_x=1, random_state=0)
    >>> round(float(np.mean(np.abs(X) < 1)), 1)  # the quartiles of Cauchy's distribution
    0.5
    """
    check_positive(dof=dof)
    matrix, factor = check_covariance(dispersion, dim_x)
    rng = generator(n_samples, random_state)
    Z = rng.standard_normal((n_samples, len(matrix))) @ factor.T
    Z /= np.sqrt(rng.chisquare(dof, size=(n_samples, 1)) / dof)
    return Z[:, :dim_x], Z[:, dim_x:]


def student_t_mutual_information(dof: float, dispersion: npt.ArrayLike, dim_x: int) -> float:
    r"""Return the mutual information of a multivariate Student-t.

    .. math::

        I(X; Y) = \frac12 \log \frac{\det \Sigma_X \det \Sigma_Y}{\det \Sigma}
        + g(d_X) + g(d_Y) - g(d_X + d_Y) - g(0), \quad
        g(d) = \frac{\nu + d}{2} \psi\Bigl(\frac{\nu + d}{2}\Bigr) - \log \Gamma\Bigl(\frac{\nu + d}{2}\Bigr)

    Parameters
    ----------
    dof : float
        Degrees of freedom :math:`\nu`.
    dispersion : array-like of shape (dim_x + dim_y, dim_x + dim_y)
        :math:`\Sigma`.
    dim_x : int
        How many of the dimensions belong to X.

    Returns
    -------
    float
        The mutual information in nats: that of a Gaussian with covariance :math:`\Sigma` and a term of the degrees of
        freedom alone.

    Raises
    ------
    ValueError
        If ``dof`` is not positive or ``dispersion`` not a positive definite matrix with room for ``dim_x``.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.synthetic import student_t_mutual_information
    >>> round(student_t_mutual_information(1, np.eye(2), dim_x=1), 6)
    0.224171
    """
    check_positive(dof=dof)

    def g(d: int) -> float:
        return float((dof + d) / 2 * psi((dof + d) / 2) - gammaln((dof + d) / 2))

    # The entropy in [1]_ is g(d) - g(0) and a term linear in d, which cancels. The mutual information printed there has a
    # slip, as the authors of Beyond Normal found; the entropies are right.
    dim = len(np.asarray(dispersion))
    return gaussian_mutual_information(dispersion, dim_x) + g(dim_x) + g(dim - dim_x) - g(dim) - g(0)


def student_t_log_ratio(X: npt.ArrayLike, Y: npt.ArrayLike, dof: float, dispersion: npt.ArrayLike) -> Array:
    r"""Return the log density ratio of a multivariate Student-t.

    .. math:: \log p_d(z) = \log \frac{\Gamma(\frac{\nu + d}2)}{\Gamma(\frac \nu 2) (\pi\nu)^{d/2} \sqrt{\det \Sigma}}
        - \frac{\nu + d}{2} \log\Bigl(1 + \frac{z^T \Sigma^{-1} z}{\nu}\Bigr)

    Parameters
    ----------
    X : array-like of shape (..., dim_x)
        Points. Leading axes broadcast: ``X[:, None]`` with ``Y[None]`` gives the scores of all pairs.
    Y : array-like of shape (..., dim_y)
        Points.
    dof : float
        Degrees of freedom :math:`\nu`.
    dispersion : array-like of shape (dim_x + dim_y, dim_x + dim_y)
        :math:`\Sigma`.

    Returns
    -------
    ndarray of shape (...)
        log p(x, y) - log p(x) - log p(y) in nats; its mean over joint samples is the mutual information.

    Raises
    ------
    ValueError
        If ``dof`` is not positive, or ``dispersion`` not positive definite with the columns of ``X`` and ``Y``.

    Examples
    --------
    >>> import numpy as np
    >>> from skdim.synthetic import student_t, student_t_log_ratio
    >>> X, Y = student_t(100_000, dof=1, dispersion=np.eye(2), dim_x=1, random_state=0)
    >>> round(float(student_t_log_ratio(X, Y, 1, np.eye(2)).mean()), 2)
    0.22
    """
    check_positive(dof=dof)
    dim_x, dim_y = np.shape(X)[-1], np.shape(Y)[-1]
    squares_x, squares_y, squares = quadratic_forms(X, Y, dispersion)

    def log_kernel(z: Array, d: int) -> Array:
        a = (dof + d) / 2
        return np.asarray(gammaln(a) - gammaln(dof / 2) - a * np.log1p(z / dof))

    # What is left of the determinants is the Gaussian mutual information.
    log_determinants = gaussian_mutual_information(dispersion, dim_x)
    marginals = log_kernel(squares_x, dim_x) + log_kernel(squares_y, dim_y)
    return log_determinants + log_kernel(squares, dim_x + dim_y) - marginals
