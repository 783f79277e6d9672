"""Other correlators at the same work: maps of all q-bins and g2, data in memory.

What a peer does beyond that (mean images, files) is left out, in its favour.
"""

import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ainerd_bluesky.bench.cases import Case, Photons, Series, load_photons
from ainerd_bluesky.bench.job import Job, largest_difference
from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.xpcs import multi_tau_g2
from ainerd_bluesky.xpcs.data.bin_events import BinEvents
from ainerd_bluesky.xpcs.two_time.correlation import correlate_bin
from ainerd_bluesky.xpcs.two_time.event_correlation import events_g2

__all__ = ["PEER_JOBS", "Peer", "find_peers"]

# boost-corr asks for Python 3.12 and for packages of its command line; its classes
# need neither.
_HOW_TO_INSTALL = {
    "boost-corr": "pip install --no-deps --ignore-requires-python boost-corr==0.1.7 "
    "&& pip install tqdm",
    "xpcs-correlator": "pip install xpcs-correlator==0.4.5",
    "scikit-beam": "pip install scikit-beam==0.0.27",
}
# Frames in one of the segments that boost-corr makes g2 of besides: as good as none.
_SEGMENT_FRAMES = 64
# Its default of 36 GB is not compared with the machine, which may kill it.
_BOOST_MEMORY_GB = 8.0
# Lags up to 8 at full resolution, then 10, 12, 14, 16, 20: those of boost-corr.
_LAGS_PER_LEVEL = 8


@dataclass(frozen=True)
class Peer:
    """Another correlator."""

    distribution: str
    version: str
    """Empty if it is not installed."""
    how_to_install: str


