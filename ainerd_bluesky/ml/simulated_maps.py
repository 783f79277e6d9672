"""Simulated maps to learn from: every word, every photon budget, known truth."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import (  # type: ignore[import-untyped] # comes with scikit-learn
    threadpool_limits,
)

from ainerd_bluesky.ml.maps import SAMPLE_SIZE, to_sample
from ainerd_bluesky.vocabulary import DYNAMICS, Label
from ainerd_bluesky.xpcs.simulate.dynamics import Dynamics, draw_dynamics, g1
from ainerd_bluesky.xpcs.simulate.speckle import simulate_counts
from ainerd_bluesky.xpcs.two_time.maps import two_time_map

__all__ = [
    "MAX_BLIND_SNR",
    "MIN_SEEN_SNR",
    "MapSet",
    "Scan",
    "draw_hidden",
    "signal_to_noise",
    "simulate_map_set",
]

MAX_BLIND_SNR = 2.0
"""Maps below this are called `no-signal`, whatever their dynamics."""

MIN_SEEN_SNR = 8.0
"""Maps above this are called by their dynamics; none is drawn in between."""

_N_THREADS = 2
_N_FRAMES = (64, 96, 128, 192, 256, 384, 512)
_N_FRAMES_SHARE = (0.34, 0.22, 0.18, 0.11, 0.09, 0.04, 0.02)


@dataclass(frozen=True, eq=False)
class MapSet:
    """Samples with their truth.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_samples, size, size)
        Noisy maps as `to_sample` gives them.
    clean : ndarray of float32, shape (n_samples, size, size)
        The square of g1 behind each, 0 to 1; zero for `no-signal`.
    labels : ndarray of str, shape (n_samples,)
        Word of each.
    signal_to_noise : ndarray of float64, shape (n_samples,)
        See :func:`signal_to_noise`.
    """

    samples: NDArray[np.float32]
    clean: NDArray[np.float32]
    labels: NDArray[np.str_]
    signal_to_noise: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True)
class Scan:
    """What decides how noisy a map is.

    Parameters
    ----------
    n_frames, n_pixels, n_modes : int
        Frames of the scan, pixels of the q-bin, modes of the beam.
    mean_photons : float
        Expected photons per pixel and frame.
    """

    n_frames: int
    n_pixels: int
    n_modes: int
    mean_photons: float


def signal_to_noise(
    clean: NDArray[np.float32],
    *,
    n_frames: int,
    n_pixels: int,
    n_modes: int,
    mean_photons: float,
) -> float:
    r"""Compute how well the best possible filter detects a map's contrast.

    Parameters
    ----------
    clean : ndarray of shape (size, size)
        Square of g1 as a sample.
    n_frames, n_pixels, n_modes : int
        Frames of the scan, pixels of the q-bin, modes of the beam.
    mean_photons : float
        Expected photons per pixel and frame.

    Returns
    -------
    float
        Signal to noise of the matched filter, in standard deviations.

    Notes
    -----
    With the contrast beta = 1 / n_modes and one entry's noise
    sigma = (1/mean_photons + beta) / sqrt(n_pixels), averaged over the frames that
    share a sample row,

    .. math:: \mathrm{SNR} = \frac{\beta}{\sigma}
              \sqrt{\textstyle\sum_{i<j} g_1^4(i, j)}\,\max(1, n_\mathrm{frames}/size)
    """
    size = len(clean)
    beta = 1.0 / n_modes
    noise = (1.0 / mean_photons + beta) / np.sqrt(n_pixels)
    strength = np.sqrt((np.triu(clean, 1) ** 2).sum(dtype=np.float64))
    return float(beta / noise * strength * max(1.0, n_frames / size))


def simulate_map_set(
    n_samples: int,
    seed: np.random.SeedSequence,
    *,
    size: int = SAMPLE_SIZE,
    words: tuple[Label, ...] = DYNAMICS,
    n_frames: tuple[int, ...] | None = None,
    progress: Callable[[int], None] | None = None,
) -> MapSet:
    """Draw samples, every word equally often.

    Each map is a scan of its own: 64 to 512 frames, 150 to 1500 pixels, 1 to 5 modes
    and 0.05 to 5 photons per pixel and frame, so that no two samples share noise.

    Parameters
    ----------
    n_samples : int
        How many.
    seed : numpy.random.SeedSequence
        The same seed gives the same samples, whatever the order they are made in.
    size : int
        Rows and columns of a sample.
    words : tuple of Label
        Dynamics to draw.
    n_frames : tuple of int, optional
        Lengths of the scans, equally often; unset: 64 to 512, short ones more often.
    progress : callable, optional
        Called with the number of new samples, now and then.

    Returns
    -------
    MapSet
        Going round the vocabulary.
    """
    samples = np.empty((n_samples, size, size), np.float32)
    clean = np.empty((n_samples, size, size), np.float32)
    labels = [words[index % len(words)] for index in range(n_samples)]
    snr = np.empty(n_samples)
    seeds = seed.spawn(n_samples)

    def fill(index: int) -> None:
        rng = np.random.default_rng(seeds[index])
        drawn = _draw_map(labels[index], size, rng, n_frames)
        samples[index], clean[index], snr[index] = drawn

    # Small matrices: BLAS threads would only wait for each other.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(_N_THREADS) as pool:
        for _ in pool.map(fill, range(n_samples)):
            if progress is not None:
                progress(1)
    values = np.array([label.value for label in labels], dtype=np.str_)
    return MapSet(samples, clean, values, snr)


def _draw_map(
    label: Label,
    size: int,
    rng: np.random.Generator,
    n_frames: tuple[int, ...] | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Draw scenes until the photons suffice or, for `no-signal`, do not."""
    is_blind = label == Label.NO_SIGNAL
    while True:
        scan = _draw_scan(rng, n_frames)
        kind = draw_hidden(rng) if is_blind else label
        dynamics = draw_dynamics(kind, rng)
        # What photons are needed shows in a map of few frames just as well.
        clean = to_sample(_correlation(dynamics, 2 * size) ** 2, size)
        snr = signal_to_noise(clean, **vars(scan)) if kind != Label.NO_SIGNAL else 0.0
        if (snr < MAX_BLIND_SNR) if is_blind else (snr > MIN_SEEN_SNR):
            break
    counts = simulate_counts(
        _correlation(dynamics, scan.n_frames),
        scan.n_pixels,
        n_modes=scan.n_modes,
        mean_photons=scan.mean_photons,
        rng=rng,
    )
    sample = to_sample(two_time_map(counts), size)
    return sample, np.zeros_like(clean) if is_blind else clean, snr


def draw_hidden(rng: np.random.Generator) -> Label:
    """Draw what may hide below the noise: nothing at all, or any dynamics.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    Label
        Mostly of a scene that photons could show.
    """
    return Label.NO_SIGNAL if rng.random() < 0.02 else DYNAMICS[rng.integers(8)]


def _correlation(dynamics: Dynamics, n_frames: int) -> NDArray[np.float32]:
    return g1(dynamics, np.linspace(0.0, 1.0, n_frames))


def _draw_scan(rng: np.random.Generator, n_frames: tuple[int, ...] | None) -> Scan:
    chosen = (
        rng.choice(_N_FRAMES, p=_N_FRAMES_SHARE)
        if n_frames is None
        else rng.choice(n_frames)
    )
    return Scan(
        n_frames=int(chosen),
        n_pixels=int(np.exp(rng.uniform(np.log(150), np.log(1500)))),
        n_modes=int(rng.integers(1, 6)),
        mean_photons=float(np.exp(rng.uniform(np.log(0.05), np.log(5.0)))),
    )
