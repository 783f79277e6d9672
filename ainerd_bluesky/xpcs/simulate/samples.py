"""A shelf of simulated samples: every word of the vocabulary, and spoilt scans."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.errors import ConfigError
from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.data.roi import QPartition
from ainerd_bluesky.xpcs.simulate.dynamics import Dynamics, draw_dynamics
from ainerd_bluesky.xpcs.simulate.movie import simulate_movie

__all__ = [
    "DEFECTS",
    "Defect",
    "SimulatedSample",
    "sample_library",
    "simulate_sample",
    "spoil",
    "unknown_samples",
]

Defect = Literal["beam-lost", "saturated", "dark", "constant"]
"""What can be wrong with the frames of a scan."""

DEFECTS: tuple[Defect, ...] = get_args(Defect)


@dataclass(frozen=True)
class SimulatedSample:
    """What is on one position of the sample stage.

    Parameters
    ----------
    name : str
        Unique on the shelf.
    dynamics : Dynamics
        What it does during a scan.
    mean_photons : float
        Expected photons per pixel and frame.
    n_modes : int
        Modes of the beam; the speckle contrast is one over it.
    defect : str, optional
        What is wrong with its scans.
    """

    name: str
    dynamics: Dynamics
    mean_photons: float = 0.3
    n_modes: int = 2
    defect: Defect | None = None

    @property
    def label(self) -> Label:
        """The word that a perfect analysis finds."""
        return self.dynamics.label if self.defect is None else Label.INVALID


def sample_library(n_samples: int, seed: int = 0) -> list[SimulatedSample]:
    """Draw samples, going round the vocabulary as often as needed.

    Parameters
    ----------
    n_samples : int
        How many; ten or more hold every word.
    seed : int
        The same seed gives the same samples, and the first ones do not depend on
        `n_samples`.

    Returns
    -------
    list of SimulatedSample
        Named `<word>-<round>`, such as ``aging-00``.
    """
    words = list(Label)
    seeds = np.random.SeedSequence(seed).spawn(n_samples)
    return [
        _draw_sample(words[index % len(words)], index // len(words), seeds[index])
        for index in range(n_samples)
    ]


def _draw_sample(
    label: Label, turn: int, seed: np.random.SeedSequence
) -> SimulatedSample:
    rng = np.random.default_rng(seed)
    is_spoilt = label == Label.INVALID
    return SimulatedSample(
        name=f"{label.value}-{turn:02d}",
        dynamics=draw_dynamics(Label.STATIONARY if is_spoilt else label, rng),
        mean_photons=float(np.exp(rng.uniform(np.log(0.1), np.log(1.0)))),
        n_modes=int(rng.integers(1, 4)),
        defect=DEFECTS[turn % len(DEFECTS)] if is_spoilt else None,
    )


def unknown_samples(
    n_samples: int, seed: int, *, n_first: int | None = None
) -> dict[str, SimulatedSample]:
    """Shuffle a library of samples and hide what they are behind numbers.

    Parameters
    ----------
    n_samples : int
        How many.
    seed : int
        Rules all chance.
    n_first : int, optional
        Shuffle these first ones among themselves, so that each word of the vocabulary
        occurs among them, if there are that many words; all if not given.

    Returns
    -------
    dict of str to SimulatedSample
        Names that tell nothing, in the order of the shelf.
    """
    n_first = n_samples if n_first is None else n_first
    samples = sample_library(n_samples, seed)
    rng = np.random.default_rng(seed)
    first, later = rng.permutation(n_first), rng.permutation(n_samples - n_first)
    order = [*first, *(n_first + later)]
    return {f"sample-{n:02d}": samples[index] for n, index in enumerate(order, 1)}


def simulate_sample(
    sample: SimulatedSample, partition: QPartition, *, n_frames: int, seed: int = 0
) -> NDArray[np.uint16]:
    """Simulate a scan of a sample on the usual detector, with its defect.

    Parameters
    ----------
    sample : SimulatedSample
        What is scanned.
    partition : QPartition
        Which pixels belong to which q.
    n_frames : int
        Frames of the scan.
    seed : int
        The same seed gives the same frames.

    Returns
    -------
    ndarray of uint16, shape (n_frames, n_rows, n_cols)
        Photons.
    """
    frames = simulate_movie(
        sample.dynamics,
        partition,
        n_frames=n_frames,
        mean_photons=sample.mean_photons,
        n_modes=sample.n_modes,
        seed=seed,
    )
    return frames if sample.defect is None else spoil(frames, sample.defect)


def spoil(frames: NDArray[np.uint16], defect: Defect) -> NDArray[np.uint16]:
    """Return frames as a detector or a beamline in trouble would give them.

    Parameters
    ----------
    frames : ndarray of uint16, shape (n_frames, n_rows, n_cols)
        Of a good scan; not changed.
    defect : str
        `beam-lost`: no photons in the middle third of the scan; `saturated`: one
        pixel in ten at the upper limit of the counter; `dark`: no photons at all;
        `constant`: the first frame over and over.

    Returns
    -------
    ndarray of uint16, same shape
        The spoilt scan.

    Raises
    ------
    ConfigError
        If the defect is not one of `DEFECTS`.
    """
    spoilt = frames.copy()
    n_frames = len(frames)
    if defect == "beam-lost":
        spoilt[n_frames // 3 : 2 * n_frames // 3] = 0
    elif defect == "saturated":
        spoilt.reshape(n_frames, -1)[:, ::10] = np.iinfo(np.uint16).max
    elif defect == "dark":
        spoilt[:] = 0
    elif defect == "constant":
        spoilt[:] = frames[0]
    else:
        raise ConfigError(f"defect must be one of {DEFECTS}, got {defect!r}")
    return spoilt
