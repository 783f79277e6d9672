"""Simulated scenes, each seen twice: the same dynamics at another q, in other noise."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import (  # type: ignore[import-untyped] # comes with scikit-learn
    threadpool_limits,
)

from ainerd_bluesky.ml.maps import to_sample
from ainerd_bluesky.ml.simulated_maps import (
    MAX_BLIND_SNR,
    MIN_SEEN_SNR,
    Scan,
    draw_hidden,
    signal_to_noise,
)
from ainerd_bluesky.vocabulary import DYNAMICS, Label
from ainerd_bluesky.xpcs.simulate.dynamics import Dynamics, draw_dynamics, g1
from ainerd_bluesky.xpcs.simulate.speckle import simulate_counts
from ainerd_bluesky.xpcs.two_time.maps import two_time_map

__all__ = ["SceneSet", "simulate_scenes"]

Floats = NDArray[np.float32]

_N_THREADS = 2
_N_VIEWS = 2
# Short scans and few pixels: cheap, and as noisy as long ones of weaker speckle.
_N_FRAMES = (64, 96, 128, 192)
_N_FRAMES_SHARE = (0.6, 0.28, 0.08, 0.04)
_PIXELS = (150, 900)
_PHOTONS = (0.05, 5.0)
_MAX_MODES = 5
_LEAST_WINDOW = 0.8
_MAX_LOG_Q_RATIO = 0.35
_N_SCANS = 25
_EMPTY_SHARE = 0.3


@dataclass(frozen=True, eq=False)
class SceneSet:
    """Pairs of samples with their truth.

    Parameters
    ----------
    samples : ndarray of float32, shape (n_scenes, 2, size, size)
        Noisy maps as `to_sample` gives them.
    clean : ndarray of float32, shape (n_scenes, 2, size, size)
        The square of g1 behind each, 0 to 1; zero for `no-signal`.
    labels : ndarray of str, shape (n_scenes,)
        Word of each scene.
    """

    samples: Floats
    clean: Floats
    labels: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.samples)


def simulate_scenes(
    n_scenes: int,
    seed: np.random.SeedSequence,
    *,
    size: int,
    words: tuple[Label, ...] = DYNAMICS,
    progress: Callable[[int], None] | None = None,
) -> SceneSet:
    """Draw scenes, every word equally often, and look at each twice.

    Both views are four fifths of the scan or more, at values of q that differ by a
    factor of two at most, each with photons, modes and pixels of its own.

    Parameters
    ----------
    n_scenes : int
        How many.
    seed : numpy.random.SeedSequence
        The same seed gives the same scenes, whatever the order they are made in.
    size : int
        Rows and columns of a sample.
    words : tuple of Label
        Dynamics to draw.
    progress : callable, optional
        Called with the number of new scenes, now and then.

    Returns
    -------
    SceneSet
        Going round the words.
    """
    shape = (n_scenes, _N_VIEWS, size, size)
    samples, clean = np.empty(shape, np.float32), np.empty(shape, np.float32)
    labels = [words[index % len(words)] for index in range(n_scenes)]
    seeds = seed.spawn(n_scenes)

    def fill(index: int) -> None:
        rng = np.random.default_rng(seeds[index])
        for view, pair in enumerate(_draw_scene(labels[index], size, rng)):
            samples[index, view], clean[index, view] = pair

    # Small matrices: BLAS threads would only wait for each other.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(_N_THREADS) as pool:
        for _ in pool.map(fill, range(n_scenes)):
            if progress is not None:
                progress(1)
    return SceneSet(samples, clean, np.array([str(label) for label in labels]))


def _draw_scene(
    label: Label, size: int, rng: np.random.Generator
) -> list[tuple[Floats, Floats]]:
    """Draw dynamics until photons can be found that show, or hide, both views."""
    is_blind = label == Label.NO_SIGNAL
    while True:
        is_empty = is_blind and rng.random() < _EMPTY_SHARE
        kind = draw_hidden(rng) if is_blind and not is_empty else label
        dynamics = draw_dynamics(kind, rng)
        views = [
            _draw_view(dynamics, size, rng, is_blind=is_blind) for _ in range(_N_VIEWS)
        ]
        seen = [view for view in views if view is not None]
        if len(seen) == _N_VIEWS:
            return seen


def _draw_view(
    dynamics: Dynamics, size: int, rng: np.random.Generator, *, is_blind: bool
) -> tuple[Floats, Floats] | None:
    window = rng.uniform(_LEAST_WINDOW, 1.0)
    start = rng.uniform(0.0, 1.0 - window)
    q_ratio = np.exp(rng.uniform(-_MAX_LOG_Q_RATIO, _MAX_LOG_Q_RATIO))

    def correlation(n_frames: int) -> Floats:
        time = np.linspace(start, start + window, n_frames)
        return g1(dynamics, time, q_ratio)

    clean = to_sample(correlation(2 * size) ** 2, size)
    for _ in range(_N_SCANS):
        scan = _draw_scan(rng)
        has_signal = dynamics.label != Label.NO_SIGNAL
        snr = signal_to_noise(clean, **vars(scan)) if has_signal else 0.0
        if (snr < MAX_BLIND_SNR) if is_blind else (snr > MIN_SEEN_SNR):
            break
    else:
        return None
    counts = simulate_counts(
        correlation(scan.n_frames),
        scan.n_pixels,
        n_modes=scan.n_modes,
        mean_photons=scan.mean_photons,
        rng=rng,
    )
    sample = to_sample(two_time_map(counts), size)
    return sample, np.zeros_like(clean) if is_blind else clean


def _draw_scan(rng: np.random.Generator) -> Scan:
    return Scan(
        n_frames=int(rng.choice(_N_FRAMES, p=_N_FRAMES_SHARE)),
        n_pixels=int(np.exp(rng.uniform(*np.log(_PIXELS)))),
        n_modes=int(rng.integers(1, _MAX_MODES + 1)),
        mean_photons=float(np.exp(rng.uniform(*np.log(_PHOTONS)))),
    )
