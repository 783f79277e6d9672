"""How strongly values go with dynamics: for many sets of values at once.

`values` are sets of values, one a row, of shape (n_sets, n_rows). Each function answers
for all of them, which makes a test by permutation one call.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import kendalltau, rankdata

__all__ = [
    "explained_out_of_fold",
    "kendall",
    "level_codes",
    "mutual_information",
    "neighbour_predictions",
    "ridge_predictions",
    "spearman",
]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
_STRENGTHS = 10.0 ** np.arange(-5, 3)
"""Ridge penalties tried, relative to the variance of the points."""
_MAX_LEVELS = 6


def spearman(x: Floats, values: Floats) -> Floats:
    """Compute Spearman's rank correlation of one quantity with sets of values.

    Parameters
    ----------
    x : ndarray of shape (n_rows,)
        Finite and not constant.
    values : ndarray of shape (n_sets, n_rows)
        Finite.

    Returns
    -------
    ndarray of shape (n_sets,)
        -1 to 1; 0 of constant values.
    """
    return np.asarray(_standard_ranks(values) @ _standard_ranks(x))


def kendall(x: Floats, values: Floats) -> Floats:
    """Compute Kendall's tau-b of one quantity with sets of values.

    Parameters
    ----------
    x : ndarray of shape (n_rows,)
        Finite and not constant.
    values : ndarray of shape (n_sets, n_rows)
        Finite.

    Returns
    -------
    ndarray of shape (n_sets,)
        -1 to 1; 0 of constant values.
    """
    # The p-value of SciPy is for independent rows; the cheaper way to it is taken.
    taus = [kendalltau(x, one, method="asymptotic").statistic for one in values]
    return np.nan_to_num(np.asarray(taus, np.float64))


def mutual_information(words: NDArray[Any], levels: Indices) -> Floats:
    """Compute what words tell about the level of a value.

    Parameters
    ----------
    words : ndarray of shape (n_rows,)
        Labels.
    levels : ndarray of int, shape (n_sets, n_rows)
        From 0, see `level_codes`.

    Returns
    -------
    ndarray of shape (n_sets,)
        Bits, 0 or more. Few rows give something by chance, too.
    """
    codes = np.unique(words, return_inverse=True)[1].reshape(-1)
    shape = (len(levels), codes.max() + 1, levels.max() + 1)
    cells = np.ravel_multi_index(
        (np.arange(len(levels))[:, None], codes, levels), shape
    )
    counts = np.bincount(cells.ravel(), minlength=np.prod(shape)).reshape(shape)
    joint = counts / levels.shape[1]
    apart = joint.sum(axis=2, keepdims=True) * joint.sum(axis=1, keepdims=True)
    terms = joint * np.log2(joint / apart, out=np.zeros_like(joint), where=joint > 0)
    return np.asarray(terms.sum(axis=(1, 2)))


def level_codes(values: Floats) -> Indices:
    """Sort values into levels, equally full as far as ties allow.

    Parameters
    ----------
    values : ndarray of shape (n_sets, n_rows)
        Finite and not constant; the levels are those of the first set.

    Returns
    -------
    ndarray of int, shape (n_sets, n_rows)
        From 0: the values themselves where they are few, else 2 to 6 levels, the cube
        root of the number of rows.

    Examples
    --------
    >>> level_codes(np.array([[3.0, 1.0, 3.0, 1.0]]))
    array([[1, 0, 1, 0]])
    """
    distinct = np.unique(values[0])
    n_levels = int(np.clip(np.cbrt(values.shape[1]).round(), 2, _MAX_LEVELS))
    if len(distinct) <= n_levels:
        return np.searchsorted(distinct, values)
    edges = np.unique(np.quantile(values[0], np.linspace(0, 1, n_levels + 1)[1:-1]))
    # Where most values are the largest one, it is a level and the rest another.
    below = edges[edges < distinct[-1]] if edges[0] < distinct[-1] else distinct[-2:-1]
    return np.searchsorted(below, values, side="left")


def ridge_predictions(Z: Floats, values: Floats, folds: NDArray[Any]) -> Floats:
    """Predict values by ridge regression from points of other folds.

    The penalty is chosen in the other folds alone, by generalised cross-validation, for
    each set of values by itself.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, n_components)
        Fingerprints.
    values : ndarray of shape (n_sets, n_rows)
        Values.
    folds : ndarray of shape (n_rows,)
        Rows with equal entries are predicted together.

    Returns
    -------
    ndarray of shape (n_sets, n_rows)
        Predictions of `values`.

    References
    ----------
    .. [1] G. H. Golub, M. Heath and G. Wahba, Technometrics 21, 215 (1979).
    """
    predicted = np.empty_like(values)
    for fold in np.unique(folds):
        held = folds == fold
        predicted[:, held] = _ridge(Z[~held], values[:, ~held], Z[held])
    return predicted


def neighbour_predictions(Z: Floats, values: Floats, folds: NDArray[Any]) -> Floats:
    """Predict values by the mean of the nearest points of other folds.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, n_components)
        Fingerprints.
    values : ndarray of shape (n_sets, n_rows)
        Values.
    folds : ndarray of shape (n_rows,)
        Rows with equal entries are predicted together.

    Returns
    -------
    ndarray of shape (n_sets, n_rows)
        Predictions of `values`: means over 3 to 15 neighbours, as many as the square
        root of n_rows.
    """
    predicted = np.empty_like(values)
    for fold in np.unique(folds):
        held = folds == fold
        nearest = _nearest(Z[held], Z[~held], round(len(Z) ** 0.5))
        others = values[:, ~held]
        sums = np.zeros((len(values), np.count_nonzero(held)))
        for column in nearest.T:
            sums += others[:, column]
        predicted[:, held] = sums / nearest.shape[1]
    return predicted


def explained_out_of_fold(
    values: Floats, predicted: Floats, folds: NDArray[Any]
) -> Floats:
    r"""Compute Q2, the share of variance that predictions of unseen rows explain.

    Parameters
    ----------
    values, predicted : ndarray of shape (n_sets, n_rows)
        Values, and predictions made without their own fold.
    folds : ndarray of shape (n_rows,)
        Rows with equal entries were predicted together.

    Returns
    -------
    ndarray of shape (n_sets,)
        1 is perfect; 0 is no better than the mean of the other folds, and negative
        values are worse. 0 of constant values, too.

    Notes
    -----
    .. math:: Q^2 = 1 - \frac{\sum (y - \hat y)^2}{\sum (y - \bar y_{-f})^2}
    """
    means = np.empty_like(values)
    for fold in np.unique(folds):
        held = folds == fold
        means[:, held] = values[:, ~held].mean(axis=1, keepdims=True)
    left = ((values - predicted) ** 2).sum(axis=1)
    total = ((values - means) ** 2).sum(axis=1)
    unexplained = np.divide(left, total, out=np.ones_like(left), where=total > 0)
    return np.asarray(1 - unexplained)


def _standard_ranks(values: Floats) -> Floats:
    """Return ranks with mean 0 and norm 1 along the last axis."""
    ranks = rankdata(values, axis=-1)
    ranks -= ranks.mean(axis=-1, keepdims=True)
    norms = np.linalg.norm(ranks, axis=-1, keepdims=True)
    return np.asarray(ranks / np.where(norms > 0, norms, 1.0))


def _ridge(Z: Floats, values: Floats, new: Floats) -> Floats:
    """Fit on `Z` and `values`, predict at `new`."""
    middle, mean = Z.mean(axis=0), values.mean(axis=1, keepdims=True)
    rows, s, axes = np.linalg.svd(Z - middle, full_matrices=False)
    # A penalty of 1 weighs as much as the variance along a typical direction.
    penalties = _STRENGTHS[:, None] * max(float((s**2).mean()), np.finfo(float).tiny)
    shrinkage = s**2 / (s**2 + penalties)
    coordinates = (values - mean) @ rows
    total = ((values - mean) ** 2).sum(axis=1, keepdims=True)
    left = total - (coordinates**2) @ (shrinkage * (2 - shrinkage)).T
    freedom = 1 - (1 + shrinkage.sum(axis=1)) / len(Z)
    best = np.argmin(left / np.maximum(freedom, 1e-9) ** 2, axis=1)
    gains = s / (s**2 + penalties)
    return np.asarray(mean + (gains[best] * coordinates) @ (axes @ (new - middle).T))


def _nearest(new: Floats, Z: Floats, n_wanted: int) -> Indices:
    """Return the indices of the nearest points, (n_new, 3 to 15)."""
    n_neighbours = min(int(np.clip(n_wanted, 3, 15)), len(Z))
    return np.argsort(cdist(new, Z), axis=1, kind="stable")[:, :n_neighbours]
