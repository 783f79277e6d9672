"""What a sum of products of frames is divided by, for every way to normalise."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.errors import FrameStackError
from ainerd_bluesky.xpcs.bins.pixel_means import PixelMeans
from ainerd_bluesky.xpcs.bins.q_bin import BinLayout, SomeBin
from ainerd_bluesky.xpcs.bins.static_bins import static_variance

__all__ = [
    "Normalisation",
    "arranged",
    "normalise",
    "normalise_pixels",
    "pair_counts",
    "used_frames",
]

Floats = NDArray[np.float64]

_OVER_STATIC_BINS = {"static", "static-frame", "symmetric"}
_WITHOUT_FRAME_MEANS = {"symmetric", "monitor", "none"}


@dataclass(frozen=True, eq=False)
class Normalisation:
    r"""Weights of static bins and factors of frames.

    .. math::
        C(t_1, t_2) = \frac{1}{P} \sum_b w_b^2 F_b(t_1) F_b(t_2)
                      \sum_{p \in b} x_p(t_1) x_p(t_2) + v

    Parameters
    ----------
    weights : ndarray of float64, shape (n_static,)
        w: one over the time mean of a static bin, or 1; 0 for one without photons.
    n_pixels : ndarray of float64, shape (n_static,)
        Pixels that take part; P is their sum.
    factors : ndarray of float64, shape (1 or n_static, n_frames)
        F: one over the mean of a frame; 0 for a frame that does not take part.
    norms : ndarray of float64, shape (1 or n_static, n_frames)
        Sums of a frame that products are divided by in g2.
    sums : ndarray of float64, shape (n_static, n_frames)
        Photons of each frame; times the weight of each pixel where that differs within
        a static bin. They are the pairs of photons with themselves.
    is_used : ndarray of bool, shape (n_frames,)
        Frames that take part, see `used_frames`.
    is_symmetric : bool
        Whether frames are divided by the means of all frames that enter before and
        after a delay, not by their own.
    correction : float
        v, for what means over the same frames take off a product.
    """

    weights: Floats
    n_pixels: Floats
    factors: Floats
    norms: Floats
    sums: Floats
    is_used: NDArray[np.bool_]
    is_symmetric: bool = False
    correction: float = 0.0

    @property
    def shot_noise(self) -> Floats:
        """Pairs of a photon with itself on the diagonal of a map, (n_frames,)."""
        pairs = (self.weights**2)[:, None] * self.sums * self.factors**2
        noise: Floats = pairs.sum(axis=0) / max(self.n_pixels.sum(), 1)
        return noise

    def g2(self, products: Floats) -> Floats:
        """Divide sums of products by sums of what normalises them.

        Parameters
        ----------
        products : ndarray of float64, shape (n_static, n_frames - 1)
            Sums of x(t) x(t + lag) over pixels and frames, lags from 1.

        Returns
        -------
        ndarray of float64, shape (n_frames - 1,)
            Ratio of sums; nan where no pair of frames has photons. Where each static
            bin has norms of its own, the mean over them by their pixels.
        """
        norms = self._lag_norms()
        if len(norms) == 1:
            # Symmetric norms are those of the counts as they are.
            if not self.is_symmetric:
                products = (self.weights**2)[None] @ products
            n_pixels = self.n_pixels.sum()[None, None]
        else:
            n_pixels = self.n_pixels[:, None]
        ratios = np.zeros_like(norms)
        is_known = norms > 0
        np.divide(products * n_pixels, norms, out=ratios, where=is_known)
        n_known = (is_known * n_pixels).sum(axis=0)
        g2 = np.full(norms.shape[1], np.nan)
        np.divide((ratios * n_pixels).sum(axis=0), n_known, out=g2, where=n_known > 0)
        return g2 + self.correction

    def _lag_norms(self) -> Floats:
        if not self.is_symmetric:
            return _lag_products(self.norms, self.norms)
        used = self.is_used.astype(np.float64)[None]
        n_pairs = pair_counts(self.is_used)
        earlier, later = (
            _lag_products(self.norms, used),
            _lag_products(used, self.norms),
        )
        norms = np.zeros_like(earlier)
        np.divide(earlier * later, n_pairs, out=norms, where=n_pairs > 0)
        return norms

    def merged(self) -> "Normalisation":
        """Return the same for counts that were multiplied by their weights."""
        sums = (self.weights**2)[None] @ self.sums
        return replace(
            self,
            weights=np.ones(1),
            n_pixels=self.n_pixels.sum(keepdims=True),
            sums=sums,
        )


def used_frames(
    is_lit: NDArray[np.bool_], is_good: NDArray[np.bool_], normalisation: str
) -> NDArray[np.bool_]:
    """Tell which frames of a q-bin take part in its correlation.

    A frame without photons has no mean to be divided by. Where something else divides,
    it is a measurement of no photons: to leave it out would leave brighter ones.

    Parameters
    ----------
    is_lit : ndarray of bool, shape (n_frames,)
        Frames with photons in the q-bin.
    is_good : ndarray of bool, shape (n_frames,)
        Frames that are not bad: lost ones are, and without photons too.
    normalisation : str
        As in `CorrelationConfig`.

    Returns
    -------
    ndarray of bool, shape (n_frames,)
        Good frames; those with photons where their own mean divides, and none at all
        where no frame has photons.

    Examples
    --------
    >>> is_lit, is_good = np.array([True, False, True]), np.array([True, True, False])
    >>> used_frames(is_lit, is_good, "frame")
    array([ True, False, False])
    >>> used_frames(is_lit, is_good, "monitor")
    array([ True,  True, False])
    """
    is_lit = is_lit & is_good
    if normalisation in _WITHOUT_FRAME_MEANS and is_lit.any():
        return is_good
    return is_lit


def arranged(q_bin: SomeBin, config: CorrelationConfig) -> SomeBin:
    """Return a q-bin with the pixels of each static bin side by side.

    Parameters
    ----------
    q_bin : QBin or EventBin
        In any order; the counts are copied only if it is another one.
    config : CorrelationConfig
        Where its normalisation knows no static bins, all pixels are one, and where it
        needs the beam monitor, frames without beam are not good.

    Returns
    -------
    QBin or EventBin
        With labels of static bins that do not fall.

    Raises
    ------
    FrameStackError
        If the beam monitor is to normalise and there is none.
    """
    if config.normalisation == "monitor":
        if q_bin.monitor is None:
            raise FrameStackError(
                "normalisation by the monitor needs a monitor, got None"
            )
        q_bin = replace(q_bin, is_good=q_bin.is_good & (q_bin.monitor > 0))
    if config.normalisation not in _OVER_STATIC_BINS:
        return replace(q_bin, static_bins=np.zeros_like(q_bin.static_bins))
    if (np.diff(q_bin.static_bins) >= 0).all():
        return q_bin
    order = np.argsort(q_bin.static_bins, kind="stable")
    return q_bin.taking(order)


def normalise(
    sums: Floats, q_bin: BinLayout, config: CorrelationConfig
) -> Normalisation:
    """Work out weights and factors from the photons in the static bins.

    Parameters
    ----------
    sums : ndarray of float64, shape (n_static, n_frames)
        Photons in each static bin and frame.
    q_bin : BinLayout
        Arranged: static bins, good frames and the monitor.
    config : CorrelationConfig
        Its `normalisation`, any but `pixel`.

    Returns
    -------
    Normalisation
        Static bins without any photon are left out where their own mean divides.
    """
    kind = config.normalisation
    is_used = used_frames(sums.sum(axis=0) > 0, q_bin.is_good, kind)
    # In one layout, so that equal sums are added in the same order, to the bit.
    sums = np.ascontiguousarray(np.where(is_used, sums, 0.0))
    totals = sums.sum(axis=1)
    pixels = np.bincount(q_bin.static_bins, minlength=len(sums)).astype(np.float64)
    weights = np.ones(len(sums))
    # A single weight would drop out again, but not without rounding.
    if kind == "symmetric" or (kind == "static" and len(sums) > 1):
        weights = _ratio(pixels * is_used.sum(), totals)
    if kind in {"static", "symmetric", "static-frame"}:
        pixels = np.where(totals > 0, pixels, 0.0)
    if kind == "static-frame":
        factors, norms = _static_frame_factors(sums, pixels), sums
    else:
        means = _frame_means(weights @ sums, pixels.sum(), is_used, kind, q_bin.monitor)
        factors = _ratio(np.ones_like(means), means)[None]
        norms = sums if kind == "symmetric" else means[None] * pixels.sum()
    return Normalisation(
        weights=weights,
        n_pixels=pixels,
        factors=factors,
        norms=norms,
        sums=sums,
        is_used=is_used,
        is_symmetric=kind == "symmetric",
        correction=static_variance(sums, pixels, is_used) if kind == "static" else 0.0,
    )


def _frame_means(
    sums: Floats,
    n_pixels: float,
    is_used: NDArray[np.bool_],
    kind: str,
    monitor: Floats | None,
) -> Floats:
    """Return what the counts of each frame are divided by, 0 for unused frames."""
    if kind in {"none", "symmetric"}:
        return is_used.astype(np.float64)
    means = sums / max(n_pixels, 1)
    if kind == "monitor" and monitor is not None:
        beam: Floats = np.where(is_used, monitor, 0.0)
        means = beam * (means.sum() / beam.sum()) if beam.any() else beam
    return means


def _static_frame_factors(sums: Floats, n_pixels: Floats) -> Floats:
    """Return one over the means of each static bin in each frame."""
    # A static bin without photons in a frame has no mean: the others stand for it.
    factors = _ratio(np.broadcast_to(n_pixels[:, None], sums.shape), sums)
    n_lit = n_pixels @ (sums > 0)
    return factors * _ratio(np.full(len(n_lit), n_pixels.sum()), n_lit)


def normalise_pixels(means: PixelMeans) -> Normalisation:
    """Work out the factors of frames whose counts are divided by means of pixels.

    Parameters
    ----------
    means : PixelMeans
        Of the q-bin.

    Returns
    -------
    Normalisation
        Of counts that were multiplied by their weights.
    """
    n_pixels = float((means.weights > 0).sum())
    frame_means = means.sums / max(n_pixels, 1)
    return Normalisation(
        weights=np.ones(1),
        n_pixels=np.array([n_pixels]),
        factors=_ratio(np.ones_like(frame_means), frame_means)[None],
        norms=means.sums[None],
        sums=means.self_pairs[None],
        is_used=means.sums > 0,
        correction=means.correction,
    )


def pair_counts(is_used: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the pairs of used frames at each delay.

    Parameters
    ----------
    is_used : ndarray of bool, shape (n_frames,)
        Frames that take part.

    Returns
    -------
    ndarray of int64, shape (n_frames - 1,)
        For lags from 1.
    """
    used = is_used.astype(np.float64)
    return np.rint(_correlated(used, used)).astype(np.int64)


def _lag_products(first: Floats, second: Floats) -> Floats:
    """Return sums of first(t) second(t + lag), lags from 1, along the last axis."""
    products = _correlated(first, second)
    # Rounding leaves traces where no product is: count those to tell.
    n_products = _correlated((first > 0).astype(float), (second > 0).astype(float))
    return np.where(n_products > 0.5, products, 0.0)


def _correlated(first: Floats, second: Floats) -> Floats:
    n_frames = first.shape[-1]
    if n_frames < 2:
        return np.zeros((*first.shape[:-1], max(n_frames - 1, 0)))
    size = next_fast_len(2 * n_frames, real=True)
    spectrum = np.conj(rfft(first, size)) * rfft(second, size)
    correlated: Floats = irfft(spectrum, size)[..., 1:n_frames]
    return correlated


def _ratio(values: Floats, norms: Floats) -> Floats:
    """Return values / norms, 0 where the norm is 0."""
    ratio = np.zeros(values.shape)
    np.divide(values, norms, out=ratio, where=norms > 0)
    return ratio
