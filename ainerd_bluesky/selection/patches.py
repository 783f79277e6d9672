"""Where a class that takes up little room may hide: a search by likelihood."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import expit

__all__ = ["Patches"]

Floats = NDArray[np.float64]

_MOST_CENTRES = 512
# How much wider than those of a pure sample the log-odds of a mixed one scatter, and
# how many scans say little because they saw few photons: measured with the shipped
# model on mixed maps. Only their order of magnitude matters.
_MIXED_SPREAD = 1.9
_WEAK_SHARE, _WEAK_FACTOR = 0.11, 0.42
# A label may be plainly wrong: one scan cannot rule out or prove a place by itself.
_OUTLIERS = 0.005
# What is assumed of the log-odds of absent labels before any were seen.
_START_MEAN, _START_SPREAD, _START_WEIGHT = -8.0, 3.0, 20.0
_LEAST_ODDS = 1e-6


class Patches:
    r"""Probability that a candidate lies in the patch of a label, for each label.

    Each label is supposed to have one round patch somewhere, and around it a crossover
    in which samples hold a share of it. That share shows in the log-odds of the label
    long before it is the most likely one. Each result multiplies the probability of
    every place by the ratio of two likelihoods: of its log-odds if the patch lies
    there, and if it lies elsewhere.

    Parameters
    ----------
    points : ndarray of shape (n_candidates, n_coordinates)
        Scaled coordinates.
    n_labels : int
        Size of the vocabulary.
    share : float
        Share of the space that a patch takes up.
    crossover : float
        Width of the crossover, in scaled units.

    Notes
    -----
    With the share :math:`f` of the label at the distance d from the patch's centre,
    :math:`f = 1 / (1 + e^{(d - r) / w})`, and the log-odds of absent labels
    :math:`\mu_0 \pm \sigma_0`, which are learned on the way, the log-odds are expected
    at :math:`\mu_0 (1 - 2 f)`. This is the search theory of [1]_ with a detector that
    is heard from afar.

    References
    ----------
    .. [1] B. O. Koopman, Search and Screening (Pergamon, 1980).
    """

    def __init__(
        self, points: Floats, n_labels: int, *, share: float, crossover: float
    ) -> None:
        n_points, n_axes = points.shape
        # Every place could be a centre, but some hundreds fill the space well enough.
        step = -(-n_points // _MOST_CENTRES)
        self._points = points
        self._centres = points[::step]
        self._radius = _radius(share, n_axes)
        self._crossover = crossover
        self._log_odds = np.zeros((len(self._centres), n_labels))
        self._is_inside = _inside(points, self._centres, self._radius)
        self._absent = (
            np.array([1.0, _START_MEAN, _START_MEAN**2 + _START_SPREAD**2])
            * _START_WEIGHT
        )

    def learn(self, index: int, probabilities: Floats) -> None:
        """Learn the answer of a classifier.

        Parameters
        ----------
        index : int
            Which candidate.
        probabilities : ndarray of shape (n_labels,)
            Of each label.
        """
        p = np.clip(probabilities, _LEAST_ODDS, 1.0 - _LEAST_ODDS)
        seen = np.log(p) - np.log1p(-p)
        away = np.linalg.norm(self._centres - self._points[index], axis=1)
        share = expit((self._radius - away) / self._crossover)[:, None]
        self._log_odds += self._log_ratio(seen, share)
        label = int(probabilities.argmax())
        absent = np.delete(seen, label)
        if len(absent) > 0:
            self._absent += (1.0, absent.mean(), (absent**2).mean())

    def forecast(self) -> Floats:
        """Return the probability of each label's patch at each candidate.

        Returns
        -------
        ndarray of float64, shape (n_candidates, n_labels)
            0 to 1; over all places where the patch may be, it adds up to the room
            that a patch takes up.
        """
        odds = np.exp(self._log_odds - self._log_odds.max(axis=0))
        return np.asarray(self._is_inside @ (odds / odds.sum(axis=0)))

    def _log_ratio(self, seen: Floats, share: Floats) -> Floats:
        weight, total, squares = self._absent
        mean = total / weight
        spread = math.sqrt(max(squares / weight - mean**2, 1.0))
        mixed = np.minimum(1.0, 4.0 * np.minimum(share, 1.0 - share))
        wider = spread * np.sqrt(1.0 + (_MIXED_SPREAD * mixed) ** 2)
        here = _density(seen, mean * (1.0 - 2.0 * share), wider)
        elsewhere = _density(seen, np.array(mean), np.array(spread))
        floor = _OUTLIERS / spread
        return np.asarray(np.log((here + floor) / (elsewhere + floor)))


def _inside(points: Floats, centres: Floats, radius: float) -> csr_array:
    """Return 1 where a candidate lies in the patch around a centre, 0 elsewhere."""
    square = np.zeros((len(points), len(centres)), dtype=np.float32)
    for point, centre in zip(points.T, centres.T, strict=True):
        square += np.subtract.outer(point, centre) ** 2
    # No candidate may fall between the centres: each belongs to one at least.
    reach = max(radius**2, float(square.min(axis=1).max()))
    return csr_array((square <= reach * (1 + 1e-6)).astype(np.float64))


def _density(seen: Floats, mean: Floats, spread: Floats) -> Floats:
    clear = np.exp(-(((seen - mean) / spread) ** 2) / 2)
    weak = np.exp(-(((seen - _WEAK_FACTOR * mean) / spread) ** 2) / 2)
    return np.asarray(((1 - _WEAK_SHARE) * clear + _WEAK_SHARE * weak) / spread)


def _radius(share: float, n_axes: int) -> float:
    """Return the radius of a ball that takes up a share of the unit cube."""
    if n_axes == 0:
        return 1.0
    ball = math.pi ** (n_axes / 2) / math.gamma(n_axes / 2 + 1)
    return float((share / ball) ** (1 / n_axes))
