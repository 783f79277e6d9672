"""What the shipped classifier says of mixed dynamics: measured, not assumed."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.ml import load_model
from ainerd_bluesky.vocabulary import DYNAMICS, Label
from ainerd_bluesky.xpcs.simulate import draw_dynamics, g1, simulate_counts
from ainerd_bluesky.xpcs.two_time.maps import two_time_map

__all__ = [
    "FEW_PHOTONS",
    "KINDS",
    "PHOTONS",
    "SHARES",
    "AnswerBank",
    "PairJob",
    "answer_pair",
    "bank_of",
    "pair_jobs",
]

Floats = NDArray[np.floating]

KINDS = tuple(label for label in DYNAMICS if label != Label.NO_SIGNAL)
"""The eight kinds of dynamics, in the order of the vocabulary."""
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Shares of the second kind at which the classifier is asked."""
PHOTONS = (0.2, 5.0)
"""Photons per pixel and frame of a scan, from and to."""
FEW_PHOTONS = (0.05, 0.3)
"""The same for starved scans."""
_N_FRAMES = 96
_PIXELS = (150, 1500)
_MAX_MODES = 5


@dataclass(frozen=True, eq=False)
class AnswerBank:
    """Answers of a classifier to maps of two kinds of dynamics.

    Parameters
    ----------
    probabilities : ndarray of shape (n_kinds, n_kinds, n_shares, n_draws, n_labels)
        By first kind, second kind and the second one's share; labels in the order of
        the vocabulary. Nothing is known of a kind with itself.
    novelty : ndarray of shape (n_kinds, n_kinds, n_shares, n_draws)
        Rank that the classifier gives.
    is_refused : ndarray of bool, shape (n_kinds, n_kinds, n_shares, n_draws)
        Whether the gate of the classifier refuses the map.
    """

    probabilities: Floats
    novelty: Floats
    is_refused: NDArray[np.bool_]

    def places(
        self,
        first: NDArray[np.int64],
        second: NDArray[np.int64],
        share: Floats,
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.int64], ...]:
        """Draw where in the bank the answers to some scans stand.

        Parameters
        ----------
        first, second : ndarray of int64, shape (n_scans,)
            Kinds with the largest and the next share.
        share : ndarray of shape (n_scans,)
            Of the second kind, 0 to 0.5; between two measured ones either is drawn.
        rng : numpy.random.Generator
            Source of all chance.

        Returns
        -------
        tuple of ndarray
            Index into each of the arrays.
        """
        place = share * (len(SHARES) - 1) / SHARES[-1]
        column = np.floor(place + rng.random(place.shape)).astype(int)
        column = np.minimum(column, len(SHARES) - 1)
        # A pure scan has no second kind: any will do.
        other = (first + rng.integers(1, len(KINDS), first.shape)) % len(KINDS)
        partner = np.where((column == 0) | (first == second), other, second)
        draw = rng.integers(self.novelty.shape[-1], size=first.shape)
        return first, partner, column, draw

    def hits(self) -> dict[str, float]:
        """Return how often the first kind is named, by the share of the second."""
        off = ~np.eye(len(KINDS), dtype=bool)
        named = self.probabilities.argmax(axis=-1) == np.arange(len(KINDS)).reshape(
            -1, 1, 1, 1
        )
        rates = (named & ~self.is_refused)[off].mean(axis=(0, 2))
        return {
            f"{share:g}": round(float(rate), 3)
            for share, rate in zip(SHARES, rates, strict=True)
        }


@dataclass(frozen=True)
class PairJob:
    """Two kinds of dynamics to mix.

    Parameters
    ----------
    first, second : int
        Index into `KINDS`.
    n_draws : int
        Maps at each share.
    photons : tuple of float
        Photons per pixel and frame, from and to.
    """

    first: int
    second: int
    n_draws: int
    photons: tuple[float, float] = PHOTONS


def pair_jobs(n_draws: int, photons: tuple[float, float] = PHOTONS) -> list[PairJob]:
    """Return a job for each ordered pair of kinds.

    Parameters
    ----------
    n_draws : int
        Maps of each pair at each share.
    photons : tuple of float
        Photons per pixel and frame, from and to.

    Returns
    -------
    list of PairJob
        56 of them.
    """
    pairs = permutations(range(len(KINDS)), 2)
    return [PairJob(first, second, n_draws, photons) for first, second in pairs]


def answer_pair(job: PairJob) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Simulate mixed maps photon by photon and ask the shipped classifier.

    The fields of the two kinds add up in the sample, so their correlations do, by
    their shares. Each map is of dynamics and of a scan of its own: 96 frames, 150 to
    1500 pixels, 1 to 5 modes.

    Parameters
    ----------
    job : PairJob
        Which kinds.

    Returns
    -------
    probabilities : ndarray of shape (n_shares, n_draws, n_labels)
        Of each label.
    novelty : ndarray of shape (n_shares, n_draws)
        Rank.
    is_refused : ndarray of bool, shape (n_shares, n_draws)
        Whether the gate refuses the map.
    """
    rng = np.random.default_rng([job.first, job.second, round(1e3 * job.photons[0])])
    answers = load_model().classify(list(_mixed_maps(job, rng)))
    shape = (len(SHARES), job.n_draws)
    rows = [[answer.probabilities.get(w, 0.0) for w in DYNAMICS] for answer in answers]
    refused = np.array([answer.label == Label.INVALID for answer in answers])
    novelty = np.array([answer.novelty for answer in answers], dtype=np.float32)
    return (
        np.array(rows, dtype=np.float32).reshape(*shape, len(DYNAMICS)),
        novelty.reshape(shape),
        refused.reshape(shape),
    )


def bank_of(
    answers: dict[tuple[int, int], tuple[Floats, Floats, NDArray[np.bool_]]],
) -> AnswerBank:
    """Put the answers to all pairs into one bank.

    Parameters
    ----------
    answers : dict
        By first and second kind, from `answer_pair`.

    Returns
    -------
    AnswerBank
        With zeros, refused, where a kind would be mixed with itself.
    """
    probabilities, novelty, refused = next(iter(answers.values()))
    kinds = (len(KINDS), len(KINDS))
    bank = AnswerBank(
        np.zeros((*kinds, *probabilities.shape), np.float32),
        np.zeros((*kinds, *novelty.shape), np.float32),
        np.ones((*kinds, *refused.shape), bool),
    )
    for pair, (probabilities, novelty, refused) in answers.items():
        bank.probabilities[pair] = probabilities
        bank.novelty[pair] = novelty
        bank.is_refused[pair] = refused
    return bank


def _mixed_maps(job: PairJob, rng: np.random.Generator) -> Iterator[Floats]:
    time = np.linspace(0.0, 1.0, _N_FRAMES)
    for share in SHARES:
        for _ in range(job.n_draws):
            mixed = (1 - share) * g1(draw_dynamics(KINDS[job.first], rng), time)
            mixed += share * g1(draw_dynamics(KINDS[job.second], rng), time)
            counts = simulate_counts(
                mixed.astype(np.float32),
                int(np.exp(rng.uniform(*np.log(_PIXELS)))),
                n_modes=int(rng.integers(1, _MAX_MODES + 1)),
                mean_photons=float(np.exp(rng.uniform(*np.log(job.photons)))),
                rng=rng,
            )
            yield two_time_map(counts)
