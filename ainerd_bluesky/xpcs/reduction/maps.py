"""Reduction of a run of which only the two-time maps are left."""

import hashlib
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ainerd_bluesky.errors import TwoTimeError
from ainerd_bluesky.xpcs.lags.one_time import g2_from_two_time
from ainerd_bluesky.xpcs.quality.checks import Quality
from ainerd_bluesky.xpcs.quality.map_quality import check_map
from ainerd_bluesky.xpcs.reduction.result import (
    ESTIMATORS,
    Reduction,
    bare_reduction,
    checked_frame_time,
    run_quality,
)
from ainerd_bluesky.xpcs.relaxation.fit import RelaxationFit, fit_relaxation
from ainerd_bluesky.xpcs.relaxation.map_g2 import g2_err_of_map

__all__ = ["reduce_maps"]

Floats = NDArray[np.float64]


def reduce_maps(
    two_time: NDArray[np.floating],
    *,
    q_values: ArrayLike | None = None,
    phi_values: ArrayLike | None = None,
    q_bins: ArrayLike | None = None,
    frame_time: float | None = 1.0,
) -> Reduction:
    """Take archived two-time maps as the reduction of a run.

    Parameters
    ----------
    two_time : ndarray of shape (n_q_bins, n_frames, n_frames) or (n_frames, n_frames)
        Filled square maps.
    q_values : array_like of shape (n_q_bins,), optional
        In 1/angstrom.
    phi_values : array_like of shape (n_q_bins,), optional
        In degrees.
    q_bins : array_like of int, shape (n_q_bins,), optional
        Labels that the q-bins have in their source; 1 .. n_q_bins if not given.
    frame_time : float, optional
        Start-to-start time of frames, in seconds; 1 makes rates per frame.

    Returns
    -------
    Reduction
        g2 has all lags; its errors follow from the noise of the map and from how long
        its elements have speckles in common. A map that lacks a few frames is taken,
        with the remark `missing-frames`.

    Raises
    ------
    TwoTimeError
        If the array cannot be maps of real numbers, or q_values, phi_values or q_bins
        do not fit it.
    """
    started = perf_counter()
    two_time = np.asarray(two_time)
    if two_time.ndim not in {2, 3} or len(two_time) == 0:
        raise TwoTimeError(
            "two_time must have shape (n_q_bins, n, n) with one q-bin or more, got "
            f"{two_time.shape}"
        )

    maps = _as_float32(two_time if two_time.ndim == 3 else two_time[None])
    q_array = _bin_values("q_values", q_values, len(maps))
    phi_array = _bin_values("phi_values", phi_values, len(maps))
    labels = _bin_labels(q_bins, len(maps))
    seconds, quality = checked_frame_time(frame_time)
    bin_quality = tuple(check_map(one_map) for one_map in maps)
    quality = quality.merge(
        run_quality(bin_quality, labels), *_remarks(bin_quality, labels)
    )
    reduction = replace(
        bare_reduction(quality, _recipe(maps, labels, q_array, seconds)),
        two_time=maps,
        bin_quality=bin_quality,
        q_bins=labels,
        q_values=q_array,
        phi_values=phi_array,
        frame_time=seconds,
        n_frames=maps.shape[-1],
        fits=(RelaxationFit.unknown(),) * len(maps),
    )
    if maps.shape[-1] == maps.shape[-2]:
        reduction = _with_g2_of_maps(reduction)
    return replace(reduction, duration=perf_counter() - started)


def _recipe(
    maps: NDArray[np.float32],
    labels: NDArray[np.int64],
    q_values: Floats,
    frame_time: float | None,
) -> dict[str, Any]:
    return {
        "kind": "maps",
        "two_time": _sha256(maps),
        "q_bins": labels.tolist(),
        "q_values": [None if np.isnan(q) else float(q) for q in q_values],
        "frame_time": frame_time,
        "estimators": ESTIMATORS,
    }


def _as_float32(maps: NDArray[np.generic]) -> NDArray[np.float32]:
    if maps.dtype.kind not in "biuf":
        raise TwoTimeError(f"two_time must hold real numbers, got {maps.dtype}")
    # What float32 cannot hold becomes infinite, which the quality gate names.
    with np.errstate(over="ignore"):
        return maps.astype(np.float32, copy=False)


def _remarks(
    bin_quality: tuple[Quality, ...], q_bins: NDArray[np.int64]
) -> list[Quality]:
    """Return what was found in usable bins, as remarks about the run."""
    return [
        Quality.remark(flag, reason if len(q_bins) == 1 else f"q-bin {label}: {reason}")
        for label, quality in zip(q_bins, bin_quality, strict=True)
        if quality.ok
        for flag, reason in zip(quality.flags, quality.reasons, strict=True)
    ]


def _bin_labels(q_bins: ArrayLike | None, n_q_bins: int) -> NDArray[np.int64]:
    if q_bins is None:
        return np.arange(1, n_q_bins + 1)
    labels = np.asarray(q_bins)
    if labels.shape != (n_q_bins,) or labels.dtype.kind not in "iu":
        raise TwoTimeError(
            f"q_bins must be {n_q_bins} integers, one for each map, got "
            f"{labels.dtype} of shape {labels.shape}"
        )
    if len(np.unique(labels)) != n_q_bins:
        raise TwoTimeError(f"q_bins must differ, got {labels.tolist()}")
    return labels.astype(np.int64)


def _bin_values(name: str, values: ArrayLike | None, n_q_bins: int) -> Floats:
    if values is None:
        return np.full(n_q_bins, np.nan)
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (n_q_bins,):
        raise TwoTimeError(f"{name} has shape {array.shape}, there are {n_q_bins} maps")
    return array


def _sha256(maps: NDArray[np.float32]) -> str:
    return hashlib.sha256(
        str(maps.shape).encode() + maps.astype("<f4").tobytes()
    ).hexdigest()


def _with_g2_of_maps(reduction: Reduction) -> Reduction:
    """Fill in g2 and the fits of the bins that are usable."""
    g2 = g2_from_two_time(reduction.two_time)
    g2_err = np.full(g2.shape, np.nan)
    lags = np.arange(1, reduction.n_frames)
    fits = list(reduction.fits)
    for index, quality in enumerate(reduction.bin_quality):
        if quality.ok:
            g2_err[index] = g2_err_of_map(reduction.two_time[index], g2[index])
        if quality.ok and reduction.frame_time is not None:
            fits[index] = fit_relaxation(
                lags * reduction.frame_time,
                g2[index],
                # Weights: so many elements were averaged at each lag.
                (reduction.n_frames - lags) ** -0.5,
                absolute_errors=False,
            )
    return replace(reduction, lags=lags, g2=g2, g2_err=g2_err, fits=tuple(fits))
