"""From scores to a class, from a fingerprint to a cluster, from a map to an answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.ml.classification import Classification
from ainerd_bluesky.ml.map_features import signal_to_noise
from ainerd_bluesky.ml.maps import Maps, as_maps, to_sample
from ainerd_bluesky.ml.novelty import KnownMaps
from ainerd_bluesky.xpcs.quality.checks import Quality
from ainerd_bluesky.xpcs.quality.map_quality import check_map

__all__ = ["Encoder", "LatentClassifier", "Model"]

_MOST_MISSING = 0.5
_NOT_FINITE = Quality.refusal(
    "not-finite", "the model's answer about the map is not finite"
)

Floats = NDArray[np.float32]


class Encoder(Protocol):
    """Makes fingerprints out of samples."""

    def transform(self, X: Floats) -> Floats:
        """Return the fingerprints (n_samples, n_components) of samples."""
        ...

    def scores(self, X: Floats) -> Floats:
        """Return the class scores (n_samples, n_classes) of samples."""
        ...

    def traits(self, X: Floats) -> Floats:
        """Return what tells known samples from others, (n_samples, n_traits)."""
        ...

    def reconstruct(self, X: Floats) -> Floats:
        """Return clean maps (n_samples, size, size) of samples."""
        ...


@dataclass(frozen=True, eq=False)
class LatentClassifier:
    """What is known about the latent space.

    Parameters
    ----------
    classes : tuple of str
        Words, in the order of the scores and of `means`.
    temperature : float
        Divides the scores, so that confidence means what it says.
    means : ndarray of shape (n_classes, n_components)
        Mean fingerprint of each class.
    whitening : ndarray of shape (n_components, n_components)
        ``|(z - mean) @ whitening|`` is the Mahalanobis distance within a class.
    centers : ndarray of shape (n_clusters, n_components)
        Centres of the clusters found without labels.
    """

    classes: tuple[str, ...]
    temperature: float
    means: Floats
    whitening: Floats
    centers: Floats

    @property
    def n_components(self) -> int:
        """Size of the latent."""
        return int(self.means.shape[1])

    def probabilities(self, scores: Floats) -> NDArray[np.float64]:
        """Compute calibrated class probabilities.

        Parameters
        ----------
        scores : ndarray of shape (n_samples, n_classes)
            Of the encoder's class head.

        Returns
        -------
        ndarray of float64, shape (n_samples, n_classes)
            Each row adds up to one.
        """
        above = np.asarray(scores, np.float64)
        above = (above - above.max(axis=1, keepdims=True)) / self.temperature
        odds = np.exp(above)
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def clusters(self, Z: Floats) -> NDArray[np.int64]:
        """Find the nearest cluster.

        Parameters
        ----------
        Z : ndarray of shape (n_samples, n_components)
            Fingerprints.

        Returns
        -------
        ndarray of int64, shape (n_samples,)
            Index into `centers`.
        """
        distances = np.linalg.norm(Z[:, None] - self.centers[None], axis=2)
        return np.asarray(distances.argmin(axis=1))


class Model:
    """A trained model: maps in, answers out.

    Parameters
    ----------
    encoder : Encoder
        Makes fingerprints.
    latent : LatentClassifier
        What is known about them.
    known : KnownMaps
        Tells what is not known.
    card : mapping
        Name, version, sha256, classes, training and figures.
    """

    def __init__(
        self,
        encoder: Encoder,
        latent: LatentClassifier,
        known: KnownMaps,
        card: Mapping[str, Any],
    ) -> None:
        self._encoder = encoder
        self._latent = latent
        self._known = known
        self._card = dict(card)

    @property
    def card(self) -> dict[str, Any]:
        """What the model is, how it was made and how good it is."""
        return self._card

    @property
    def encoder(self) -> Encoder:
        """What makes the fingerprints."""
        return self._encoder

    @property
    def latent(self) -> LatentClassifier:
        """What is known about the latent space."""
        return self._latent

    @property
    def known(self) -> KnownMaps:
        """What tells what is not known."""
        return self._known

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self._card["name"])

    @property
    def version(self) -> str:
        """Version of the model."""
        return str(self._card["version"])

    @property
    def sha256(self) -> str:
        """Hash of the weights."""
        return str(self._card["sha256"])

    def embed(self, maps: Maps) -> Floats:
        """Compute fingerprints without asking the quality gate.

        Parameters
        ----------
        maps : ndarray of shape (n, n) or (n_maps, n, n), or list of ndarray
            One map, several of one size, or several of any sizes from 32 up.

        Returns
        -------
        ndarray of float32, shape (n_maps, n_components)
            The same bits for the same map, alone or in company.
        """
        samples = _samples(as_maps(maps))
        if not len(samples):
            return np.zeros((0, self._latent.n_components), np.float32)
        return self._encoder.transform(samples)

    def reconstruct(self, maps: Maps) -> Floats:
        """Make each map again from its fingerprint.

        Parameters
        ----------
        maps : ndarray of shape (n, n) or (n_maps, n, n), or list of ndarray
            At least one map.

        Returns
        -------
        ndarray of float32, shape (n_maps, sample_size, sample_size)
            Scaled to mean 0 and spread 1.
        """
        return self._encoder.reconstruct(_samples(as_maps(maps)))

    def classify(self, maps: Maps) -> list[Classification]:
        """Classify maps that the quality gate lets pass.

        Parameters
        ----------
        maps : ndarray of shape (n, n) or (n_maps, n, n), or list of ndarray
            One map, several of one size, or several of any sizes.

        Returns
        -------
        list of Classification
            One for each map; a refused map is `invalid` and has reasons, no class. So
            is one about which the model gives no finite answer.
        """
        each = as_maps(maps)
        # How much of a map may be missing is the beamline's to say, before this.
        qualities = [
            check_map(two_time, max_missing_fraction=_MOST_MISSING) for two_time in each
        ]
        checked = list(zip(each, qualities, strict=True))
        samples = _samples([two_time for two_time, quality in checked if quality.ok])
        passed = [quality for quality in qualities if quality.ok]
        answers = iter(self._answers(samples, passed))
        return [
            next(answers)
            if quality.ok
            else Classification.refused(quality, self._latent.n_components)
            for quality in qualities
        ]

    def _answers(
        self, samples: Floats, qualities: list[Quality]
    ) -> list[Classification]:
        if not qualities:
            return []
        latent = self._latent
        Z = self._encoder.transform(samples)
        columns = (
            Z,
            latent.probabilities(self._encoder.scores(samples)),
            latent.clusters(Z),
            self._known.novelty(
                self._encoder.traits(samples), signal_to_noise(samples)
            ),
            qualities,
        )
        return [
            Classification(
                label=latent.classes[int(row.argmax())],
                confidence=float(row.max()),
                probabilities=dict(zip(latent.classes, row.tolist(), strict=True)),
                cluster=int(cluster),
                novelty=float(novelty),
                embedding=z,
                quality=quality,
            )
            if np.isfinite([*z, *row, novelty]).all()
            else Classification.refused(
                quality.merge(_NOT_FINITE), self._latent.n_components
            )
            for z, row, cluster, novelty, quality in zip(*columns, strict=True)
        ]


def _samples(maps: list[NDArray[np.floating]]) -> Floats:
    samples = [to_sample(two_time) for two_time in maps]
    return np.stack(samples) if samples else np.zeros((0, 0, 0), np.float32)
