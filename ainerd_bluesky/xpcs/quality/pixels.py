"""Which pixels of a q-bin can be correlated: dead, hot, noisy, saturated ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, gammainccinv

from ainerd_bluesky.xpcs.data.bin_counts import BinCounts, frame_sums, pixel_moments
from ainerd_bluesky.xpcs.data.bin_events import BinEvents

__all__ = ["PixelDefects", "find_pixel_defects", "usable_pixels"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

# Without the dimmest 1e-4 of its pixels a map is off by 1e-4, without the brightest
# 1e-8 by 1e-5, even if they were good and the speckle fully developed: x^2 e^-x.
_DARK_CHANCE = 1e-4
_BRIGHT_CHANCE = 1e-8
# Gradients in a bin reach this far; a defect that does not moves no map that matters.
_HOT_FACTOR, _DEAD_FACTOR = 3.0, 0.1
# In speckle of any speed the variance over the squared mean of one pixel is below 10
# but for 1e-10: a single speckle would have to make up the whole series.
_LARGEST_EXCESS = 10.0
# From here on quartiles of whole numbers tell their spread.
_MIN_QUARTILE_MEAN = 15.0
# The levels of the static bins must not follow their own hot pixels.
_CALM_SHARE = 0.9
# Weight of the whole q-bin in the level of a static bin, against noise.
_PRIOR_PHOTONS = 20
# Photons of one bright moment come together: five of them are ten pairs.
_STRAY_PAIRS = 10


@dataclass(frozen=True, eq=False)
class PixelDefects:
    """What is wrong with the pixels of a q-bin; every array has shape (n_pixels,).

    Parameters
    ----------
    is_dead : ndarray of bool
        Far fewer photons than speckle would leave it.
    is_hot : ndarray of bool
        Far more photons than speckle would give it.
    is_noisy : ndarray of bool
        Fluctuates more than speckle, photons and beam together can.
    is_saturated : ndarray of bool
        Was at the detector's limit in one frame or more.
    means : ndarray of float64
        Photons of the pixel in the mean of the good frames; nan without any.
    """

    is_dead: Bools
    is_hot: Bools
    is_noisy: Bools
    is_saturated: Bools
    means: Floats

    @property
    def is_usable(self) -> Bools:
        """True for a pixel without any defect."""
        return ~(self.is_dead | self.is_hot | self.is_noisy | self.is_saturated)

    @property
    def summary(self) -> str:
        """How many pixels have which defect, such as `3 dead, 1 hot`."""
        kinds = ("dead", "hot", "noisy", "saturated")
        found = [(int(getattr(self, f"is_{kind}").sum()), kind) for kind in kinds]
        return ", ".join(f"{count} {kind}" for count, kind in found if count > 0)


def find_pixel_defects(
    counts: BinCounts,
    saturation: int | None = None,
    *,
    static_bins: NDArray[np.integer] | None = None,
    is_good: Bools | None = None,
) -> PixelDefects:
    r"""Find dead, hot, noisy and saturated pixels from time mean and Fano factor.

    One hot pixel can carry a whole map, and a dead one raises every value, because
    each frame is divided by its mean over all pixels. A good pixel that is left out
    takes its part of the contrast along, so a defect has to be all but certain.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels), or BinEvents
        Photons of one q-bin.
    saturation : int, optional
        Upper limit of the detector's numbers; events have none.
    static_bins : ndarray of int, shape (n_pixels,), optional
        Static bin of each pixel: what its photons are compared with.
    is_good : ndarray of bool, shape (n_frames,), optional
        Frames to look at; all if not given.

    Returns
    -------
    PixelDefects
        In speckle, moving or not, at most one good pixel in 10^4 is called dead and
        one in 10^7 hot or noisy. What cannot be told stays in: with N photons in the
        mean pixel, static speckle of contrast 1 leaves a pixel without a photon as
        often as 1 / (1 + N).

    Notes
    -----
    The photons of a pixel over the run follow a negative binomial distribution, whose
    number of modes M is that of the beam times that of the speckles which passed [1]_.
    Its spread, 1/N + 1/M, is taken from the quartiles over the pixels, which a few
    defects do not move, and bounds the time mean. The Fano factor F, variance over
    mean in time, is bounded by the intensities <I> of the pixel and S of all pixels

    .. math:: F - 1 \le \langle I\rangle
        \left[(1 + 10)\,\frac{\langle S^2\rangle}{\langle S\rangle^2} - 1\right]

    with room for the brightest speckle in the brightest frame, and for the counting
    statistics of pairs of photons.

    References
    ----------
    .. [1] J. W. Goodman, Speckle Phenomena in Optics (Roberts, 2007), ch. 4 and 9.

    Examples
    --------
    >>> counts = np.array([[900, 1100, 0, 1000, 9999], [1100, 900, 0, 1000, 9999]])
    >>> defects = find_pixel_defects(np.tile(counts, (10, 1)))
    >>> defects.is_dead.tolist(), defects.is_hot.tolist()
    ([False, False, True, False, False], [False, False, False, False, True])
    """
    n_frames, n_pixels = counts.shape
    is_good = np.ones(n_frames, bool) if is_good is None else is_good
    nothing = np.zeros(n_pixels, bool)
    if n_pixels == 0 or not is_good.any():
        unknown = np.full(n_pixels, np.nan)
        return PixelDefects(nothing, nothing, nothing, nothing, unknown)

    totals, squares, brightness = pixel_moments(counts, is_good)
    is_saturated = nothing
    if saturation is not None and not isinstance(counts, BinEvents):
        where = True if is_good.all() else is_good[:, None]
        is_saturated = counts.max(axis=0, where=where, initial=0) >= saturation
    is_dead, is_hot = _extreme_totals(totals, ~is_saturated, static_bins)
    out = is_hot | is_saturated
    if out.any():
        brightness = brightness - frame_sums(counts, out)[is_good]
    is_noisy = _is_noisy(totals, squares, brightness)
    means = totals / len(brightness)
    return PixelDefects(is_dead, is_hot, is_noisy & ~out, is_saturated, means)


def usable_pixels(
    counts: BinCounts,
    saturation: int | None = None,
    *,
    static_bins: NDArray[np.integer] | None = None,
    is_good: Bools | None = None,
) -> Bools:
    """Find the pixels of a q-bin that have no defect.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels), or BinEvents
        Photons.
    saturation : int, optional
        Upper limit of the detector's numbers.
    static_bins : ndarray of int, shape (n_pixels,), optional
        Static bin of each pixel.
    is_good : ndarray of bool, shape (n_frames,), optional
        Frames to look at; all if not given.

    Returns
    -------
    ndarray of bool, shape (n_pixels,)
        See :func:`find_pixel_defects`.

    Examples
    --------
    >>> usable_pixels(np.array([[1, 2, 255, 1], [2, 1, 3, 1]]), 255)
    array([ True,  True, False,  True])
    """
    return find_pixel_defects(
        counts, saturation, static_bins=static_bins, is_good=is_good
    ).is_usable


def _extreme_totals(
    totals: Floats, is_calm: Bools, static_bins: NDArray[np.integer] | None
) -> tuple[Bools, Bools]:
    """Return which pixels are far too dark, and which far too bright, in the sum."""
    is_dead, is_hot = np.zeros((2, len(totals)), bool)
    if not totals[is_calm].any():
        return is_dead, is_hot
    level, margin = _levels(totals, is_calm, static_bins)
    mean, spread = _bulk((totals / level)[is_calm])
    modes = 1 / max(spread - 1 / mean, 1e-9)

    expected = mean * level * margin
    shape = 1 / (1 / expected + 1 / modes)
    bound = gammainccinv(shape, _BRIGHT_CHANCE) / shape
    is_hot = totals > expected * np.maximum(bound, _HOT_FACTOR)

    expected = mean * level / margin
    is_dead = totals < _DEAD_FACTOR * expected
    few, usual = totals[is_dead], expected[is_dead]
    is_dead[is_dead] = betainc(modes, few + 1, modes / (modes + usual)) < _DARK_CHANCE
    return is_dead & is_calm, is_hot & is_calm


def _levels(
    totals: Floats, is_calm: Bools, static_bins: NDArray[np.integer] | None
) -> tuple[Floats, Floats]:
    """Return the level of each pixel's static bin, 1 in the mean, and its margin."""
    labels = np.zeros(len(totals), np.intp)
    if static_bins is not None:
        labels = np.unique(static_bins, return_inverse=True)[1]
    order = np.lexsort((totals, labels))
    order = order[is_calm[order]]
    sizes = np.bincount(labels[order], minlength=labels.max() + 1)
    rank = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[labels[order]]
    lower = order[rank < np.maximum(_CALM_SHARE * sizes, 1)[labels[order]]]
    n_lower = np.bincount(labels[lower], minlength=len(sizes))
    photons = np.bincount(labels[lower], totals[lower], minlength=len(sizes))
    usual = n_lower * photons.sum() / n_lower.sum()
    level = (photons + _PRIOR_PHOTONS) / (usual + _PRIOR_PHOTONS)
    # A static bin without any photon is dead, or has too few pixels to tell.
    level[photons == 0] = 1
    # A level is known as well as that many static speckles tell it.
    margin = 1 + 3 / np.sqrt(np.maximum(n_lower, 1))
    return level[labels], margin[labels]


