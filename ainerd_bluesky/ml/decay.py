"""How correlation decays, in numbers that neither contrast, baseline nor noise move."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from torch import Tensor, nn

from ainerd_bluesky.ml.map_features import feature_weights

__all__ = [
    "DecaySpace",
    "Spread",
    "lag_profiles",
    "spread_of_groups",
    "spread_of_pairs",
]

Floats = NDArray[np.float64]

_N_SHORT = 2
# What hardly decays within the scan shows noise, and keeps a low profile.
_LEAST_HEIGHT = 0.05
_LOWEST, _HIGHEST = -1.5, 2.0
# Directions in which few maps vary are not to be trusted.
_SHRINKAGE = 0.2


@dataclass(frozen=True, eq=False)
class Spread:
    """How lag profiles differ between dynamics, and how much of it is noise.

    Parameters
    ----------
    mean : ndarray of shape (n_lags,)
        Mean profile.
    noise, signal : ndarray of shape (n_lags, n_lags)
        Covariance within the same dynamics, and between different ones.
    """

    mean: Floats
    noise: Floats
    signal: Floats

    def with_share(self, other: Self, share: float) -> "Spread":
        """Return the spread that has a share of the other in it."""
        return Spread(
            self.mean,
            self.noise + share * other.noise,
            self.signal + share * other.signal,
        )


class DecaySpace(nn.Module):
    """Lag profiles, in the directions that tell dynamics apart best.

    The profile of a map are its means along the diagonals less their mean, in units of
    what the shortest delays have of it: neither contrast nor baseline move it.

    Parameters
    ----------
    n_decay : int
        Directions.
    size : int
        Rows and columns of a sample.
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, n_decay: int, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size - 1))
        self.register_buffer("basis", torch.zeros((size - 1, n_decay)))

    def fit(self, spread: Spread) -> None:
        """Take the directions with most signal for their noise.

        Parameters
        ----------
        spread : Spread
            Of the profiles that are to be told apart.
        """
        n_lags, n_decay = self.basis.shape
        # Groups of one map show no noise: then any direction is as good.
        even = (np.trace(spread.noise) / n_lags or 1.0) * np.eye(n_lags)
        noise = spread.noise + _SHRINKAGE * even
        # Noise has length one along each of them.
        _, vectors = eigh(spread.signal, noise)
        best = vectors[:, ::-1][:, :n_decay].copy()
        self.mean.copy_(torch.from_numpy(spread.mean))
        self.basis.copy_(torch.from_numpy(best))

    def forward(self, samples: Tensor) -> Tensor:
        """Compute the coordinates (n_samples, n_decay) of samples."""
        return (lag_profiles(samples) - self.mean) @ self.basis


def lag_profiles(samples: Tensor) -> Tensor:
    """Average along the diagonals, free of contrast and baseline.

    Parameters
    ----------
    samples : Tensor of shape (n_samples, size, size)
        Maps.

    Returns
    -------
    Tensor of shape (n_samples, size - 1)
        About 1 at short delays; the mean is 0.
    """
    means = samples.flatten(1) @ _lag_weights(samples.shape[-1])
    rest = means - means.mean(dim=1, keepdim=True)
    height = rest[:, :_N_SHORT].mean(dim=1, keepdim=True)
    return (rest / height.clamp(min=_LEAST_HEIGHT)).clamp(_LOWEST, _HIGHEST)


def spread_of_pairs(noisy: Tensor, clean: Tensor) -> Spread:
    """Learn from simulated maps, whose truth is known.

    Parameters
    ----------
    noisy : Tensor of shape (n_maps, size, size)
        Maps with the baseline 1.
    clean : Tensor of shape (n_maps, size, size)
        The square of g1 behind each.

    Returns
    -------
    Spread
        Noise is what keeps noisy maps from their truth.
    """
    profiles, true = lag_profiles(noisy), lag_profiles(clean)
    noise = _second_moment(profiles - true)
    return Spread(_mean(true), noise, _second_moment(true - true.mean(dim=0)))


def spread_of_groups(noisy: Tensor, groups: NDArray[np.int64]) -> Spread:
    """Learn from measured maps, of which those of one group show the same dynamics.

    Parameters
    ----------
    noisy : Tensor of shape (n_maps, size, size)
        Maps with the baseline 1.
    groups : ndarray of int64, shape (n_maps,)
        Group of each map.

    Returns
    -------
    Spread
        Noise is what keeps maps from the mean of their group.
    """
    profiles = lag_profiles(noisy)
    _, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    members = torch.from_numpy(index)
    sums = torch.zeros((len(counts), profiles.shape[1])).index_add(0, members, profiles)
    means = sums / torch.from_numpy(counts)[:, None]
    n_free = max(len(profiles) - len(means), 1)
    within = len(profiles) / n_free * _second_moment(profiles - means[members])
    between = _second_moment(means - means.mean(dim=0))
    return Spread(_mean(means), within, between)


@lru_cache(maxsize=4)
def _lag_weights(size: int) -> Tensor:
    return torch.tensor(feature_weights(size)[: size - 1]).T


def _mean(profiles: Tensor) -> Floats:
    return np.asarray(profiles.double().mean(dim=0).numpy())


def _second_moment(rows: Tensor) -> Floats:
    rows = rows.double()
    return np.asarray((rows.T @ rows / len(rows)).numpy())
