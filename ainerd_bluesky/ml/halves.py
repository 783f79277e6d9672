"""A facility's own maps: two halves of each with independent photon noise."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import ConfigError, TwoTimeError
from ainerd_bluesky.ml.maps import MIN_FRAMES, SAMPLE_SIZE, to_sample
from ainerd_bluesky.ml.measured_maps import is_held_out

__all__ = [
    "LEAST_FRAMES",
    "OwnMaps",
    "Part",
    "half_samples",
    "part_of",
    "require_runs",
]

Floats = NDArray[np.float32]

Part: TypeAlias = Literal["learn", "watch", "judge"]
"""To learn from, to tell when to stop, to compare models on."""

LEAST_FRAMES = 2 * MIN_FRAMES
"""Rows of the smallest map whose halves can be classified."""

_N_FOLDS = 5
_LEAST_RUNS: dict[Part, int] = {"learn": 6, "watch": 2, "judge": 3}
_USUALLY_ENOUGH = 30


@dataclass(frozen=True, eq=False)
class OwnMaps:
    """Maps of a facility without any truth, as samples.

    Parameters
    ----------
    whole : ndarray of float32, shape (n_maps, size, size)
        The maps.
    halves : ndarray of float32, shape (2, n_maps, size, size)
        The same from even frames alone and from odd frames alone.
    run_uids : ndarray of str, shape (n_maps,)
        Run of each.
    """

    whole: Floats
    halves: Floats
    run_uids: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.whole)

    @property
    def runs(self) -> NDArray[np.int64]:
        """Number of the run of each map, from 0."""
        return np.unique(self.run_uids, return_inverse=True)[1]

    @property
    def n_runs(self) -> int:
        """Runs that the maps are of."""
        return len(np.unique(self.run_uids))

    def part(self, part: Part) -> "OwnMaps":
        """Return the maps of the runs of one part.

        Parameters
        ----------
        part : {"learn", "watch", "judge"}
            See :func:`part_of`.

        Returns
        -------
        OwnMaps
            Maybe none.
        """
        is_in = np.array([part_of(str(uid)) == part for uid in self.run_uids], bool)
        return OwnMaps(self.whole[is_in], self.halves[:, is_in], self.run_uids[is_in])


def part_of(run_uid: str) -> Part:
    """Tell what the maps of a run are for: one run in five judges, and never teaches.

    Parameters
    ----------
    run_uid : str
        Of the run.

    Returns
    -------
    {"learn", "watch", "judge"}
        Decided by a hash of the uid alone, so that it is the same for ever: what
        judges one model has not taught an earlier one.

    Examples
    --------
    >>> [part_of(uid) for uid in ("run-1", "run-17", "run-2")]
    ['learn', 'watch', 'judge']
    """
    if is_held_out(run_uid):
        return "judge"
    is_watched = hashlib.sha256(run_uid.encode()).digest()[1] % _N_FOLDS == 0
    return "watch" if is_watched else "learn"


def require_runs(run_uids: Iterable[str]) -> None:
    """Refuse to train on so few runs that nothing could be learned or told.

    Parameters
    ----------
    run_uids : iterable of str
        Of the runs; each may come several times.

    Raises
    ------
    ConfigError
        If a part has too few runs.
    """
    distinct = set(run_uids)
    there = Counter(part_of(uid) for uid in distinct)
    if any(there[part] < least for part, least in _LEAST_RUNS.items()):
        found = ", ".join(f"{there[part]} to {part}" for part in _LEAST_RUNS)
        needed = ", ".join(f"{least} to {part}" for part, least in _LEAST_RUNS.items())
        raise ConfigError(
            f"{len(distinct)} runs with maps are too few: {found} (decided by their "
            f"uids), needed are {needed}, which about {_USUALLY_ENOUGH} runs have: "
            "widen the query"
        )


def half_samples(two_time: NDArray[np.floating]) -> Floats:
    """Make samples of a map and of its halves.

    A map of even frames and one of odd frames show the same dynamics at the same q
    over the same time, and no photon is counted in both.

    Parameters
    ----------
    two_time : ndarray of shape (n_frames, n_frames)
        At least 64 frames.

    Returns
    -------
    ndarray of float32, shape (3, size, size)
        The whole, even frames, odd frames.

    Raises
    ------
    TwoTimeError
        If the map is too small for halves, or is none.
    """
    if len(two_time) < LEAST_FRAMES:
        raise TwoTimeError(
            f"two_time has {len(two_time)} frames, halves need {LEAST_FRAMES}"
        )
    parts = (two_time, two_time[::2, ::2], two_time[1::2, 1::2])
    return np.stack([to_sample(part, SAMPLE_SIZE) for part in parts])