def _bulk(totals: Floats) -> tuple[float, float]:
    """Return mean and relative variance of most pixels, whatever the others do."""
    # For three standard errors of a quartile range.
    caution = (1 + 3.5 / np.sqrt(len(totals))) ** 2
    # The cube root of a gamma variable is all but normal [Wilson, Hilferty, PNAS 17,
    # 684 (1931)], so that its quartiles tell shape and mean.
    low, middle, high = np.cbrt(np.quantile(totals, [0.25, 0.5, 0.75]))
    if middle**3 >= _MIN_QUARTILE_MEAN:
        ratio = max((high - low) / 1.349 / middle, 1e-6)
        root = (3 + np.sqrt(9 + 36 * ratio**2)) / (18 * ratio)
        return float(middle / (1 - 1 / (9 * root**2))) ** 3, caution / float(root**2)
    # Few photons: all pixels that static speckle allows, however bright.
    mean = max(float(np.sort(totals)[: max(1, int(0.95 * len(totals)))].mean()), 1e-9)
    shape = 1 / (1 + 1 / mean)
    bound = 1.5 * mean * gammainccinv(shape, _BRIGHT_CHANCE) / shape
    kept = totals[totals <= 1 + bound]
    mean = max(float(kept.mean()), 1e-9)
    return mean, caution * max(float(kept.var()) / mean**2, 1 / mean)


def _is_noisy(totals: Floats, squares: Floats, brightness: Floats) -> Bools:
    """Return which pixels put more photons into the same frame than they can."""
    n_frames, mean = len(brightness), float(brightness.mean())
    if mean == 0:
        return np.zeros(len(totals), bool)
    # Counting adds the mean to a sum of squares, and a photon is no pair with itself.
    beam = max(float(np.mean(brightness**2) - mean) / mean**2, 1.0)
    pairs = (squares - totals) / 2
    # The brightest speckle there is may fall into the brightest frame.
    peak = float(brightness.max() / brightness.sum()) * -np.log(_BRIGHT_CHANCE)
    share = (1 + _LARGEST_EXCESS) * beam / n_frames + (peak / (1 + peak)) ** 2
    most = share * totals**2 / 2
    return np.asarray(pairs > most + 6 * np.sqrt(most) + _STRAY_PAIRS)
