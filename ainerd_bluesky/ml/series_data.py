"""Files of detector series, and which series were taken at the same time."""

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ainerd_bluesky.errors import FileFormatError, FrameStackError
from ainerd_bluesky.ml.series_features import CHANNELS, series_features

__all__ = ["ANOMALY", "NORMAL", "SeriesSet", "read_series_set"]

NORMAL = "normal"
"""Label of a good series."""

ANOMALY = "anomaly"
"""Label of a series that should not be analysed."""

# Steps of independent readings correlate by 1/sqrt(n); six times that is no chance.
_SIGNIFICANT = 6.0
_SAME_SCAN = 0.2
_TEXTS = ("filename", "roi", "label")


@dataclass(frozen=True, eq=False)
class SeriesSet:
    """Detector series, each of one region in one run.

    Parameters
    ----------
    series : tuple of ndarray of shape (7, n_frames)
        The channels of `CHANNELS`, each series of its own length.
    filenames, rois : ndarray of str, shape (n_series,)
        Where each comes from.
    labels : ndarray of str, shape (n_series,)
        `normal` or `anomaly`; empty where nobody said.
    """

    series: tuple[NDArray[np.float64], ...]
    filenames: NDArray[np.str_]
    rois: NDArray[np.str_]
    labels: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.series)

    def features(self) -> NDArray[np.float64]:
        """Compute the features of each series.

        Returns
        -------
        ndarray of float64, shape (n_series, n_features)
            See `series_features`, whose errors name the series here.
        """
        return np.array([self._row(index) for index in range(len(self))])

    def _row(self, index: int) -> NDArray[np.float64]:
        try:
            return series_features(self.series[index])
        except FrameStackError as error:
            raise FrameStackError(
                f"file {self.filenames[index]}, region {self.rois[index]}: {error}"
            ) from error

    def scans(self) -> NDArray[np.int64]:
        """Find series that are regions of one scan.

        A jump of the beam is seen by every region at once: series of equal length
        whose frame-to-frame steps in intensity correlate were taken together. To keep
        one in training and hold out the other would flatter any gate.

        Returns
        -------
        ndarray of int64, shape (n_series,)
            Series of one scan have one number.
        """
        lengths = np.array([each.shape[1] for each in self.series])
        pairs = [
            pair
            for length in np.unique(lengths)
            for pair in _same_scan(self.series, np.flatnonzero(lengths == length))
        ]
        first, second = np.array(pairs, np.int64).reshape(-1, 2).T
        shape = (len(self), len(self))
        links = coo_array((np.ones(len(first)), (first, second)), shape)
        _, scans = connected_components(links, directed=False)
        return np.asarray(scans, np.int64)


def read_series_set(path: str | Path) -> SeriesSet:
    """Read a file of detector series.

    Parameters
    ----------
    path : str or Path
        An npz file with one array of all readings for each channel
        (``intensity_ts``, ``std_ts`` ...), series after series, and ``offset`` with
        the position where each starts and the end of the last; optional are
        ``filename``, ``roi`` and ``label`` of each series.

    Returns
    -------
    SeriesSet
        What the file holds.

    Raises
    ------
    FileFormatError
        If the file is no such file.
    """
    arrays = _read_arrays(path)
    try:
        readings = np.stack([arrays[f"{name}_ts"] for name in CHANNELS])
        readings = readings.astype(np.float64)
        offset = arrays["offset"].astype(np.int64)
    except KeyError as error:
        raise FileFormatError(
            f"{path} holds no detector series: it has no array {error}"
        ) from error
    except ValueError as error:
        raise FileFormatError(
            f"{path} holds no detector series: the readings of {', '.join(CHANNELS)} "
            f"must be numbers, one for each frame: {error}"
        ) from error
    texts = {name: arrays[name].astype(np.str_) for name in _TEXTS if name in arrays}
    n_series = len(offset) - 1
    if n_series < 1 or offset[0] != 0 or offset[-1] != readings.shape[1]:
        raise FileFormatError(
            f"{path}: offset must go from 0 to the {readings.shape[1]} readings, got "
            f"{offset[:1].tolist()} to {offset[-1:].tolist()}"
        )
    if (np.diff(offset) < 0).any() or {len(text) for text in texts.values()} - {
        n_series
    }:
        raise FileFormatError(
            f"{path}: offset must rise and there must be one filename, roi and label "
            f"for each of {n_series} series"
        )
    unknown = np.full(n_series, "")
    return SeriesSet(
        series=tuple(np.split(readings, offset[1:-1], axis=1)),
        filenames=texts.get("filename", np.arange(n_series).astype(np.str_)),
        rois=texts.get("roi", unknown),
        labels=texts.get("label", unknown),
    )


def _read_arrays(path: str | Path) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file}
    except FileNotFoundError as error:
        raise FileFormatError(f"{path} is not there") from error
    # Whatever numpy does not know it takes for Python objects, and refuses.
    except (OSError, EOFError, TypeError, ValueError, BadZipFile) as error:
        raise FileFormatError(
            f"{path} holds no detector series: it is no npz file of numbers and text"
        ) from error


def _same_scan(
    series: tuple[NDArray[np.float64], ...], indices: NDArray[np.int64]
) -> list[tuple[int, int]]:
    """List the pairs among series of one length that were taken together."""
    steps = np.diff([series[index][0] for index in indices], axis=1)
    if len(indices) < 2 or steps.shape[1] < 2:
        return []
    low, high = np.percentile(steps, [0.5, 99.5], axis=1)[:, :, None]
    steps = np.clip(steps, low, high)
    spread = steps.std(axis=1, keepdims=True)
    steps = (steps - steps.mean(axis=1, keepdims=True)) / np.where(
        spread > 0, spread, 1
    )
    correlation = steps @ steps.T / steps.shape[1]
    limit = max(_SAME_SCAN, _SIGNIFICANT / np.sqrt(steps.shape[1]))
    first, second = np.nonzero(np.triu(correlation > limit, 1))
    return list(zip(indices[first].tolist(), indices[second].tolist(), strict=True))
