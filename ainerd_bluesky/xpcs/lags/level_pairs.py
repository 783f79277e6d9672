"""Sums over pairs of events at the delays and ages of a plan."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ainerd_bluesky.xpcs.data.pixel_events import PixelEvents
from ainerd_bluesky.xpcs.lags.multi_tau import PairPlan
from ainerd_bluesky.xpcs.lags.pair_sums import PairSums
from ainerd_bluesky.xpcs.machine.acceleration import compiled_kernels

__all__ = ["LevelPairs", "event_pair_sums", "level_pairs"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class LevelPairs(NamedTuple):
    """Pairs of events of one level, merged into its frames; arrays of (n_pairs,)."""

    pixels: Integers
    """Pixel of each pair."""
    lags: Integers
    """Index of its delay in the plan."""
    times: Integers
    """Its earlier frame, in frames of the level."""
    products: Floats
    """Product of its values."""


def level_pairs(events: PixelEvents, plan: PairPlan) -> Iterator[LevelPairs]:
    """Find the pairs of events that a plan multiplies.

    Parameters
    ----------
    events : PixelEvents
        In frames.
    plan : PairPlan
        Delays.

    Yields
    ------
    LevelPairs
        Several of each level; each pair of summed frames once.
    """
    level = 0
    for wanted in np.unique(plan.levels):
        while level < wanted:
            events, level = events.coarser(), level + 1
        pixels = events.pixels
        lags = np.flatnonzero(plan.levels == wanted)
        # The steps of a level follow one another.
        lowest, highest = plan.steps[lags[[0, -1]]].tolist()
        for first, later in events.pairs(highest):
            steps = events.times[later] - events.times[first]
            is_wanted = steps >= lowest
            early, late = first[is_wanted], later[is_wanted]
            yield LevelPairs(
                pixels[early],
                lags[0] + steps[is_wanted] - lowest,
                events.times[early],
                events.values[early] * events.values[late],
            )


def event_pair_sums(
    events: PixelEvents,
    plan: PairPlan,
    groups: Integers,
    *,
    n_groups: int,
    weights: Floats | None = None,
    engine: str = "auto",
) -> PairSums:
    """Sum products of frames over the pixels of each group, from events.

    Events are merged where frames are summed, so that a pixel never has more of them
    than a level has frames: the time grows with the events, whatever pixel they are in.

    Parameters
    ----------
    events : PixelEvents
        Photons in good frames.
    plan : PairPlan
        Delays and ages.
    groups : ndarray of int64, shape (n_pixels,)
        Group of each pixel, from 0.
    n_groups : int
        Number of groups.
    weights : ndarray of float64, shape (n_pixels,), optional
        Factor of the counts of each pixel.
    engine : str
        "numpy" does without compiled kernels.

    Returns
    -------
    PairSums
        What `pair_sums` gives for the same photons; its sums of frames are sparse.
    """
    products = np.zeros((n_groups, *plan.shape))
    weights = np.ones(len(groups)) if weights is None else weights
    kernels = None if engine == "numpy" else compiled_kernels()
    if kernels is None:
        _add_in_numpy(events, plan, groups, weights, products)
    else:
        kernels.add_level_pairs(
            events.times,
            events.values,
            events.starts,
            plan.n_frames,
            plan.levels,
            plan.steps,
            plan.edges,
            groups,
            weights,
            products,
        )
    pixels = events.pixels
    sums = csr_array(
        (events.values * weights[pixels], (groups[pixels], events.times)),
        shape=(n_groups, plan.n_frames),
    )
    return PairSums(products, sums)


def _add_in_numpy(
    events: PixelEvents,
    plan: PairPlan,
    groups: Integers,
    weights: Floats,
    products: Floats,
) -> None:
    for pairs in level_pairs(events, plan):
        later_ages = plan.edges[pairs.lags, 1:-1] <= pairs.times[:, None]
        place = (groups[pairs.pixels], pairs.lags, later_ages.sum(axis=1))
        np.add.at(products, place, pairs.products * weights[pairs.pixels] ** 2)
