"""Whether the dynamics of a two-time map change with age."""

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.xpcs.lags.one_time import g2_from_two_time
from ainerd_bluesky.xpcs.relaxation.map_g2 import FEWEST_LAGS, OVER, map_decay
from ainerd_bluesky.xpcs.relaxation.map_noise import block_sums

__all__ = ["non_equilibrium_index"]

Floats = NDArray[np.float64]

_FEWEST_FRAMES = 12
# A larger map takes seconds and several times its memory, and tells no more of changes
# over halves of it.
_LARGEST = 1000


def non_equilibrium_index(two_time: NDArray[np.floating]) -> tuple[float, float]:
    r"""Compare the relaxation in the later half of a map with that in the earlier.

    In equilibrium a map depends on the delay alone, not on the age [1]_ [2]_. The index
    needs no model of the decay.

    Parameters
    ----------
    two_time : ndarray of shape (n_frames, n_frames)
        Symmetric map, baseline 1 or more; nan where unknown.

    Returns
    -------
    index, index_err : float
        0 in equilibrium; r times slower dynamics in the later half give about
        (r - 1)/(r + 1), negative where they accelerate; and the standard error that a
        map in equilibrium has, see `map_noise`. nan where there is no contrast. A map
        of more than 1000 frames is averaged over blocks of them first, so that a decay
        within one block is not seen.

    Notes
    -----
    With the mean over the elements whose age lies in one half of the map, and over the
    delays in which a tenth of the contrast or more is left,

    .. math:: \nu = \frac{A_2 - A_1}{A_2 + A_1},\quad
        A_h = \sum_\tau \left(\langle C(a, \tau)\rangle_{a \in h} - b\right)

    References
    ----------
    .. [1] M. Sutton, K. Laaziri, F. Livet, F. Bley, Using coherence to measure two-time
       correlation functions, Opt. Express 11, 2268 (2003).
    .. [2] O. Bikondoa, On the use of two-time correlation functions for X-ray photon
       correlation spectroscopy data analysis, J. Appl. Cryst. 50, 357 (2017).

    Examples
    --------
    >>> time = np.arange(100)
    >>> lag = np.abs(time[:, None] - time)
    >>> index, _ = non_equilibrium_index(1 + 0.2 * np.exp(-lag / 10))
    >>> abs(index) < 1e-6
    True
    """
    values = _averaged(np.asarray(two_time))
    g2 = g2_from_two_time(values)
    n_frames = len(values)
    decay = map_decay(g2)
    if n_frames < _FEWEST_FRAMES or decay is None:
        return float("nan"), float("nan")

    # Where the decay is over, elements add noise and no change.
    is_over = np.flatnonzero(decay.shape < OVER)
    n_lags = max(int(is_over[0]) if len(is_over) > 0 else n_frames - 1, FEWEST_LAGS)
    weights = _halves(np.isfinite(values), min(n_lags, n_frames // 2))
    known = np.where(weights == 0, 0.0, np.nan_to_num(values)) - decay.baseline
    # Each element stands on both sides of the diagonal.
    change = float(np.sum(weights * known)) / 2
    strength = float(np.sum(np.abs(weights) * known)) / 2
    error = float(np.sqrt(decay.noise(values).variance(block_sums(weights))))
    return change / strength, error / strength


def _averaged(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return means over blocks of a large map; nan where a block lacks an element."""
    width = -(-len(values) // _LARGEST) if values.ndim == 2 else 1
    if width <= 1 or len(values) != values.shape[1]:
        return values
    starts = np.arange(0, len(values) - width + 1, width)
    whole = values[: starts[-1] + width, : starts[-1] + width]
    sums = np.add.reduceat(np.add.reduceat(whole, starts, axis=0), starts, axis=1)
    return np.asarray(sums / width**2)


def _halves(is_known: NDArray[np.bool_], n_lags: int) -> Floats:
    """Return weights for later minus earlier half, each lag alike, like the map."""
    time = np.arange(len(is_known))
    lag = np.abs(time[:, None] - time)
    age = time[:, None] + time - (len(time) - 1)
    is_used = is_known & (lag >= 1) & (lag <= n_lags)
    weights = np.zeros(is_known.shape)
    for sign in (-1, 1):
        half = is_used & (np.sign(age) == sign)
        n_elements = np.bincount(lag[half], minlength=len(time))
        weights[half] = 2 * sign / n_elements[lag[half]]
    return weights
