"""Detector movies of a simulated sample."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import PartitionError
from ainerd_bluesky.xpcs.data.roi import QPartition, ring_partition
from ainerd_bluesky.xpcs.simulate.dynamics import Dynamics, g1
from ainerd_bluesky.xpcs.simulate.speckle import simulate_counts

__all__ = [
    "SimulatedDetector",
    "beam_intensity",
    "default_partition",
    "reference_q",
    "simulate_movie",
]

_N_THREADS = 2
_PIXEL_SIZE = 75e-6  # m
_DISTANCE = 5.0  # m
_WAVELENGTH = 1.24  # angstrom
# Radii of the partition as fractions of the detector: q varies by a factor of two.
_INNER_RADIUS, _OUTER_RADIUS = 0.2, 0.45


@dataclass(frozen=True)
class SimulatedDetector:
    """Small-angle detector: beam stop in the middle, a gap, a few bad pixels.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    n_dead, n_hot : int
        Pixels that never count, and pixels that always count far too much.
    seed : int
        Decides which pixels those are.
    """

    shape: tuple[int, int] = (256, 256)
    n_dead: int = 40
    n_hot: int = 10
    seed: int = 0

    @property
    def beam_center(self) -> tuple[float, float]:
        """Row and column of the direct beam."""
        n_rows, n_cols = self.shape
        return (n_rows - 1) / 2, (n_cols - 1) / 2

    @property
    def beam_stop(self) -> NDArray[np.bool_]:
        """True behind the beam stop; shape (n_rows, n_cols)."""
        row, col = self.beam_center
        rows, cols = np.indices(self.shape)
        radius = np.hypot(rows - row, cols - col)
        return np.asarray(radius < 0.08 * min(self.shape))

    @property
    def gap(self) -> NDArray[np.bool_]:
        """True between the two modules; shape (n_rows, n_cols)."""
        gap = np.zeros(self.shape, bool)
        first = int(0.62 * self.shape[0])
        gap[first : first + max(1, self.shape[0] // 64)] = True
        return gap

    @property
    def dead(self) -> NDArray[np.bool_]:
        """True for dead pixels; shape (n_rows, n_cols)."""
        return self._bad_pixels(0, self.n_dead)

    @property
    def hot(self) -> NDArray[np.bool_]:
        """True for hot pixels; shape (n_rows, n_cols)."""
        return self._bad_pixels(self.n_dead, self.n_dead + self.n_hot)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True for pixels that may be used; shape (n_rows, n_cols)."""
        return ~(self.beam_stop | self.gap | self.dead | self.hot)

    def _bad_pixels(self, first: int, last: int) -> NDArray[np.bool_]:
        usable = np.flatnonzero(~(self.beam_stop | self.gap))
        order = np.random.default_rng(self.seed).permutation(usable)
        is_bad = np.zeros(self.shape, bool)
        is_bad.flat[order[first:last]] = True
        return is_bad


def default_partition(
    shape: tuple[int, int] = (256, 256),
    n_q_bins: int = 6,
    *,
    detector: SimulatedDetector | None = None,
) -> QPartition:
    """Divide the simulated detector into rings of equal width.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the detector.
    n_q_bins : int
        Number of rings; the largest q is about twice the smallest.
    detector : SimulatedDetector, optional
        Whose unusable pixels are left out; unset: the usual one of this shape.

    Returns
    -------
    QPartition
        Whole rings.
    """
    detector = detector or SimulatedDetector(shape)
    edges = np.linspace(_INNER_RADIUS, _OUTER_RADIUS, n_q_bins + 1) * min(shape)
    angle = np.arctan(edges * _PIXEL_SIZE / _DISTANCE)
    return ring_partition(
        shape,
        beam_center=detector.beam_center,
        pixel_size=_PIXEL_SIZE,
        distance=_DISTANCE,
        wavelength=_WAVELENGTH,
        q_edges=4 * np.pi / _WAVELENGTH * np.sin(angle / 2),
        mask=detector.mask,
    )


def reference_q(partition: QPartition) -> float:
    """Geometric mean of q: where a simulated sample has its nominal rates."""
    return float(np.exp(np.log(partition.q_values).mean()))


