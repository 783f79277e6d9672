"""Fixtures for every test: seeded chance and speckle with a known relaxation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240607)


@pytest.fixture
def speckle_counts(
    rng: np.random.Generator,
) -> Callable[..., NDArray[np.uint16]]:
    """Photon counts of speckle with g1 = exp(-t / tau): g2 = 1 + beta exp(-2 t / tau).

    `tau` in frames, infinite for static speckle; 1 / beta is the number of modes.
    """

    def make(
        n_frames: int,
        n_pixels: int,
        tau: float,
        beta: float = 0.5,
        mean_photons: float = 1.0,
        beam: NDArray[np.float64] | None = None,
    ) -> NDArray[np.uint16]:
        n_modes = round(1 / beta)
        kept = np.exp(-1 / tau)
        field = np.empty((n_frames, n_modes, n_pixels), np.complex128)
        noise = rng.standard_normal((2, *field.shape)) / np.sqrt(2)
        field[0] = noise[0, 0] + 1j * noise[1, 0]
        for t in range(1, n_frames):
            step = noise[0, t] + 1j * noise[1, t]
            field[t] = kept * field[t - 1] + np.sqrt(1 - kept**2) * step
        intensity = mean_photons * (np.abs(field) ** 2).mean(axis=1)
        if beam is not None:
            intensity *= beam[:, None]
        counts: NDArray[np.uint16] = rng.poisson(intensity).astype(np.uint16)
        return counts

    return make


@pytest.fixture(scope="session")
def striped_map() -> Callable[..., NDArray[np.float32]]:
    """Make a noisy map of a beam that flickers: its contrast has stripes.

    The contrast decays within `tau` frames; a flicker takes 25 of 128.
    """

    def make(
        rng: np.random.Generator, tau: float, *, n_frames: int = 128, noise: float = 0.1
    ) -> NDArray[np.float32]:
        frames = np.arange(n_frames)
        phase = rng.uniform(0, 2 * np.pi)
        flicker = 1 + 0.6 * np.cos(2 * np.pi * frames * 128 / n_frames / 25 + phase)
        lag = np.abs(np.subtract.outer(frames, frames))
        two_time = 1 + 0.3 * np.exp(-2 * lag / tau) * np.outer(flicker, flicker)
        shot = rng.normal(0, noise, two_time.shape)
        return np.asarray(two_time + (shot + shot.T) / np.sqrt(2), np.float32)

    return make


@pytest.fixture
def shared_data() -> Path:
    """Folder of real measurements, which lie beside the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real measurements are not here: {SHARED_DATA}")
    return SHARED_DATA
