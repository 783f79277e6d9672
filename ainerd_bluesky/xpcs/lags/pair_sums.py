"""Sums of products of frames, at the delays and ages of a plan, by blocks of pixels."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ainerd_bluesky.xpcs.data.series import Counts
from ainerd_bluesky.xpcs.lags.multi_tau import PairPlan, coarser
from ainerd_bluesky.xpcs.machine.acceleration import compiled_kernels

__all__ = ["PairSums", "lag_products", "pair_sums"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Fewer pixels waste the vector units, more of them the cache. The sum of so many
# 16-bit counts is below 2^24.
_PIXELS_AT_ONCE = 256
_EXACT_IN_FLOAT32 = 2**24
# Of transposed counts: they should stay in the second-level cache.
_BUFFER_BYTES = 2**20
# One cache line of float32.
_LINE = 16


@dataclass(frozen=True, eq=False)
class PairSums:
    """Sums over the pixels of each group.

    Parameters
    ----------
    products : ndarray of float64, shape (n_groups, n_lags, n_ages)
        Sum of I(t1) I(t2) over pixels and pairs of frames.
    sums : ndarray or sparse array of float64, shape (n_groups, n_frames)
        Sum of I(t) over pixels; sparse where it was made of events.
    """

    products: Floats
    sums: Floats | csr_array


def pair_sums(  # noqa: PLR0913 - keyword-only, each one of another kind
    counts: Counts,
    plan: PairPlan,
    groups: Integers,
    *,
    n_groups: int,
    is_good: NDArray[np.bool_],
    weights: Floats | None = None,
    engine: str = "auto",
) -> PairSums:
    """Sum products of frames over the pixels of each group.

    Parameters
    ----------
    counts : ndarray of shape (n_frames, n_pixels)
        Photons.
    plan : PairPlan
        Delays and ages.
    groups : ndarray of int64, shape (n_pixels,)
        Group of each pixel, from 0.
    n_groups : int
        Number of groups.
    is_good : ndarray of bool, shape (n_frames,)
        Frames that are not good stand as zeros, also inside summed frames.
    weights : ndarray of float64, shape (n_pixels,), optional
        Factor of the counts of each pixel.
    engine : str
        "numpy" does without compiled kernels.

    Returns
    -------
    PairSums
        Exact for whole numbers without weights.
    """
    job = _Job(
        plan=plan,
        groups=groups,
        is_good=is_good,
        weights=np.ones(counts.shape[1]) if weights is None else weights,
        dtype=_exact_dtype(counts, is_weighted=weights is not None),
    )
    products = np.zeros((n_groups, *plan.shape))
    sums = np.zeros((n_groups, plan.n_frames))
    kernels = None if engine == "numpy" else compiled_kernels()
    if kernels is None:
        _add_in_numpy(counts, job, products, sums)
    elif plan.n_frames > 0:
        _add_compiled(counts, job, products, sums, kernels)
    return PairSums(products, sums)


def lag_products(first: Floats, second: Floats, plan: PairPlan) -> Floats:
    """Sum products of two sets of series.

    Parameters
    ----------
    first, second : ndarray of float64, shape (..., n_frames)
        Series whose values at the earlier and at the later time are multiplied.
    plan : PairPlan
        Delays and ages.

    Returns
    -------
    ndarray of float64, shape (..., n_lags, n_ages)
        Sums over the pairs of frames of each delay and age.
    """
    total = np.zeros((*first.shape[:-1], *plan.shape))
    level, is_one = 0, second is first
    for lag, (wanted, step) in enumerate(zip(plan.levels, plan.steps, strict=True)):
        while level < wanted:
            first, level = coarser(first), level + 1
            second = first if is_one else coarser(second)
        for age, (start, stop) in enumerate(plan.ranges(lag)):
            total[..., lag, age] = np.einsum(
                "...t,...t->...",
                first[..., start:stop],
                second[..., start + step : stop + step],
            )
    return total


@dataclass(frozen=True, eq=False)
class _Job:
    """What is to be summed, and the floats that hold the sum of a frame exactly."""

    plan: PairPlan
    groups: Integers
    is_good: NDArray[np.bool_]
    weights: Floats
    dtype: type[np.floating]


def _exact_dtype(counts: Counts, *, is_weighted: bool) -> type[np.floating]:
    if is_weighted or counts.dtype.kind not in "biu":
        return np.float64
    if counts.dtype.kind != "i" and counts.dtype.itemsize <= 2:
        return np.float32
    is_small = counts.min(initial=0) >= 0 and counts.max(initial=0) < 2**16
    return np.float32 if is_small else np.float64


def _add_in_numpy(counts: Counts, job: _Job, products: Floats, sums: Floats) -> None:
    for start in range(0, counts.shape[1], _PIXELS_AT_ONCE):
        columns = slice(start, start + _PIXELS_AT_ONCE)
        frames = counts[:, columns].astype(job.dtype)
        frames[~job.is_good] = 0
        present, inverse = np.unique(job.groups[columns], return_inverse=True)
        weights = job.weights[columns, None].astype(job.dtype)
        membership = (inverse[:, None] == np.arange(len(present))) * weights
        sums[present] += (frames @ membership).T
        pixel_products = _pixel_sums(frames, job.plan)
        membership *= weights
        products[present] += np.tensordot(membership.T, pixel_products, 1)


def _add_compiled(
    counts: Counts, job: _Job, products: Floats, sums: Floats, kernels: ModuleType
) -> None:
    n_frames, n_pixels = counts.shape
    plan, limit = job.plan, _EXACT_IN_FLOAT32 if job.dtype == np.float32 else np.inf
    # An odd number of cache lines from row to row: powers of two would let all rows
    # compete for the same few lines.
    stride = (n_frames // _LINE | 1) * _LINE + 2 * _LINE * (n_frames % _LINE > 0)
    n_rows = np.clip(_BUFFER_BYTES // (4 * stride), 16, _PIXELS_AT_ONCE)
    series = np.empty((int(n_rows), stride), job.dtype)
    for start in range(0, n_pixels, len(series)):
        columns = slice(start, start + len(series))
        part = counts[:, columns].T
        series[: len(part), :n_frames] = part
        series[: len(part), :n_frames][:, ~job.is_good] = 0
        kernels.add_pair_sums(
            series,
            plan.levels,
            plan.steps,
            plan.edges,
            job.groups[columns],
            job.weights[columns],
            limit,
            products,
            sums,
        )


def _pixel_sums(frames: NDArray[Any], plan: PairPlan) -> Floats:
    """Return sums of products of each pixel, shape (n_pixels, n_lags, n_ages)."""
    total = np.zeros((*plan.shape, frames.shape[1]))
    # A matrix product adds up in a fraction of the time that a sum takes.
    pixel_sum = float((np.ones(len(frames), frames.dtype) @ frames).max(initial=0))
    level = 0
    frames = _exact(frames, pixel_sum)
    for lag, (wanted, step) in enumerate(zip(plan.levels, plan.steps, strict=True)):
        while level < wanted:
            frames, level = _exact(coarser(frames, 0), pixel_sum), level + 1
        for age, (start, stop) in enumerate(plan.ranges(lag)):
            total[lag, age] = np.einsum(
                "tp,tp->p", frames[start:stop], frames[start + step : stop + step]
            )
    return np.moveaxis(total, -1, 0)


def _exact(frames: NDArray[Any], pixel_sum: float) -> NDArray[Any]:
    """Return frames in float64 where a sum of products may not fit into float32."""
    # No sum of products of a pixel is above its largest count times all its counts.
    if frames.dtype == np.float32 and frames.max(initial=0) * pixel_sum >= (
        _EXACT_IN_FLOAT32
    ):
        return frames.astype(np.float64)
    return frames
