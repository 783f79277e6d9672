"""How clearly the photons of a q-bin can show speckle at all."""

import numpy as np
from scipy.special import lambertw

__all__ = ["chance_of_none", "expected_signal_to_noise"]


def expected_signal_to_noise(
    mean_photons: float, contrast: float, n_pixels: float, n_pairs: float
) -> float:
    r"""Compute how far the contrast stands above the noise of a correlation.

    Parameters
    ----------
    mean_photons : float
        Photons per pixel and frame.
    contrast : float
        Speckle contrast beta.
    n_pixels : float
        Pixels of the q-bin, each with a speckle of its own.
    n_pairs : float
        Pairs of frames that are averaged and have not relaxed: n_frames - 1 for g2 at
        the first delay, n_frames (n_frames - 1) / 2 for the whole map of a sample that
        does not move, which is the most that any sample gives.

    Returns
    -------
    float
        Signal to noise, in standard deviations; 0 without photons.

    Notes
    -----
    .. math:: \mathrm{SNR} =
        \frac{\beta \bar n}{1 + \beta \bar n} \sqrt{n_\mathrm{pixels} n_\mathrm{pairs}}

    The denominator, the noise of the speckles themselves, is left out in [1]_, which is
    right for few photons. Pairs are taken as independent, as they are where photons
    are the noise.

    References
    ----------
    .. [1] P. Falus, M. A. Borthwick, S. G. J. Mochrie, Optimizing the signal-to-noise
       ratio for X-ray photon correlation spectroscopy, J. Synchrotron Rad. 13, 253
       (2006).

    Examples
    --------
    >>> round(expected_signal_to_noise(0.01, 0.1, n_pixels=10_000, n_pairs=10_000), 2)
    9.99
    """
    signal = contrast * mean_photons
    return float(signal / (1 + signal) * np.sqrt(max(n_pixels * n_pairs, 0.0)))


def chance_of_none(mean_of_lit: float) -> float:
    """Compute how often a Poisson number is 0, given its mean where it is not.

    Parameters
    ----------
    mean_of_lit : float
        Mean of the numbers above 0.

    Returns
    -------
    float
        Share of the numbers that are 0.

    Examples
    --------
    >>> round(chance_of_none(2.3 / (1 - np.exp(-2.3))), 3)  # of mean 2.3
    0.1
    """
    if mean_of_lit <= 1:
        return float(mean_of_lit > 0)
    # The mean m of all and the mean l of those above 0 obey l = m / (1 - exp(-m)).
    missing = lambertw(-mean_of_lit * np.exp(-mean_of_lit)).real
    return float(np.exp(-(mean_of_lit + missing)))
