"""Which pixels of a q-bin can be correlated."""

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.two_time import Counts

__all__ = ["usable_pixels"]

# Speckle is exponential at worst: a pixel is above 25 times the mean with e^-25.
_HOT_FACTOR = 25
# It leaves a pixel without a count with 1 / (1 + mean), below 1 % from here on.
_DEAD_MEAN = 100


def usable_pixels(counts: Counts, saturation: int | None = None) -> NDArray[np.bool_]:
    """Find the pixels of a q-bin that are neither saturated, hot nor dead.

    One hot pixel can carry a whole map, and a dead one raises every value, because
    each frame is divided by its mean over all pixels.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels)
        Photons.
    saturation : int, optional
        Upper limit of the detector's numbers.

    Returns
    -------
    ndarray of bool, shape (n_pixels,)
        False for a pixel that was at the limit in any frame; that counted, over the
        run, more than 25 (1 + mean) photons; or none at all where the mean is above
        100. Fully developed speckle, even if it never moves, crosses the upper bound
        with a probability below 1e-10.

    Examples
    --------
    >>> usable_pixels(np.array([[1, 2, 255, 1], [2, 1, 3, 1]]), 255)
    array([ True,  True, False,  True])
    """
    is_usable = np.ones(counts.shape[1], bool)
    if counts.size == 0:
        return is_usable
    if saturation is not None:
        is_usable &= counts.max(axis=0) < saturation
    totals = counts.sum(axis=0, dtype=np.float64)
    # The mean of the lower 95 %: hot pixels must not set their own bound.
    calm = np.sort(totals[is_usable])[: max(1, int(0.95 * is_usable.sum()))]
    mean = float(calm.mean()) if len(calm) > 0 else 0.0
    is_usable &= totals <= _HOT_FACTOR * (1 + mean)
    if mean > _DEAD_MEAN:
        is_usable &= totals > 0
    return is_usable