def find_peers() -> dict[str, Peer]:
    """Look which peers are installed.

    Returns
    -------
    dict of str to Peer
        By name of the distribution.
    """
    return {
        name: Peer(name, _version(name), command)
        for name, command in _HOW_TO_INSTALL.items()
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


class _BoostTwoTime(Protocol):
    """What is used of the correlator of boost-corr after its work."""

    g2full: Any
    """Tensor (n_frames, n_q_bins); a list while maps are made."""
    g2partial: Any

    def get_twotime_generator(self, **options: int) -> Iterator[dict[str, Any]]:
        """Yield the map of each q-bin, upper triangle, then g2."""


def _boost_two_time(series: Series, smooth: str) -> _BoostTwoTime:
    correlator = pkgutil.resolve_name("boost_corr:TwotimeCorrelator")(
        _boost_bins(series.case),
        frame_num=series.case.n_frames,
        det_size=(1, series.case.n_pixels),
    )
    tensor = pkgutil.resolve_name("torch:from_numpy")
    for block in series.blocks():
        # Its readers hand over signed integers; the bits of a count are the same.
        correlator.process(tensor(block.view(np.int16)))
    correlator.compute_smooth_data(smooth)
    n_segments = series.case.n_frames // _SEGMENT_FRAMES
    for _ in correlator.get_twotime_generator(num_partials=n_segments):
        pass
    worked: _BoostTwoTime = correlator
    return worked


def _boost_bins(case: Case) -> dict[str, list[Any]]:
    static_bins = case.static_bins
    edges = np.flatnonzero(np.diff(static_bins, prepend=0, append=0))
    return {
        "dq_idx": list(range(1, case.n_q_bins + 1)),
        "dq_slc": case.columns,
        "sq_idx": list(range(1, len(edges))),
        "sq_slc": [slice(start, stop) for start, stop in pairwise(edges)],
    }


def _compare_two_time(
    series: Series, correlator: _BoostTwoTime, normalisation: str
) -> Mapping[str, Any]:
    """Compare the first q-bin with our own by the formula of boost-corr."""
    pixels = series.case.columns[0]
    own = correlate_bin(
        series.counts[:, pixels],
        config=CorrelationConfig(
            normalisation=normalisation, estimator="mean-of-ratios"
        ),
        static_bins=series.case.static_bins[pixels],
    )
    g2 = np.asarray(correlator.g2full)[1:, 0]
    correlator.g2full, correlator.g2partial = [], []
    (first,) = next(correlator.get_twotime_generator()).values()
    upper = np.triu_indices(series.case.n_frames, 1)
    return {
        "engine": "fp32",
        "checks": {
            "two-time": largest_difference(first[upper], own.two_time[upper]),
            "g2": largest_difference(g2, own.g2),
        },
    }


@dataclass(frozen=True)
class _MultiTau:
    """Result of a multi-tau correlator, all q-bins."""

    lags: NDArray[np.int64]
    g2: NDArray[np.floating]
    """Shape (n_lags, n_q_bins)."""


def _boost_multi_tau(series: Series) -> _MultiTau:
    correlator = pkgutil.resolve_name("boost_corr:MultitauCorrelator")(
        (1, series.case.n_pixels),
        frame_num=series.case.n_frames,
        max_memory=_BOOST_MEMORY_GB,
    )
    tensor = pkgutil.resolve_name("torch:from_numpy")
    for block in series.blocks():
        correlator.process(tensor(block.view(np.int16)))
    correlator.post_process()
    _, result = correlator.get_results()
    partition = _boost_partition(series.case.roi_map)
    normalised = partition.normalize_multitau(result)
    return _MultiTau(normalised["delay_list"], normalised["g2"])


class _BoostPartition(Protocol):
    """What is used of the q-partition of boost-corr."""

    def normalize_multitau(self, result: Any) -> dict[str, Any]:  # noqa: ANN401 - theirs
        """Return delays and g2."""


def _boost_partition(labels: NDArray[np.int64]) -> _BoostPartition:
    # Static bins are the q-bins: its mean over static bins is another estimator.
    name = "boost_corr.xpcs_aps_8idi.xpcs_qpartitionmap:XpcsQPartitionMap"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "qmap.h5"
        with h5py.File(path, "w") as file:
            file["qmap/dynamic_roi_map"] = labels
            file["qmap/static_roi_map"] = labels
            file["qmap/mask"] = np.ones_like(labels)
        partition: _BoostPartition = pkgutil.resolve_name(name)(path)
    return partition


def _skbeam_multi_tau(series: Series) -> _MultiTau:
    case = series.case
    n_levels = int(np.log2(case.n_frames / _LAGS_PER_LEVEL)) + 1
    correlate = pkgutil.resolve_name("skbeam.core.correlation:multi_tau_auto_corr")
    g2, lags = correlate(
        n_levels, _LAGS_PER_LEVEL, case.roi_map, series.counts[:, None]
    )
    return _MultiTau(np.asarray(lags), g2)


def _compare_multi_tau(series: Series, peer: _MultiTau) -> Mapping[str, Any]:
    """Compare the first q-bin, normalised symmetrically as the peers do."""
    own = multi_tau_g2(
        [series.counts[:, series.case.columns[0]]],
        lags_per_level=_LAGS_PER_LEVEL,
        config=CorrelationConfig(normalisation="symmetric"),
    )
    # Their schemes end at other lags, and scikit-beam starts at 0.
    lags, ours, theirs = np.intersect1d(own.lags, peer.lags, return_indices=True)
    if peer.lags[0] == 0:
        # Its coarser levels are running means of another number of pairs.
        ours, theirs = ours[lags < _LAGS_PER_LEVEL], theirs[lags < _LAGS_PER_LEVEL]
    difference = largest_difference(own.g2[0, ours], peer.g2[theirs, 0])
    return {"checks": {"g2": difference}}


@dataclass(frozen=True)
class _SparsePixels:
    """Events in the compressed columns that xpcs-correlator takes."""

    photons: Photons
    columns: sparse.csc_array
    roi_masks: NDArray[np.bool_]


def _load_sparse_pixels(case: Case, folder: Path) -> _SparsePixels:
    photons = load_photons(case, folder)
    columns = sparse.csc_array(
        (photons.counts, (photons.frame_index, photons.pixel_index)),
        shape=(case.n_frames, case.n_pixels),
    )
    roi_masks = np.zeros((case.n_q_bins, 1, case.n_pixels), np.bool_)
    for index, pixels in enumerate(case.columns):
        roi_masks[index, 0, pixels] = True
    return _SparsePixels(photons, columns, roi_masks)


def _xpcscorr_events(data: _SparsePixels) -> NDArray[np.float64]:
    case = data.photons.case
    correlate = pkgutil.resolve_name("xpcscorr:correlator_sparse_pixel_chunked")
    results = correlate(
        data.columns.data,
        data.columns.indices,
        data.columns.indptr,
        (case.n_frames, 1, case.n_pixels),
        data.roi_masks,
        extra_options={"dask_cluster_type": None},
    )
    g2: NDArray[np.float64] = results.g2
    return g2


def _compare_events(data: _SparsePixels, g2: NDArray[np.float64]) -> Mapping[str, Any]:
    """Compare the first q-bin with our own, normalised per frame."""
    photons = data.photons
    is_inside = photons.pixel_index < photons.case.columns[0].stop
    events = BinEvents(
        photons.frame_index[is_inside],
        photons.pixel_index[is_inside],
        photons.counts[is_inside],
        photons.case.n_frames,
        photons.case.columns[0].stop,
    )
    own, _ = events_g2(events, config=CorrelationConfig(normalisation="frame"))
    return {"engine": "events", "checks": {"g2": largest_difference(own, g2[0])}}


PEER_JOBS = {
    "boost two-time dqmap": Job(
        partial(_boost_two_time, smooth="dqmap"),
        describe=partial(_compare_two_time, normalisation="frame"),
    ),
    "boost two-time sqmap": Job(
        partial(_boost_two_time, smooth="sqmap"),
        describe=partial(_compare_two_time, normalisation="static-frame"),
    ),
    "boost multi-tau": Job(_boost_multi_tau, describe=_compare_multi_tau),
    "skbeam multi-tau": Job(_skbeam_multi_tau, describe=_compare_multi_tau),
    "xpcscorr events g2": Job(
        _xpcscorr_events, _load_sparse_pixels, describe=_compare_events
    ),
}
"""By name, each with the comparison to our own result."""
