"""Two-time maps of published runs, as samples to learn from."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tiled.client.container import Container

from ainerd_bluesky.errors import ConfigError, TwoTimeError
from ainerd_bluesky.ml.halves import LEAST_FRAMES, OwnMaps, half_samples
from ainerd_bluesky.ml.maps import SAMPLE_SIZE
from ainerd_bluesky.vocabulary import Label
from tiled_adapters.embeddings import run_summaries
from tiled_adapters.summaries import Progress

__all__ = ["MEGABYTE", "OwnMapsRead", "RunResult", "read_own_maps", "runs_with_maps"]

MEGABYTE = 1_000_000

_READERS = 2
_SAMPLE_BYTES = 3 * 4 * SAMPLE_SIZE**2
# The map as it came, its symmetric form, and what is made of that on the way.
_COPIES = 8


@dataclass(frozen=True)
class RunResult:
    """One result of one run.

    Parameters
    ----------
    run_uid : str
        The run.
    key : str
        Of the result below it.
    """

    run_uid: str
    key: str


@dataclass(frozen=True, eq=False)
class OwnMapsRead:
    """What was read, and what was not.

    Parameters
    ----------
    maps : OwnMaps
        Samples of whole maps and of their halves.
    n_too_short : int
        Maps left out because their halves would have too few frames.
    n_too_large : int
        Maps left out because they do not fit into the memory allowed.
    n_not_chosen : int
        Maps left out so that all samples fit into the memory allowed.
    """

    maps: OwnMaps
    n_too_short: int
    n_too_large: int
    n_not_chosen: int


@dataclass(frozen=True, eq=False)
class _OfRun:
    samples: list[NDArray[np.float32]]
    n_too_short: int = 0
    n_too_large: int = 0
    n_not_chosen: int = 0


def runs_with_maps(results: Container) -> tuple[RunResult, ...]:
    """List the runs whose current result has two-time maps, in the order of uids.

    Parameters
    ----------
    results : Container
        `/processed/xpcs`, or what was found in it.

    Returns
    -------
    tuple of RunResult
        Refused runs aside.
    """
    runs = [
        RunResult(run.run_uid, run.key)
        for run in run_summaries(results)
        if "two_time" in run.contents and run.label != Label.INVALID
    ]
    return tuple(sorted(runs, key=lambda run: run.run_uid))


def read_own_maps(
    results: Container,
    runs: Sequence[RunResult],
    *,
    max_memory: int = 512 * MEGABYTE,
    progress: Progress | None = None,
) -> OwnMapsRead:
    """Read maps one by one, and keep samples of them only.

    If the samples of all q-bins would need more memory than allowed, each run gives as
    many, spread evenly over its q-bins.

    Parameters
    ----------
    results : Container
        `/processed/xpcs`.
    runs : sequence of RunResult
        From :func:`runs_with_maps`; one or more.
    max_memory : int
        Bytes for samples, and as many for maps that are being read.
    progress : callable, optional
        Told how many runs are done, and of how many.

    Returns
    -------
    OwnMapsRead
        In the order of the runs and of their q-bins.

    Raises
    ------
    ConfigError
        If no map of these runs can be used.
    """
    n_most = max(1, max_memory // _SAMPLE_BYTES // max(1, len(runs)))
    largest = max_memory // _READERS

    def read(run: RunResult) -> _OfRun:
        return _read(results[run.run_uid, run.key], n_most, largest)

    parts = []
    with ThreadPoolExecutor(_READERS) as readers:
        for n_done, part in enumerate(readers.map(read, runs), 1):
            parts.append(part)
            if progress is not None:
                progress(n_done, len(runs))
    samples = [sample for part in parts for sample in part.samples]
    if not samples:
        raise ConfigError(
            f"{len(runs)} runs have no map of {LEAST_FRAMES} frames or more that fits "
            f"into {max_memory // MEGABYTE} MB: widen the query, or allow more memory"
        )
    stacked = np.stack(samples, axis=1)
    uids = np.repeat([run.run_uid for run in runs], [len(p.samples) for p in parts])
    return OwnMapsRead(
        OwnMaps(stacked[0], stacked[1:], uids),
        n_too_short=sum(part.n_too_short for part in parts),
        n_too_large=sum(part.n_too_large for part in parts),
        n_not_chosen=sum(part.n_not_chosen for part in parts),
    )


def _read(result: Container, n_most: int, largest: int) -> _OfRun:
    two_time, bins = result["two_time"], result["bins"].read()
    is_valid = (bins["label"] != Label.INVALID.value).to_numpy()
    valid, n_frames = np.flatnonzero(is_valid), two_time.shape[-1]
    if n_frames < LEAST_FRAMES:
        return _OfRun([], n_too_short=len(valid))
    if n_frames**2 * two_time.dtype.itemsize * _COPIES > largest:
        return _OfRun([], n_too_large=len(valid))
    spread = np.linspace(0, len(valid) - 1, min(n_most, len(valid)))
    samples = []
    for index in valid[np.round(spread).astype(int)]:
        try:
            samples.append(half_samples(two_time[int(index)]))
        except TwoTimeError:  # a half without any finite value
            continue
    return _OfRun(samples, n_not_chosen=len(valid) - len(samples))
