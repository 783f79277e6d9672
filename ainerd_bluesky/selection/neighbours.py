"""The label of every place from the few results nearest to it."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Neighbours"]

Floats = NDArray[np.float64]

_N_NEAREST = 8
_N_CLOSE = 4
# A label may be plainly wrong: no result counts for more than this against all others.
_LEAST_PROBABILITY = 0.02
_FALL = 1.5


class Neighbours:
    r"""Pool what the nearest results say, over a reach that follows their density.

    Where boundaries are mapped, results lie close together at the boundary and far
    apart elsewhere: no one length scale fits both.

    Parameters
    ----------
    points : ndarray of shape (n_candidates, n_coordinates)
        Scaled coordinates.
    n_labels : int
        Size of the vocabulary.

    Notes
    -----
    From the eight nearest results j of a place, :math:`d_4` the distance of the fourth,

    .. math:: p_c \propto \prod_j (p_{jc} + 0.02)^{w_j},\quad
              w_j = e^{-1.5 d_j^2 / d_4^2}
    """

    def __init__(self, points: Floats, n_labels: int) -> None:
        self._points = points
        self._square = np.full((len(points), _N_NEAREST), np.inf)
        self._result = np.zeros((len(points), _N_NEAREST), dtype=np.int64)
        self._log_p = np.zeros((64, n_labels))
        self._n_results = 0

    def learn(self, index: int, probabilities: Floats) -> None:
        """Learn the answer of a classifier.

        Parameters
        ----------
        index : int
            Which candidate.
        probabilities : ndarray of shape (n_labels,)
            Of each label.
        """
        away = self._points - self._points[index]
        square = np.einsum("ij,ij->i", away, away)
        nearer = np.flatnonzero(square < self._square[:, -1])
        together = np.column_stack([self._square[nearer], square[nearer]])
        order = np.argsort(together, axis=1, kind="stable")[:, :_N_NEAREST]
        self._square[nearer] = np.take_along_axis(together, order, axis=1)
        results = np.column_stack(
            [self._result[nearer], np.full(len(nearer), self._n_results)]
        )
        self._result[nearer] = np.take_along_axis(results, order, axis=1)
        self._append(np.log(probabilities + _LEAST_PROBABILITY))

    def labels(self) -> Floats:
        """Return the probabilities of the labels at every candidate.

        Returns
        -------
        ndarray of float64, shape (n_candidates, n_labels)
            Each row adds up to 1; all labels are alike before the first result.
        """
        n_labels = self._log_p.shape[1]
        if self._n_results == 0:
            return np.full((len(self._points), n_labels), 1.0 / n_labels)
        close = self._square[:, min(_N_CLOSE, self._n_results) - 1]
        weight = np.exp(-_FALL * self._square / (close[:, None] + 1e-6))
        pooled = np.einsum("ij,ijc->ic", weight, self._log_p[self._result])
        pooled = np.exp(pooled - pooled.max(axis=1, keepdims=True))
        return np.asarray(pooled / pooled.sum(axis=1, keepdims=True))

    def _append(self, log_p: Floats) -> None:
        if self._n_results == len(self._log_p):
            self._log_p = np.concatenate([self._log_p, np.zeros_like(self._log_p)])
        self._log_p[self._n_results] = log_p
        self._n_results += 1
