"""What a sample shows at each delay, each age and each place, as plain numbers."""

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["N_LEVELS", "feature_weights", "map_features", "signal_to_noise"]

Floats = NDArray[np.float32]

N_LEVELS = 5
"""Last columns: structure, flatness, then mean, short and long delays less 1."""

_LAG_EDGES = (1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48)
_N_AGES = 16
_N_TILES = 16
_N_BLOCKS = 8
_N_SHORT, _N_LONG = 2, 16
# Noise does not vanish from the scale, so that a flat map stays small.
_NOISE_SHARE = 0.02
_LARGEST = 6.0


@lru_cache(maxsize=4)
def feature_weights(size: int) -> Floats:
    """Compute the weights of the entries of a sample in each mean.

    Means along every diagonal, means over cells of delay (wider for longer ones) and
    age, and means over square tiles.

    Parameters
    ----------
    size : int
        Rows and columns of a sample, a multiple of 16.

    Returns
    -------
    ndarray of float32, shape (n_means, size * size)
        Each row adds up to one; the first ``size - 1`` are the diagonals. Read-only.
    """
    row, column = np.indices((size, size))
    lag, age = column - row, column + row
    cells = [lag == delay for delay in range(1, size)]
    cells += _age_cells(lag, age, size)
    cells += _tiles(row, column, size)
    weights = np.stack([cell.ravel() for cell in cells]).astype(np.float32)
    weights /= weights.sum(axis=1, keepdims=True)
    weights.setflags(write=False)
    return weights


def map_features(samples: Floats) -> Floats:
    """Describe samples by means over parts of them, free of contrast and baseline.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_samples, size, size)
        Maps with the baseline 1, as `to_sample` gives them.

    Returns
    -------
    ndarray of float32, shape (n_samples, n_means + 5)
        Means less the mean of the map in units of its structure, then `N_LEVELS`
        numbers about structure and level. A sample gives the same bits alone or in
        company.
    """
    return np.stack([_features(sample) for sample in samples])


def signal_to_noise(samples: Floats) -> Floats:
    """Compute how far samples stand out from their noise.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_samples, size, size)
        Maps, size a multiple of 16.

    Returns
    -------
    ndarray of float32, shape (n_samples,)
        Variance of the means over 8 x 8 blocks, over four times the variance that noise
        alone gives them: 1/4 where there is nothing but noise; 10,000 at most.
    """
    ratios = [_structure(sample - sample.mean())[1] for sample in samples]
    return np.array(ratios, np.float32)


def _structure(rest: Floats) -> tuple[float, float]:
    """Compute the variance of the means over blocks, and their signal to noise."""
    edge = len(rest) // _N_BLOCKS
    blocks = rest.reshape(_N_BLOCKS, edge, _N_BLOCKS, edge).mean(axis=(1, 3))
    structure = np.square(blocks).mean()
    # Neighbours along the diagonal differ by noise, whatever the dynamics.
    noise = 0.5 * np.square(rest[1:, 1:] - rest[:-1, :-1]).mean()
    return structure, min(structure / (noise / (edge * edge / 4) + 1e-9), 1e4)


def _features(sample: Floats) -> Floats:
    size = len(sample)
    mean = sample.mean()
    rest = sample - mean
    structure, ratio = _structure(rest)
    scale = np.sqrt(structure + _NOISE_SHARE * np.square(rest).mean() + 1e-8)
    weights = feature_weights(size)
    means = weights @ rest.ravel()
    short = means[:_N_SHORT].mean()
    long = means[size - 1 - _N_LONG : size - 1].mean()
    level = mean - 1
    levels = [
        np.log1p(ratio) / 4,
        1 / (1 + max(ratio - 1, 0) / 2),
        level,
        level + short,
        level + long,
    ]
    shape = np.clip(means / scale, -_LARGEST, _LARGEST)
    return np.concatenate([shape, np.array(levels)]).astype(np.float32)


def _age_cells(
    lag: NDArray[np.int64], age: NDArray[np.int64], size: int
) -> list[NDArray[np.bool_]]:
    cells = []
    edges = [max(1, round(edge * size / 64)) for edge in _LAG_EDGES]
    for first, last in pairwise(edges):
        ages = np.linspace(first, 2 * (size - 1) - first, _n_ages(last, size) + 1)
        ages[-1] += 1
        is_lag = (lag >= first) & (lag < last)
        for low, high in pairwise(ages):
            cells.append(is_lag & (age >= low) & (age < high))
    return [cell for cell in cells if cell.any()]


def _n_ages(lag: int, size: int) -> int:
    """Ages told apart: fewer at long delays, which see less of the scan."""
    if lag <= 0.18 * size:
        return _N_AGES
    return _N_AGES // 2 if lag <= 0.43 * size else _N_AGES // 4


def _tiles(
    row: NDArray[np.int64], column: NDArray[np.int64], size: int
) -> list[NDArray[np.bool_]]:
    edge = size // _N_TILES
    # The diagonal holds no measurement, only what was filled in.
    upper = column != row
    return [
        (row // edge == first) & (column // edge == second) & upper
        for first in range(_N_TILES)
        for second in range(first, _N_TILES)
        if edge > 1 or first != second
    ]
