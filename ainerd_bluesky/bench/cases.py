"""Simulated measurements that correlators are compared on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CASES",
    "QUICK_CASES",
    "Case",
    "Photons",
    "Series",
    "detector_file",
    "load_photons",
    "load_series",
    "make_data",
    "simulate",
    "small",
]

_BLOCK_FRAMES = 64
_N_STATIC_BINS = 10
_N_MODES = 2
_BEAM_NOISE = 0.1
_EIGER_1M = (1030, 1065)


@dataclass(frozen=True)
class Case:
    """One simulated measurement.

    Parameters
    ----------
    name : str
        Letter of the published comparison, or a word.
    n_frames, n_pixels, n_q_bins : int
        Length of the series, pixels of all bins together, and bins.
    mean_photons : float
        Photons per pixel and frame.
    kind : str
        `series` of dense counts, `photons` as events, or a compressed detector `file`.
    """

    name: str
    n_frames: int
    n_pixels: int
    n_q_bins: int
    mean_photons: float
    kind: str = "series"

    @cached_property
    def columns(self) -> list[slice]:
        """Pixels of each q-bin in turn."""
        edges = np.linspace(0, self.n_pixels, self.n_q_bins + 1).astype(int)
        return [slice(start, stop) for start, stop in pairwise(edges)]

    @cached_property
    def static_bins(self) -> NDArray[np.int64]:
        """Static bin of each pixel, ten in each q-bin, shape (n_pixels,)."""
        labels = np.empty(self.n_pixels, np.int64)
        for index, pixels in enumerate(self.columns):
            n_pixels = pixels.stop - pixels.start
            ring = np.arange(n_pixels) * _N_STATIC_BINS // n_pixels
            labels[pixels] = index * _N_STATIC_BINS + ring + 1
        return labels

    @cached_property
    def roi_map(self) -> NDArray[np.int64]:
        """Label of each pixel of a detector of one row, shape (1, n_pixels)."""
        labels = np.empty((1, self.n_pixels), np.int64)
        for index, pixels in enumerate(self.columns):
            labels[0, pixels] = index + 1
        return labels

    def path(self, folder: Path) -> Path:
        """Return where the data of this case lie in a folder."""
        suffix = {"series": "npy", "photons": "npz", "file": "h5"}[self.kind]
        return folder / f"{self.name}-{self.n_frames}x{self.n_pixels}.{suffix}"


@dataclass(frozen=True)
class Series:
    """Counts in memory, pixels of a q-bin side by side."""

    case: Case
    counts: NDArray[np.uint16]
    """Shape (n_frames, n_pixels)."""

    def blocks(self) -> Iterator[NDArray[np.uint16]]:
        """Yield frames in the order they were taken, 64 at a time."""
        for start in range(0, self.case.n_frames, _BLOCK_FRAMES):
            yield self.counts[start : start + _BLOCK_FRAMES]


@dataclass(frozen=True)
class Photons:
    """Events in memory, in order of frames."""

    case: Case
    frame_index: NDArray[np.int64]
    pixel_index: NDArray[np.int64]
    counts: NDArray[np.uint16]


def _by_name(*cases: Case) -> dict[str, Case]:
    return {case.name: case for case in cases}


CASES = _by_name(
    Case("A", 1000, 50_000, 20, 2.1),
    Case("B", 2000, 100_000, 27, 0.106),
    Case("C", 5000, 36_000, 36, 0.106),
    Case("D", 1000, 500_000, 36, 0.53),
    Case("H", 1000, 50_000, 20, 318.0),
    Case("events", 100_000, 2_300_000, 36, 2.44e-5, "photons"),
    Case("eiger", 600, 1030 * 1065, 1, 0.05, "file"),
    Case("long", 200_000, 512, 1, 0.1),
)
"""Sizes of the published comparison."""

QUICK_CASES = _by_name(
    Case("A", 1000, 10_000, 4, 2.1),
    Case("B", 2000, 8_000, 2, 0.106),
    Case("C", 2500, 4_000, 4, 0.106),
    Case("D", 1000, 20_000, 2, 0.53),
    Case("H", 1000, 10_000, 4, 318.0),
    Case("events", 10_000, 200_000, 4, 1e-4, "photons"),
    Case("eiger", 60, 1030 * 1065, 1, 0.05, "file"),
    Case("long", 32_000, 64, 1, 0.1),
)
"""The same in small: ratios hold, absolute figures do not."""


def small(case: Case) -> Case:
    """Return a case of the same kind on which code warms up in no time."""
    if case.kind == "file":
        return replace(case, name=f"{case.name}-warm", n_frames=2)
    return replace(
        case, name=f"{case.name}-warm", n_frames=128, n_pixels=2048, n_q_bins=2
    )


def simulate(case: Case, seed: int = 0) -> Iterator[NDArray[np.uint16]]:
    r"""Simulate counts of speckle in a beam that flickers by 10 %.

    A pixel keeps its intensity until it draws a new one, so g2 is known.

    Parameters
    ----------
    case : Case
        Its size; the q-bins decay with the square of their index.
    seed : int
        Rules all chance.

    Yields
    ------
    ndarray of uint16, shape (n, n_pixels)
        The next frames, at most 64.

    Notes
    -----
    With intensities of `M` = 2 modes and `r` draws per pixel and frame, some of which
    fall on one pixel,

    .. math:: g_2(l) = 1 + \frac{1}{M} e^{-r l}
    """
    rng = np.random.default_rng(seed)
    scale = case.mean_photons / _N_MODES
    intensity = rng.gamma(_N_MODES, scale, case.n_pixels)
    chances = [0.2 * ((q + 1) / case.n_q_bins) ** 2 for q in range(case.n_q_bins)]
    for start in range(0, case.n_frames, _BLOCK_FRAMES):
        frames = []
        for _ in range(min(_BLOCK_FRAMES, case.n_frames - start)):
            beam = 1 + _BEAM_NOISE * rng.uniform(-1, 1)
            frames.append(rng.poisson(beam * intensity).astype(np.uint16))
            for pixels, chance in zip(case.columns, chances, strict=True):
                n_new = rng.binomial(pixels.stop - pixels.start, chance)
                drawn = rng.integers(pixels.start, pixels.stop, n_new)
                intensity[drawn] = rng.gamma(_N_MODES, scale, n_new)
        yield np.stack(frames)


def make_data(case: Case, folder: Path) -> None:
    """Write the data of a case into a folder, if they are not there.

    Parameters
    ----------
    case : Case
        What to simulate.
    folder : Path
        Exists; the file gets its final name when it is whole.
    """
    path = case.path(folder)
    if path.exists():
        return
    makers = {"series": _write_series, "photons": _write_photons, "file": _write_file}
    unfinished = path.with_name(f"unfinished-{path.name}")
    makers[case.kind](case, unfinished)
    unfinished.rename(path)


def load_series(case: Case, folder: Path) -> Series:
    """Read counts into memory, so that no page of a file is counted as work."""
    return Series(case, np.load(case.path(folder)))


def load_photons(case: Case, folder: Path) -> Photons:
    """Read events into memory."""
    with np.load(case.path(folder)) as file:
        return Photons(case, file["frame_index"], file["pixel_index"], file["counts"])


def detector_file(case: Case, folder: Path) -> Path:
    """Return the compressed file of a detector."""
    return case.path(folder)


def _write_series(case: Case, path: Path) -> None:
    shape = (case.n_frames, case.n_pixels)
    with path.open("wb") as file:
        header = {"descr": "<u2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(file, header)
        for block in simulate(case):
            file.write(block.astype("<u2").tobytes())


def _write_photons(case: Case, path: Path) -> None:
    """Write photons of static speckle: as sparse as an ultrafast detector sees it."""
    rng = np.random.default_rng(0)
    n_photons = rng.poisson(case.mean_photons * case.n_pixels, case.n_frames)
    # A table of intensities stands for the speckle: pixels draw from it.
    table = np.repeat(
        np.arange(case.n_pixels), rng.poisson(rng.gamma(_N_MODES, 1, case.n_pixels))
    )
    frame_index = np.repeat(np.arange(case.n_frames), n_photons)
    pixel_index = rng.choice(table, len(frame_index))
    keys, counts = np.unique(
        frame_index * case.n_pixels + pixel_index, return_counts=True
    )
    with path.open("wb") as file:
        np.savez(
            file,
            frame_index=keys // case.n_pixels,
            pixel_index=keys % case.n_pixels,
            counts=counts.astype(np.uint16),
        )


def _write_file(case: Case, path: Path) -> None:
    with h5py.File(path, "w") as file:
        frames = file.create_dataset(
            "entry/data/data",
            (case.n_frames, *_EIGER_1M),
            np.uint16,
            chunks=(1, *_EIGER_1M),
            compression=hdf5plugin.Bitshuffle(cname="lz4"),
        )
        # Frames are compressed one by one, so that a few different ones are enough.
        block = next(simulate(case)).reshape(-1, *_EIGER_1M)
        for start in range(0, case.n_frames, len(block)):
            frames[start : start + len(block)] = block[: case.n_frames - start]
