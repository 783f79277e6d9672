"""How the noise of a two-time map carries over to what is read from it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MapNoise", "block_sums", "block_width", "map_noise"]

Floats = NDArray[np.float64]

# Finer blocks cost more and tell no more about sums over many elements.
_SIZE = 100
# A diagonal this far above its neighbours holds shot noise, and was not filled in.
_LEAST_SHOT_NOISE = 1.2


@dataclass(frozen=True, eq=False)
class MapNoise:
    r"""Covariance of the elements of a map of Gaussian speckle.

    Elements that share speckles vary together: with u the relative deviation of the
    counts from their mean, C - 1 is the mean of u u' over P pixels, and

    .. math:: P\,\mathrm{cov}(C_{ij}, C_{kl}) =
        S_{ik} S_{jl} + S_{il} S_{jk} + \dots,\quad
        S_{ij} = \beta G_{ij} + \delta_{ij}/\bar n

    with the squared field correlation G and the photons n per pixel and frame. The
    dots are the third and fourth cumulant of the speckle, less what the division by
    the mean of the frame takes off: in the sums of :meth:`variance` the terms with
    the highest power of the contrast.

    Parameters
    ----------
    correlation : ndarray of float64, shape (n, n)
        The model of G for blocks of frames.
    width : int
        Frames in a block. Their photons are independent, their speckles are not.
    beta : float
        Speckle contrast.
    shot_noise : float
        One over the photons per pixel and frame.
    n_pixels : float
        Pixels that would make this noise.

    References
    ----------
    .. [1] K. Schätzel, Noise on photon correlation data: I. Autocorrelation functions,
       Quantum Opt. 2, 287 (1990).
    """

    correlation: Floats
    width: int
    beta: float
    shot_noise: float
    n_pixels: float

    def variance(self, weights: Floats) -> float:
        """Return the variance of a weighted sum of the elements above the diagonal.

        Parameters
        ----------
        weights : ndarray of shape (n, n)
            Symmetric: what each block of elements is weighted with, half of it in the
            mirrored block; nothing for the diagonal of the map.

        Returns
        -------
        float
            Of the weighted sum.
        """
        model, beta = self.correlation, self.beta
        field = np.sqrt(model)
        shot = self.shot_noise / self.width
        common = weights @ (beta * model)
        cumulant = (weights * model) @ model
        speckle = np.sum(common * common.T) + beta**3 * np.sum(cumulant * cumulant.T)
        lit = weights * field
        mixed = np.sum(common * weights) + beta**2 * np.sum((lit @ field) * lit)
        photons = np.sum(weights**2 * (1 + beta * model))
        total = speckle / 2 + shot * mixed + shot**2 * photons / 2
        return float(total) / self.n_pixels


def map_noise(
    two_time: NDArray[np.floating], correlation: Floats, beta: float, baseline: float
) -> MapNoise:
    """Read the noise of a map from its elements.

    Parameters
    ----------
    two_time : ndarray of shape (n_frames, n_frames)
        Measured map; nan where unknown.
    correlation : ndarray of shape (n_frames, n_frames)
        What its contrast is multiplied with, from 0 to 1.
    beta, baseline : float
        Contrast and baseline of the map.

    Returns
    -------
    MapNoise
        Where the diagonal is not measured, or was filled in with its neighbours, from
        the noise that neighbouring elements share. A relaxation as slow as the map
        hides much of that: its errors are then too small still.
    """
    values = np.asarray(two_time, np.float64)
    near = float(beta * np.mean(np.diagonal(correlation, 1)))
    residual = values - baseline - beta * correlation
    np.fill_diagonal(residual, np.nan)
    here, next_one = residual[:-1, :-1], residual[1:, 1:]
    is_known = np.isfinite(here) & np.isfinite(next_one)
    here, next_one = here[is_known], next_one[is_known]
    # Differences along a diagonal hold only what the elements do not share.
    alone = float(np.mean((here - next_one) ** 2)) / 2
    common = max(float(np.mean(here * next_one)), 0.0)

    diagonal = np.diagonal(values)
    diagonal = diagonal[np.isfinite(diagonal)]
    own = float(diagonal.mean()) - baseline if len(diagonal) > 0 else 0.0
    if own > _LEAST_SHOT_NOISE * near:
        brighter = 1 + beta * float(np.mean(correlation))
        n_pixels = brighter * (own**2 - near**2) / max(alone, 1e-12)
    else:
        mean_square = near**2 + beta**2 * float(np.mean(correlation**2))
        n_pixels = mean_square / max(common, 1e-3 * alone, 1e-12)
        own = float(np.sqrt(near**2 + n_pixels * alone))
    return MapNoise(
        correlation=block_sums(correlation) / block_sums(np.ones(values.shape)),
        width=block_width(len(values)),
        beta=beta,
        shot_noise=max(own - near, 0.0),
        n_pixels=max(n_pixels, 1.0),
    )


def block_width(n_frames: int) -> int:
    """Return how many frames a block of a map's noise holds; the last may be short."""
    return max(1, -(-n_frames // _SIZE))


def block_sums(values: Floats) -> Floats:
    """Sum the elements of an array like the map in each block of its noise."""
    starts = np.arange(0, len(values), block_width(len(values)))
    rows = np.add.reduceat(values, starts, axis=0)
    return np.asarray(np.add.reduceat(rows, starts, axis=1))
