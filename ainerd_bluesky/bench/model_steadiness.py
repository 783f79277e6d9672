"""How far the fingerprint moves when the dynamics stay the same."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from ainerd_bluesky.bench.model_rows import ModelRow
from ainerd_bluesky.ml import Model
from ainerd_bluesky.vocabulary import DYNAMICS, Label
from ainerd_bluesky.xpcs.simulate import draw_dynamics, simulate_map

__all__ = ["CHANGES", "draw_clear_maps", "relative_shift", "steadiness_rows"]

Map = NDArray[np.float32]

_N_FRAMES, _N_PIXELS, _N_MODES, _MEAN_PHOTONS = 256, 1000, 2, 1.0
_NOISE = 0.1
_BINNING = 2


def relative_shift(before: NDArray[np.floating], after: NDArray[np.floating]) -> float:
    """Compare what a change does with how far apart different maps are.

    Parameters
    ----------
    before, after : ndarray of shape (n_maps, n_components)
        Fingerprints of the maps and of the changed maps.

    Returns
    -------
    float
        Median shift over the median distance of nearest neighbours in `before`.

    Examples
    --------
    >>> before = np.array([[0.0], [2.0], [4.0]])
    >>> relative_shift(before, before + 1.0)
    0.5
    """
    neighbours = NearestNeighbors(n_neighbors=1).fit(before)
    distances, _ = neighbours.kneighbors()
    shifts = np.linalg.norm(after - before, axis=1)
    return float(np.median(shifts) / np.median(distances))


def draw_clear_maps(n_maps: int, seed: int) -> list[Map]:
    """Draw maps of 256 frames with little noise, going round the dynamics.

    Parameters
    ----------
    n_maps : int
        How many.
    seed : int
        Rules all chance.

    Returns
    -------
    list of ndarray of float32, shape (256, 256)
        No map without signal among them.
    """
    words = [word for word in DYNAMICS if word != Label.NO_SIGNAL]
    return [
        _draw_clear_map(words[index % len(words)], np.random.default_rng((seed, index)))
        for index in range(n_maps)
    ]


def steadiness_rows(model: Model, maps: list[Map]) -> list[ModelRow]:
    """Measure the shift that each change of the maps makes.

    Parameters
    ----------
    model : Model
        To measure.
    maps : list of ndarray of shape (n, n)
        See :func:`draw_clear_maps`.

    Returns
    -------
    list of ModelRow
        One for each of `CHANGES`.
    """
    before = model.embed(maps)
    return [
        ModelRow(
            f"shift by {name}",
            relative_shift(before, model.embed([change(each) for each in maps])),
            target,
            note=f"published weights: {published:g}",
        )
        for name, (change, target, published) in CHANGES.items()
    ]


def _draw_clear_map(word: Label, rng: np.random.Generator) -> Map:
    two_time, _ = simulate_map(
        draw_dynamics(word, rng), _N_FRAMES, _N_PIXELS, _N_MODES, _MEAN_PHOTONS, rng
    )
    return two_time


def _hot_pixel(two_time: Map) -> Map:
    changed = two_time.copy()
    row, column = len(changed) // 5, len(changed) * 3 // 5
    changed[row, column] = changed[column, row] = 4 * two_time.max()
    return changed


def _noisy(two_time: Map) -> Map:
    """Add noise of a tenth of the range, the same for both halves."""
    rng = np.random.default_rng(0)
    noise = np.triu(rng.standard_normal(two_time.shape))
    noise = noise + np.triu(noise, 1).T
    off_diagonal = two_time[~np.eye(len(two_time), dtype=bool)]
    return np.asarray(two_time + _NOISE * np.ptp(off_diagonal) * noise, np.float32)


def _scaled(two_time: Map, *, gain: float, offset: float) -> Map:
    return np.asarray(1 + gain * (two_time - 1) + offset, np.float32)


def _binned(two_time: Map) -> Map:
    n = len(two_time) // _BINNING
    blocks = two_time[: n * _BINNING, : n * _BINNING]
    return np.asarray(blocks.reshape(n, _BINNING, n, _BINNING).mean((1, 3)))


def _transposed(two_time: Map) -> Map:
    return np.ascontiguousarray(two_time.T)


CHANGES: dict[str, tuple[Callable[[Map], Map], float, float]] = {
    "a hot pixel pair, 4x": (_hot_pixel, 0.3, 2.6),
    "noise of 0.1": (_noisy, 0.2, 0.21),
    "half the contrast": (partial(_scaled, gain=0.5, offset=0.0), 0.1, 1.4),
    "an offset of 0.1": (partial(_scaled, gain=1.0, offset=0.1), 0.1, 1.4),
    "2x time binning": (_binned, 0.1, 0.05),
    "transposition": (_transposed, 0.0, 0.0),
}
"""Change of a map, shift that is allowed, shift of the published weights."""
