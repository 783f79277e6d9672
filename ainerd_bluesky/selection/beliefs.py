"""What to expect of candidates, learned one result at a time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Beliefs", "Finding", "Forecast"]

Floats = NDArray[np.float64]

# Weight of what is known in general against one measured neighbour on the spot.
_DOUBT = 0.3
# Evidence decays towards this share for each length scale, so that none is ever ruled
# out: a diagram may be smooth in one corner and patchy in another.
_SHARE = 0.01
# One surprise must not overthrow what many results agreed on: labels can be wrong.
_LEAST_LIKELIHOOD = 0.02
# Scaled distance that counts while nothing is measured.
_FAR = 2.0
_WEIGHT, _NOVELTY, _KNOWN, _VALUE, _SQUARE, _FIRST_LABEL = range(6)


@dataclass(frozen=True, eq=False)
class Finding:
    """One accepted measurement as numbers.

    Parameters
    ----------
    probabilities : ndarray of shape (n_labels,)
        Of each label; they add up to 1.
    novelty : float
        0 to 1.
    value : float
        The property that is followed; nan where unknown.
    """

    probabilities: Floats
    novelty: float
    value: float

    def as_row(self) -> Floats:
        """Return the columns that the beliefs add up."""
        known = np.isfinite(self.value)
        value = self.value if known else 0.0
        head = [1.0, self.novelty, float(known), value, value**2]
        return np.concatenate([head, self.probabilities])


@dataclass(frozen=True, eq=False)
class Forecast:
    """What is expected of every candidate.

    Parameters
    ----------
    labels : ndarray of float64, shape (n_candidates, n_labels)
        Expected probabilities of the labels.
    novelty : ndarray of float64, shape (n_candidates,)
        Expected novelty.
    value, value_std : ndarray of float64, shape (n_candidates,)
        Expected property and its standard deviation; nan as long as none is known.
    support : ndarray of float64, shape (n_candidates,)
        How far measured neighbours speak for a candidate: on a measurement the trust
        in all length scales together, less the farther away, 0 far from all.
    distance : ndarray of float64, shape (n_candidates,)
        To the nearest candidate that is measured or awaited, in scaled units;
        infinite if there is none. What was refused is not measured.
    room : ndarray of float64, shape (n_candidates,)
        0 to 1, how much unknown room a measurement would speak for: the distance,
        less at the border, where half of the room lies outside, and less beside what
        was refused, where it may come to nothing again.
    awaited : ndarray of float64, shape (n_candidates,)
        0 to 1, how far results that are still to come will speak for it.
    nearest : ndarray of int64, shape (n_candidates,)
        Index of the nearest measured candidate; -1 if there is none.
    """

    labels: Floats
    novelty: Floats
    value: Floats
    value_std: Floats
    support: Floats
    distance: Floats
    room: Floats
    awaited: Floats
    nearest: NDArray[np.int64]


class Beliefs:
    r"""Kernel-weighted means over several length scales, weighed by how they predict.

    Before a result is learned, each length scale predicts it from the neighbours so
    far; those that predict better count for more from then on. One further predictor
    knows no neighbours, only how often each label was seen: where coordinates tell
    nothing, it and the longest scale share the trust, and candidates look much alike.

    Parameters
    ----------
    points : ndarray of shape (n_candidates, n_coordinates)
        Scaled coordinates.
    n_labels : int
        Size of the vocabulary.
    length_scales : ndarray of shape (n_scales,)
        In scaled units.

    Notes
    -----
    With the kernel :math:`k_{ij} = \exp(-|x_i - x_j|^2 / 2 l^2)` and the mean
    :math:`\bar v` over all results,

    .. math:: m_i = \frac{\sum_j k_{ij} v_j + c \bar v}{\sum_j k_{ij} + c}

    Sums are kept for every candidate, so a result costs one pass over the candidates
    and a forecast does not depend on how many results there are. The weights follow
    the fixed-share rule [1]_.

    References
    ----------
    .. [1] M. Herbster and M. K. Warmuth, Machine Learning 32, 151 (1998).
    """

    def __init__(self, points: Floats, n_labels: int, length_scales: Floats) -> None:
        self._points = points
        self._scales = np.asarray(length_scales, dtype=float)[:, None]
        n_scales, n_points = len(self._scales), len(points)
        n_columns = _FIRST_LABEL + n_labels
        self._sums = np.zeros((n_columns, n_scales, n_points))
        self._product = np.empty((n_scales, n_points))
        self._totals = np.zeros(n_columns)
        self._support = np.zeros((n_scales, n_points))
        self._square = np.full(n_points, np.inf)
        self._refused_square = np.full(n_points, np.inf)
        self._nearest_square = np.full(n_points, np.inf)
        self._nearest = np.full(n_points, -1)
        low, high = points.min(axis=0), points.max(axis=0)
        self._border = np.minimum(points - low, high - points)
        even = np.full(n_scales + 1, 1.0 / (n_scales + 1))
        self._label_trust, self._value_trust = even, even

    @property
    def label_trust(self) -> Floats:
        """Weights of the length scales and, last, of the predictor without any."""
        return self._label_trust

    def learn(self, index: int, finding: Finding | None) -> None:
        """Learn what the measurement of a candidate gave.

        Parameters
        ----------
        index : int
            Which candidate.
        finding : Finding or None
            None if the measurement was refused: it is known to have been tried.
        """
        square = self._square_distance(index)
        is_nearer = square <= self._nearest_square
        self._nearest_square[is_nearer] = square[is_nearer]
        self._nearest[is_nearer] = index
        if finding is None:
            np.minimum(self._refused_square, square, out=self._refused_square)
            return
        np.minimum(self._square, square, out=self._square)
        row = finding.as_row()
        self._judge(index, row)
        kernel = np.exp(-square / (2 * self._scales**2))
        for column in np.flatnonzero(row):
            self._sums[column] += np.multiply(kernel, row[column], out=self._product)
        self._totals += row
        np.maximum(self._support, kernel, out=self._support)

    def forecast(self, pending: NDArray[np.int64]) -> Forecast:
        """Say what is expected of every candidate.

        Parameters
        ----------
        pending : ndarray of int64, shape (n_pending,)
            Candidates whose results are awaited.

        Returns
        -------
        Forecast
            One entry per candidate.
        """
        general = self._general()
        trust = self._label_trust
        blend = self._blend(self._sums, _WEIGHT, general, trust)
        value, value_std = self._expected_value()
        square, awaited = self._square, np.zeros(len(self._points))
        for index in pending:
            to_it = self._square_distance(int(index))
            square = np.minimum(square, to_it)
            kernel = trust[:-1] @ np.exp(-to_it / (2 * self._scales**2))
            awaited = np.maximum(awaited, kernel)
        return Forecast(
            labels=blend[:, _FIRST_LABEL:],
            novelty=blend[:, _NOVELTY],
            value=value,
            value_std=value_std,
            support=trust[:-1] @ self._support,
            distance=np.sqrt(square),
            room=self._room(np.sqrt(square)),
            awaited=awaited,
            nearest=self._nearest.copy(),
        )

    def _room(self, distance: Floats) -> Floats:
        reach = np.where(np.isfinite(distance), distance, _FAR)
        # Where a scan was refused something is still to be learned, but perhaps again
        # not: it comes after places of more than half its distance.
        reach = np.minimum(reach, np.sqrt(self._refused_square) + reach / 2)
        # A point on a point has no room, and no border either.
        near = 2.0 * self._border / np.maximum(reach, 1e-12)[:, None]
        room = reach * np.prod(0.5 + 0.5 * np.minimum(near, 1.0), axis=1)
        longest = room.max()
        return np.asarray(room / longest if longest > 0 else np.ones(len(room)))

    def _square_distance(self, index: int) -> Floats:
        away = self._points - self._points[index]
        return np.asarray(np.einsum("ij,ij->i", away, away))

    def _general(self) -> Floats:
        """Return the mean of each column, as if all labels had been seen once."""
        n_labels = len(self._totals) - _FIRST_LABEL
        start = np.full(len(self._totals), 1.0 / n_labels)
        start[:_FIRST_LABEL] = (1.0, 0.5, 0.0, 0.0, 0.0)
        return np.asarray((self._totals + start) / (self._totals[_WEIGHT] + 1.0))

    def _blend(
        self, sums: Floats, weight: int, general: Floats, trust: Floats
    ) -> Floats:
        """Blend means of the length scales; `weight` is the column to divide by."""
        share = trust[:-1, None] / (sums[weight] + _DOUBT)
        known = np.einsum("sn,csn->nc", share, sums)
        rest = _DOUBT * share.sum(axis=0) + trust[-1]
        return np.asarray(known + rest[:, None] * general)

    def _expected_value(self) -> tuple[Floats, Floats]:
        n_known = self._totals[_KNOWN]
        if n_known == 0:
            unknown = np.full(len(self._points), np.nan)
            return unknown, unknown
        columns = [_KNOWN, _VALUE, _SQUARE]
        blend = self._blend(
            self._sums[columns],
            0,
            self._totals[columns] / n_known,
            self._value_trust,
        )
        value = blend[:, 1]
        return value, np.sqrt(np.maximum(blend[:, 2] - value**2, 0.0))

    def _judge(self, index: int, row: Floats) -> None:
        """Shift trust to the length scales that saw a result coming."""
        general = self._general()
        at = self._sums[:, :, index].T
        means = (at + _DOUBT * general) / (at[:, _WEIGHT, None] + _DOUBT)
        labels = np.vstack([means, general])[:, _FIRST_LABEL:]
        likelihood = np.maximum(labels @ row[_FIRST_LABEL:], _LEAST_LIKELIHOOD)
        self._label_trust = _shared(self._label_trust * likelihood)
        if row[_KNOWN] and self._totals[_KNOWN] > 1:
            self._value_trust = _shared(self._value_trust * self._densities(at, row))

    def _densities(self, at: Floats, row: Floats) -> Floats:
        """Return how likely each predictor held the value: normal densities."""
        columns = [_KNOWN, _VALUE, _SQUARE]
        general = self._totals[columns] / self._totals[_KNOWN]
        sums = np.vstack([at[:, columns], np.zeros(3)])
        means = (sums + _DOUBT * general) / (sums[:, :1] + _DOUBT)
        spread = max(general[2] - general[1] ** 2, 1e-12)
        # Two neighbours that agree by chance do not make a prediction exact.
        variance = np.maximum(means[:, 2] - means[:, 1] ** 2, 0.05 * spread)
        surprise = np.minimum((row[_VALUE] - means[:, 1]) ** 2 / variance, 9.0)
        return np.asarray(np.exp(-surprise / 2) / np.sqrt(variance))


def _shared(weights: Floats) -> Floats:
    total = weights / weights.sum()
    return np.asarray((1 - _SHARE) * total + _SHARE / len(total))
