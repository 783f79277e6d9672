"""Measured maps to learn from and to measure with: crops of NSLS-II CHX maps."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.ml.maps import to_sample

__all__ = [
    "ChxCrops",
    "MeasuredGroups",
    "is_held_out",
    "load_chx_crops",
    "measured_groups",
]

_FILE = Path("chx_two_time", "train.npz")
_N_FOLDS = 5
# What the authors' fit must be for its rate to count as known.
_MIN_R_SQUARED = 0.9
_MIN_BETA = 0.1
_RATES = (1 / 150, 1.0)


@dataclass(frozen=True, eq=False)
class ChxCrops:
    """Noisy crops of measured maps, and the rates behind them.

    Parameters
    ----------
    crops : ndarray of float32, shape (n_crops, 50, 50)
        Noisy crops along the diagonal of a map.
    target_index : ndarray of int64, shape (n_crops,)
        Number of the experiment and region of each crop.
    experiments : ndarray of str, shape (n_crops,)
        Name of the experiment of each crop.
    log_rate : ndarray of float64, shape (n_crops,)
        Decimal logarithm of the relaxation rate, in 1/frame, of the mean of all crops
        of one experiment and region; nan where its fit is not to be trusted.
    """

    crops: NDArray[np.float32]
    target_index: NDArray[np.int64]
    experiments: NDArray[np.str_]
    log_rate: NDArray[np.float64]

    @property
    def is_held_out(self) -> NDArray[np.bool_]:
        """Crops of experiments that no shipped model learns from."""
        names, positions = np.unique(self.experiments, return_inverse=True)
        return np.array([is_held_out(name) for name in names])[positions]


@dataclass(frozen=True, eq=False)
class MeasuredGroups:
    """Measured maps, of which those of one group show the same dynamics.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_maps, size, size)
        Noisy maps as `to_sample` gives them.
    groups : ndarray of int64, shape (n_maps,)
        Group of each map.
    """

    samples: NDArray[np.float32]
    groups: NDArray[np.int64]


def is_held_out(experiment: str) -> bool:
    """Tell whether an experiment is kept for measuring, about one in five.

    Parameters
    ----------
    experiment : str
        Name of the experiment.

    Returns
    -------
    bool
        Decided by a hash of the name alone, so that it is the same for ever.

    Examples
    --------
    >>> is_held_out("55ynlp5nn2")
    False
    """
    return hashlib.sha256(experiment.encode()).digest()[0] % _N_FOLDS == 0


def load_chx_crops(folder: str | Path) -> ChxCrops:
    """Read the CHX crops from a folder of measurements.

    Parameters
    ----------
    folder : str or Path
        Holds ``chx_two_time/train.npz``.

    Returns
    -------
    ChxCrops
        Every crop of the file.

    Raises
    ------
    ModelError
        If the file is not there or holds something else.
    """
    path = Path(folder) / _FILE
    try:
        with np.load(path, allow_pickle=False) as file:
            target_index = file["target_index"].astype(np.int64)
            return ChxCrops(
                crops=file["raw"].astype(np.float32),
                target_index=target_index,
                experiments=file["experiment"].astype(np.str_),
                log_rate=_known_log_rates(file["target_fit"])[target_index],
            )
    except (OSError, KeyError, ValueError) as error:
        raise ModelError(f"{path} holds no CHX crops: {error}") from error


def measured_groups(crops: ChxCrops, size: int) -> MeasuredGroups:
    """Make samples of the crops that may be learned from.

    Parameters
    ----------
    crops : ChxCrops
        Every crop; those of experiments held out are left out.
    size : int
        Rows and columns of a sample.

    Returns
    -------
    MeasuredGroups
        One group for each experiment and region.
    """
    is_kept = ~crops.is_held_out
    samples = np.stack([to_sample(crop, size) for crop in crops.crops[is_kept]])
    return MeasuredGroups(samples, crops.target_index[is_kept])


def _known_log_rates(fits: NDArray[np.float32]) -> NDArray[np.float64]:
    beta, rate, _, _, r_squared = fits.astype(np.float64).T
    is_known = (r_squared > _MIN_R_SQUARED) & (beta > _MIN_BETA)
    is_known &= (rate > _RATES[0]) & (rate < _RATES[1])
    return np.log10(np.where(is_known, rate, np.nan))
