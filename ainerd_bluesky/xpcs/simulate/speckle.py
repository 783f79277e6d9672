"""Photon counts of speckle whose field correlation is prescribed."""

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from ainerd_bluesky.xpcs.simulate.dynamics import Dynamics, g1
from ainerd_bluesky.xpcs.two_time.maps import two_time_map

__all__ = ["correlation_root", "simulate_counts", "simulate_map"]

# Pixels simulated at once: the fields of 1000 frames and two modes take 32 MB.
_BLOCK = 2048
# g1 is rounded to float32; this keeps its eigenvalues above zero.
_JITTERS = (1e-5, 1e-4, 1e-3)


def correlation_root(correlation: NDArray[np.float32]) -> NDArray[np.float32]:
    """Factorise a field correlation.

    Parameters
    ----------
    correlation : ndarray of shape (n_frames, n_frames)
        Symmetric, positive semi-definite.

    Returns
    -------
    ndarray of float32, shape (n_frames, n_frames)
        Lower triangle L with L L^T = correlation, to about 1e-5.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the correlation is far from positive semi-definite.
    """
    matrix = correlation.astype(np.float64)
    for jitter in _JITTERS:
        try:
            root = linalg.cholesky(
                matrix + jitter * np.eye(len(matrix)), lower=True, check_finite=False
            )
        except np.linalg.LinAlgError:
            continue
        return np.asarray(root, np.float32)
    raise np.linalg.LinAlgError(
        f"correlation of shape {matrix.shape} is not positive semi-definite"
    )


def simulate_counts(
    correlation: NDArray[np.float32],
    n_pixels: int,
    *,
    n_modes: int,
    mean_photons: float,
    intensity: NDArray[np.float64] | None = None,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    r"""Draw photon counts of one q-bin.

    Parameters
    ----------
    correlation : ndarray of shape (n_frames, n_frames)
        Field correlation g1 of every pair of frames.
    n_pixels : int
        Pixels of the q-bin; each sees its own speckle.
    n_modes : int
        Mutually incoherent modes of the beam; the speckle contrast is one over it.
    mean_photons : float
        Expected photons per pixel and frame.
    intensity : ndarray of shape (n_frames,), optional
        Factor of the beam's intensity in each frame.
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    ndarray of uint16, shape (n_frames, n_pixels)
        Photons.

    Notes
    -----
    Each mode is a circular complex Gaussian field E with <E(t1) E*(t2)> = g1, so that
    the counts follow the Siegert relation

    .. math:: C(t_1, t_2) = 1 + g_1^2(t_1, t_2) / n_\mathrm{modes}
    """
    root = correlation_root(correlation)
    n_frames = len(root)
    scale = (
        np.full(n_frames, mean_photons)
        if intensity is None
        else (mean_photons * np.asarray(intensity))
    )
    scale = (scale / (2.0 * n_modes)).astype(np.float32)[:, None]
    counts = np.empty((n_frames, n_pixels), np.uint16)
    for start in range(0, n_pixels, _BLOCK):
        n_block = min(_BLOCK, n_pixels - start)
        expected = _speckle(root, n_block, n_modes, rng) * scale
        photons = np.minimum(rng.poisson(expected), np.iinfo(np.uint16).max)
        counts[:, start : start + n_block] = photons
    return counts


def _speckle(
    root: NDArray[np.float32], n_pixels: int, n_modes: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Sum of squares of the real and imaginary parts of every mode's field."""
    shape = (len(root), 2 * n_modes * n_pixels)
    fields = root @ rng.standard_normal(shape, dtype=np.float32)
    np.square(fields, out=fields)
    return np.asarray(fields.reshape(len(root), 2 * n_modes, n_pixels).sum(axis=1))


def simulate_map(
    dynamics: Dynamics,
    n_frames: int,
    n_pixels: int,
    n_modes: int,
    mean_photons: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Simulate the two-time map of one q-bin.

    Parameters
    ----------
    dynamics : Dynamics
        What the sample does.
    n_frames, n_pixels, n_modes : int
        Frames of the scan, pixels of the q-bin, modes of the beam.
    mean_photons : float
        Expected photons per pixel and frame.
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    two_time : ndarray of float32, shape (n_frames, n_frames)
        Measured from simulated photons: baseline 1, shot-noise diagonal kept.
    clean : ndarray of float32, shape (n_frames, n_frames)
        The square of g1, which `two_time` follows as ``1 + clean / n_modes``.
    """
    correlation = g1(dynamics, np.linspace(0.0, 1.0, n_frames))
    counts = simulate_counts(
        correlation, n_pixels, n_modes=n_modes, mean_photons=mean_photons, rng=rng
    )
    return two_time_map(counts), correlation**2
