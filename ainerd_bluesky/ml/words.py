"""Words of a beamline beside the classes of a model, by a linear discriminant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ainerd_bluesky.errors import NamingError
from ainerd_bluesky.ml.classification import Classification
from ainerd_bluesky.ml.parts import Parts
from ainerd_bluesky.ml.verdict import best_of

__all__ = ["LatentSpace", "ModelWords", "NamedModel", "with_names"]

_SIGMAS = 2.0
_SAME = 0.5
"""Deviations between two means that are taken for one."""


class LatentSpace(Protocol):
    """What a model knows about its latent; a `LatentClassifier` fits."""

    @property
    def means(self) -> NDArray[np.float32]:
        """Mean fingerprint of each class, (n_classes, n_components)."""

    @property
    def whitening(self) -> NDArray[np.float32]:
        """``|(z - mean) @ whitening|`` is the distance within a class."""


class NamedModel(Protocol):
    """A model whose latent words can be put into."""

    @property
    def sha256(self) -> str:
        """Hash of the weights."""

    @property
    def latent(self) -> LatentSpace:
        """What is known of the latent."""


@dataclass(frozen=True, eq=False)
class ModelWords:
    """The words that apply to the fingerprints of one model.

    Parameters
    ----------
    words : tuple of str
        In alphabetical order; a word that was given several times stands there as
        often.
    means : ndarray of shape (n_means, n_components)
        Mean fingerprint of the examples that each was given to.
    n_examples : ndarray of shape (n_means,)
        How many those are.
    class_means : ndarray of shape (n_classes, n_components)
        Mean fingerprint of each class of the model.
    whitening : ndarray of shape (n_components, n_components)
        The model's.
    sha256 : str
        Hash of words, means, numbers and parts.
    parts : tuple of Parts
        What is known of the examples beside their mean, (n_means,); unset: nothing.
    """

    words: tuple[str, ...]
    means: NDArray[np.float64]
    n_examples: NDArray[np.int64]
    class_means: NDArray[np.float64]
    whitening: NDArray[np.float64]
    sha256: str
    parts: tuple[Parts, ...] = ()

    @property
    def is_renamed(self) -> NDArray[np.bool_]:
        """Which classes a word stands for, (n_classes,).

        The mean of n examples of a class is sqrt(D / n) away from the mean of the
        class, more or less. Unless a word's mean is farther away than that explains,
        by more than half a deviation, the class is what its examples show. One of
        the means of a word is enough.
        """
        n_components = self.means.shape[1]
        by_chance = (n_components + _SIGMAS * np.sqrt(2 * n_components)) / (
            self.n_examples
        )
        squares = _squares(self.class_means, self.means, self.whitening)
        return np.asarray((squares <= by_chance + _SAME**2).any(axis=1))

    def shares(self, Z: NDArray[np.floating[Any]]) -> list[dict[str, float]]:
        r"""Compute how much of each fingerprint belongs to each word.

        Parameters
        ----------
        Z : ndarray of shape (n_samples, n_components)
            Fingerprints.

        Returns
        -------
        list of dict of str to float
            One dictionary a fingerprint: a share for each word, which add up to 1 at
            most. The rest belongs to the model's own classes.

        Raises
        ------
        NamingError
            If the fingerprints are of another size.

        Notes
        -----
        A linear discriminant: a class is normal with the model's covariance within a
        class, a word is a mixture of such around each of its m means, and all are
        equally probable beforehand. The mean of n examples is itself uncertain, so
        its part of a word is wider by 1 + 1/n:

        .. math:: p(z|w) \propto \frac{1}{m} \sum_{i=1}^{m} (1 + 1/n_i)^{-D/2}
                  \exp\left(-\frac{d_i^2}{2 (1 + 1/n_i)}\right)

        Where :attr:`parts` are known, as of a cluster, a mean is replaced by theirs,
        weighted by their sizes, and the width is multiplied by their spread.

        A class in :attr:`is_renamed` does not take part: its word stands for it.
        """
        points = np.asarray(Z, np.float64)
        if points.shape[1] != self.means.shape[1]:
            raise NamingError(
                f"fingerprints have {points.shape[1]} components, the words "
                f"{self.means.shape[1]}: they are of another model"
            )
        words = np.stack(
            [self._log_density(points, parts) for parts in self.parts or self._lone],
            axis=1,
        )
        words -= np.log([self.words.count(word) for word in self.words])
        rivals = self.class_means[~self.is_renamed]
        classes = -0.5 * _squares(points, rivals, self.whitening)
        logs = np.concatenate([words, classes], axis=1)
        odds = np.exp(logs - logs.max(axis=1, keepdims=True))
        shares = (odds / odds.sum(axis=1, keepdims=True))[:, : len(self.words)]
        return [self._by_word(row) for row in shares.tolist()]

    def rename(
        self, answers: Sequence[Classification | None]
    ) -> list[Classification | None]:
        """Give the words their share of answers.

        Parameters
        ----------
        answers : sequence of Classification or None
            What the model says.

        Returns
        -------
        list of Classification or None
            Refused and missing ones as they came.
        """
        return [
            self._renamed(answer)
            if answer is not None and answer.quality.ok
            else answer
            for answer in answers
        ]

    @property
    def _lone(self) -> list[Parts]:
        """Return each mean as the only part of its examples."""
        pairs = zip(self.means.tolist(), self.n_examples.tolist(), strict=True)
        return [Parts((tuple(mean),), (n_examples,)) for mean, n_examples in pairs]

    def _log_density(
        self, points: NDArray[np.float64], parts: Parts
    ) -> NDArray[np.float64]:
        sizes = np.array(parts.sizes)
        width = parts.spread(self.whitening) * (1.0 + 1.0 / sizes)
        logs = -0.5 * _squares(points, np.array(parts.means), self.whitening) / width
        logs -= 0.5 * points.shape[1] * np.log(width)
        return np.asarray(logsumexp(logs, axis=1, b=sizes / sizes.sum()))

    def _by_word(self, shares: Sequence[float]) -> dict[str, float]:
        """Add up the shares of all means of a word."""
        total = dict.fromkeys(self.words, 0.0)
        for word, share in zip(self.words, shares, strict=True):
            total[word] += share
        return total

    def _renamed(self, answer: Classification) -> Classification:
        (shares,) = self.shares(answer.embedding[None])
        probabilities = with_names(answer.probabilities, shares)
        label, confidence = best_of(probabilities)
        return replace(
            answer, label=label, confidence=confidence, probabilities=probabilities
        )


def with_names(
    probabilities: Mapping[str, float], shares: Mapping[str, float]
) -> dict[str, float]:
    """Give named words their share of the probability.

    Parameters
    ----------
    probabilities : mapping of str to float
        Of the model's classes; they add up to one.
    shares : mapping of str to float
        Of the named words; they add up to one at most.

    Returns
    -------
    dict of str to float
        Of both; they add up to one.

    Examples
    --------
    >>> with_names({"aging": 0.5, "static": 0.5}, {"gel": 0.5})
    {'aging': 0.25, 'static': 0.25, 'gel': 0.5}
    """
    rest = max(0.0, 1.0 - sum(shares.values()))
    own = {label: rest * probability for label, probability in probabilities.items()}
    return {**own, **shares}


def _squares(
    Z: NDArray[np.float64], means: NDArray[np.float64], whitening: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return squared distances (n_samples, n_means) in deviations of a class."""
    # One mean at a time: all at once would take n_samples x n_means x n_components.
    squares = np.empty((len(Z), len(means)))
    for column, mean in enumerate(means):
        squares[:, column] = (((Z - mean) @ whitening) ** 2).sum(axis=1)
    return squares
