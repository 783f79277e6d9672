"""What to expect of candidates from their measured neighbours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Expectation", "expect", "scale_coordinates"]


@dataclass(frozen=True, eq=False)
class Expectation:
    """Expected value of candidates and how well it is founded.

    Parameters
    ----------
    mean : ndarray of float64, shape (n_candidates,)
        Expected value.
    support : ndarray of float64, shape (n_candidates,)
        0 far from all measurements, 1 on one of them.
    nearest : ndarray of int64, shape (n_candidates,)
        Index of the nearest measurement; -1 if there is none.
    """

    mean: NDArray[np.float64]
    support: NDArray[np.float64]
    nearest: NDArray[np.int64]


def scale_coordinates(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale each coordinate to the range 0 to 1.

    Parameters
    ----------
    coordinates : ndarray of shape (n_candidates, n_coordinates)
        In whatever units.

    Returns
    -------
    ndarray of float64, same shape
        A coordinate that is the same for all becomes 0.

    Examples
    --------
    >>> scale_coordinates(np.array([[10.0, 5.0], [20.0, 5.0], [30.0, 5.0]]))[:, 0]
    array([0. , 0.5, 1. ])
    """
    low = coordinates.min(axis=0)
    spread = coordinates.max(axis=0) - low
    scaled: NDArray[np.float64] = (coordinates - low) / np.where(spread > 0, spread, 1)
    return scaled


def expect(
    candidates: NDArray[np.float64],
    measured: NDArray[np.float64],
    values: NDArray[np.float64],
    *,
    length_scale: float,
    prior: float,
) -> Expectation:
    r"""Predict a value at candidates as a kernel-weighted mean of the measured ones.

    Far from all measurements the prior takes over, as if it were one measurement of
    weight :math:`1 - \max_j k_{ij}` there.

    Parameters
    ----------
    candidates : ndarray of shape (n_candidates, n_coordinates)
        Scaled coordinates.
    measured : ndarray of shape (n_measured, n_coordinates)
        Scaled coordinates; there may be none.
    values : ndarray of shape (n_measured,)
        What was measured there.
    length_scale : float
        Distance over which neighbours are alike.
    prior : float
        Expected value where nothing is known.

    Returns
    -------
    Expectation
        One entry per candidate.

    Notes
    -----
    .. math:: k_{ij} = \exp(-|x_i - x_j|^2 / 2 l^2),\quad
        m_i = \frac{\sum_j k_{ij} v_j + (1 - s_i) p}{\sum_j k_{ij} + 1 - s_i},\quad
        s_i = \max_j k_{ij}
    """
    if len(measured) == 0:
        n = len(candidates)
        return Expectation(np.full(n, prior), np.zeros(n), np.full(n, -1))
    square = ((candidates[:, None, :] - measured[None, :, :]) ** 2).sum(axis=-1)
    weight = np.exp(-square / (2 * length_scale**2))
    support = weight.max(axis=1)
    doubt = 1.0 - support
    mean = (weight @ values + doubt * prior) / (weight.sum(axis=1) + doubt)
    return Expectation(mean, support, square.argmin(axis=1))
