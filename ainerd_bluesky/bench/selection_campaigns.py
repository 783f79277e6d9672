"""Simulated campaigns: samples in a phase diagram, and what their scans would say.

What is assumed, and where it comes from:

- The samples lie in a plane, temperature by composition: 400 at random places where
  rare classes are looked for, a grid of 30 x 30 conditions where boundaries are mapped;
  see `selection_diagrams`.
- A scan of a sample says what the shipped classifier said of a map that was simulated
  photon by photon with the two largest shares of the sample; see `selection_answers`.
- The gate refuses 8 % of all scans, whatever the sample, besides those that the
  classifier's own gate refuses. A refused sample may be scanned again twice, by every
  policy alike.
- The same scan of the same sample gives the same answer to every policy.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.bench.selection_answers import KINDS, AnswerBank
from ainerd_bluesky.bench.selection_diagrams import (
    Diagram,
    DiagramSettings,
    draw_diagram,
)
from ainerd_bluesky.selection import Candidate, Observation
from ainerd_bluesky.vocabulary import DYNAMICS, Label

__all__ = ["MAX_REMEASURES", "Campaign", "CampaignSettings", "make_campaign"]

Floats = NDArray[np.float64]

MAX_REMEASURES = 2
_REFUSED = 0.08
_REFUSED_REGION, _REGION_RADIUS = 0.9, 0.3
_CONFIDENT = 0.95


@dataclass(frozen=True)
class CampaignSettings:
    """What kind of campaign.

    Parameters
    ----------
    diagram : DiagramSettings
        Of what kind the phase diagram is.
    is_shuffled : bool
        Whether coordinates are dealt to the samples at random.
    is_starved : bool
        Whether scans see few photons.
    wrong : float
        Share of the scans with a confident label drawn at random.
    mistaken : float
        Share of the scans of the commonest kind that are confidently given the label
        of a rare one, or of another where none is rare.
    has_refused_region : bool
        Whether the gate refuses nine of ten scans in a disc of a radius of 0.3, as far
        from the rare samples as can be.
    """

    diagram: DiagramSettings = field(default_factory=DiagramSettings)
    is_shuffled: bool = False
    is_starved: bool = False
    wrong: float = 0.0
    mistaken: float = 0.0
    has_refused_region: bool = False


@dataclass(frozen=True, eq=False)
class Campaign:
    """Samples and what every scan of them says.

    Parameters
    ----------
    coordinates : ndarray of shape (n_samples, 2)
        As the policies are told.
    truth : ndarray of int64, shape (n_samples,)
        Index into `KINDS`.
    rare : tuple of int
        The kinds that are rare.
    probabilities : ndarray of shape (n_samples, n_tries, n_labels)
        The classifier's answers, in the order of the vocabulary.
    novelty : ndarray of shape (n_samples, n_tries)
        The classifier's rank.
    is_refused : ndarray of bool, shape (n_samples, n_tries)
        Whether a gate refuses the scan.
    """

    coordinates: Floats
    truth: NDArray[np.int64]
    rare: tuple[int, ...]
    probabilities: Floats
    novelty: Floats
    is_refused: NDArray[np.bool_]

    @property
    def candidates(self) -> list[Candidate]:
        """The samples."""
        return [
            Candidate(f"s{index}", (x, y))
            for index, (x, y) in enumerate(self.coordinates.tolist())
        ]

    def scan(self, index: int, n_before: int) -> Observation:
        """Return what the next scan of a sample says.

        Parameters
        ----------
        index : int
            The sample.
        n_before : int
            How often it was scanned before.

        Returns
        -------
        Observation
            As from a result's summary.
        """
        if self.is_refused[index, n_before]:
            return Observation(f"s{index}", Label.INVALID.value, 1.0, 1.0)
        row = self.probabilities[index, n_before].tolist()
        best = max(range(len(row)), key=row.__getitem__)
        return Observation(
            name=f"s{index}",
            label=DYNAMICS[best].value,
            confidence=row[best],
            novelty=float(self.novelty[index, n_before]),
            probabilities={w.value: p for w, p in zip(DYNAMICS, row, strict=True)},
        )


def make_campaign(settings: CampaignSettings, seed: int, bank: AnswerBank) -> Campaign:
    """Draw a campaign.

    Parameters
    ----------
    settings : CampaignSettings
        Of what kind.
    seed : int
        The same seed gives the same campaign.
    bank : AnswerBank
        What the classifier says of what the samples hold.

    Returns
    -------
    Campaign
        With its truth.
    """
    rng = np.random.default_rng([seed, 20])
    diagram = draw_diagram(settings.diagram, rng)
    shape = (len(diagram.points), 1 + MAX_REMEASURES)
    places = bank.places(*_two_largest(diagram, shape), rng)
    probabilities = bank.probabilities[places].astype(float)
    _claim_into(probabilities, _claims(diagram, settings, shape, rng))
    is_refused = rng.random(shape) < _refusal(diagram, settings, rng)[:, None]
    points = diagram.points
    return Campaign(
        coordinates=rng.permutation(points) if settings.is_shuffled else points,
        truth=diagram.truth,
        rare=diagram.rare,
        probabilities=probabilities,
        novelty=bank.novelty[places].astype(float),
        is_refused=is_refused | bank.is_refused[places],
    )


def _two_largest(
    diagram: Diagram, shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return the two kinds that a sample holds most of, and the second one's share."""
    order = np.argsort(-diagram.shares, axis=1, kind="stable")[:, :2]
    top = np.take_along_axis(diagram.shares, order, axis=1)
    share = top[:, 1] / top.sum(axis=1)
    first, second, minor = (
        np.broadcast_to(column[:, None], shape)
        for column in (order[:, 0], order[:, 1], share)
    )
    return first, second, minor


def _claims(
    diagram: Diagram,
    settings: CampaignSettings,
    shape: tuple[int, int],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the label that each scan is given whatever it saw; -1 for its own."""
    is_wrong = rng.random(shape) < settings.wrong
    claims = np.where(is_wrong, rng.integers(len(KINDS), size=shape), -1)
    victim = int(np.bincount(diagram.truth).argmax())
    claimed = diagram.rare[0] if diagram.rare else (victim + 1) % len(KINDS)
    is_mistaken = rng.random(shape) < settings.mistaken
    is_mistaken &= (diagram.truth == victim)[:, None]
    return np.where(is_mistaken, claimed, claims)


def _claim_into(probabilities: Floats, claims: NDArray[np.int64]) -> None:
    """Overwrite answers with confident claims."""
    rest = (1 - _CONFIDENT) / (len(DYNAMICS) - 1)
    rows = np.full((len(KINDS), len(DYNAMICS)), rest)
    rows[np.arange(len(KINDS)), np.arange(len(KINDS))] = _CONFIDENT
    probabilities[claims >= 0] = rows[claims[claims >= 0]]


def _refusal(
    diagram: Diagram, settings: CampaignSettings, rng: np.random.Generator
) -> Floats:
    """Return how likely the gate refuses a scan of each sample."""
    refusal = np.full(len(diagram.points), _REFUSED)
    if settings.has_refused_region:
        is_rare = np.isin(diagram.truth, diagram.rare)
        places = rng.random((200, 2))
        away = np.linalg.norm(places[:, None] - diagram.points[is_rare], axis=2)
        middle = places[away.min(axis=1, initial=9.0).argmax()]
        distance = np.linalg.norm(diagram.points - middle, axis=1)
        refusal[distance < _REGION_RADIUS] = _REFUSED_REGION
    return refusal