def beam_intensity(
    n_frames: int, fluctuation: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the beam's intensity: slow drift and frame-to-frame flicker.

    Parameters
    ----------
    n_frames : int
        Frames of the scan.
    fluctuation : float
        Standard deviation relative to the mean.
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    ndarray of float64, shape (n_frames,)
        Factor of each frame, never negative, about 1 on average.
    """
    time = np.linspace(0.0, 1.0, n_frames)
    drift = np.sin(2 * np.pi * (rng.uniform(0.3, 1.5) * time + rng.random()))
    flicker = rng.standard_normal(n_frames)
    # sin has the variance 1/2: half of the variance drifts, half flickers.
    change = fluctuation * (drift + np.sqrt(0.5) * flicker)
    return np.asarray(np.maximum(1.0 + change, 0.0))


def simulate_movie(  # noqa: PLR0913 - keyword-only, each one a knob of the experiment
    dynamics: Dynamics,
    partition: QPartition,
    *,
    n_frames: int,
    mean_photons: float = 0.3,
    n_modes: int = 2,
    beam_fluctuation: float = 0.05,
    detector: SimulatedDetector | None = None,
    seed: int | Sequence[int] = 0,
) -> NDArray[np.uint16]:
    """Simulate the frames of one scan.

    Only pixels of the partition get dynamics, with rates that go as q squared; the
    others see a structureless background.

    Parameters
    ----------
    dynamics : Dynamics
        What the sample does, at the geometric mean of the partition's q.
    partition : QPartition
        Which pixels belong to which q.
    n_frames : int
        Frames of the scan.
    mean_photons : float
        Expected photons per pixel and frame.
    n_modes : int
        Modes of the beam; the speckle contrast is one over it.
    beam_fluctuation : float
        Relative standard deviation of the beam's intensity.
    detector : SimulatedDetector, optional
        Unset: the usual one of the partition's shape.
    seed : int or sequence of int
        The same seed gives the same frames, in whatever order the q-bins are done;
        another number of BLAS threads rounds differently and moves single photons.

    Returns
    -------
    ndarray of uint16, shape (n_frames, n_rows, n_cols)
        Photons.

    Raises
    ------
    PartitionError
        If partition and detector differ in shape.
    """
    detector = detector or SimulatedDetector(partition.shape)
    if detector.shape != partition.shape:
        raise PartitionError(
            f"partition has shape {partition.shape}, the detector {detector.shape}"
        )

    root_seed = np.random.SeedSequence(seed)
    rest, *of_bins = map(np.random.default_rng, root_seed.spawn(partition.n_q_bins + 1))
    intensity = beam_intensity(n_frames, beam_fluctuation, rest)
    frames = _background(n_frames, detector, 0.5 * mean_photons, rest)
    pixels = frames.reshape(n_frames, -1)
    time = np.linspace(0.0, 1.0, n_frames)
    q_ratios = partition.q_values / reference_q(partition)

    def fill(index: int) -> None:
        in_bin = np.flatnonzero(partition.roi_map == index + 1)
        pixels[:, in_bin] = simulate_counts(
            g1(dynamics, time, q_ratios[index]),
            len(in_bin),
            n_modes=n_modes,
            mean_photons=mean_photons,
            intensity=intensity,
            rng=of_bins[index],
        )

    with ThreadPoolExecutor(_N_THREADS) as pool:
        list(pool.map(fill, range(partition.n_q_bins)))
    pixels[:, np.flatnonzero(detector.dead)] = 0
    hot = np.flatnonzero(detector.hot)
    pixels[:, hot] = rest.poisson(100.0 * (1.0 + mean_photons), (n_frames, len(hot)))
    return frames


def _background(
    n_frames: int,
    detector: SimulatedDetector,
    mean_photons: float,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    """Photons without speckle; each frame is a window of one long draw."""
    n_pixels = detector.shape[0] * detector.shape[1]
    pool = rng.poisson(mean_photons, 4 * n_pixels).astype(np.uint16)
    starts = rng.integers(0, 3 * n_pixels, n_frames)
    is_lit = ~(detector.beam_stop | detector.gap).ravel()
    frames = np.empty((n_frames, n_pixels), np.uint16)
    for frame, start in zip(frames, starts, strict=True):
        np.multiply(pool[start : start + n_pixels], is_lit, out=frame)
    return frames.reshape(n_frames, *detector.shape)
