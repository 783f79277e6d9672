"""The answer about a run, out of the answers about its q-bins."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.ml.classification import Classification
from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.quality.checks import Quality

__all__ = [
    "Verdict",
    "best_of",
    "bin_weights",
    "confidence_remark",
    "pool",
    "pool_probabilities",
]

Word = TypeVar("Word")

# Noise alone stays below it; see `signal_to_noise`.
_CLEAR_SIGNAL = 5.0
_FINGERPRINT_DIGITS = 5


@dataclass(frozen=True, eq=False)
class Verdict:
    """The answer about a run.

    Parameters
    ----------
    label : str
        Most probable word; `invalid` for a refused run.
    confidence : float
        Its probability.
    probabilities : dict of str to float
        Of every word; empty for a refused run.
    cluster : int
        Cluster of most of the run, -1 for a refused one.
    novelty : float
        Mean of the bins.
    quality : Quality
        Of the run, with a remark where the confidence is low.
    fingerprint : list of float or None
        Mean point in latent space, short enough for a summary; None if refused.
    """

    label: str
    confidence: float
    probabilities: dict[str, float]
    cluster: int
    novelty: float
    quality: Quality
    fingerprint: list[float] | None = None


def bin_weights(
    answers: Sequence[Classification | None], signals: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute how much each bin counts: alike for clear signals, next to 0 for noise.

    Parameters
    ----------
    answers : sequence of Classification or None
        One a bin; None where the model was not asked.
    signals : ndarray of shape (n_q_bins,)
        Signal to noise of each bin.

    Returns
    -------
    ndarray of float64, shape (n_q_bins,)
        They add up to 1, or are all 0; refused bins have 0.
    """
    is_valid = np.array(
        [answer is not None and answer.label != Label.INVALID for answer in answers],
        bool,
    )
    # The last term lets a run without any signal be pooled, too.
    weights = is_valid * (signals**2 / (signals**2 + _CLEAR_SIGNAL**2) + 1e-6)
    return np.asarray(weights / weights.sum() if is_valid.any() else weights)


def pool(
    answers: Sequence[Classification | None],
    weights: NDArray[np.float64],
    quality: Quality,
    *,
    min_confidence: float,
) -> Verdict:
    """Make one answer of several.

    Parameters
    ----------
    answers : sequence of Classification or None
        One a bin; None where the model was not asked.
    weights : ndarray of shape (n_q_bins,)
        From :func:`bin_weights`.
    quality : Quality
        Of the run.
    min_confidence : float
        Below it a label is flagged `low-confidence`.

    Returns
    -------
    Verdict
        `invalid` with confidence 1 if no bin counts.
    """
    if not np.any(weights > 0):
        # Why the model refused every map it was given, if that was it.
        refusals = [answer.quality for answer in answers if answer is not None]
        merged = quality.merge(*refusals[:1])
        return Verdict(Label.INVALID.value, 1.0, {}, -1, 1.0, merged)

    valid = [
        (float(weight), answer)
        for weight, answer in zip(weights, answers, strict=True)
        if weight > 0 and answer is not None
    ]
    probabilities = pool_probabilities(
        (weight, answer.probabilities) for weight, answer in valid
    )
    clusters = pool_probabilities(
        (weight, {answer.cluster: 1.0}) for weight, answer in valid
    )
    label, confidence = best_of(probabilities)
    # In double precision: rounded single precision has seven odd digits more.
    embedding = sum(weight * answer.embedding.astype(float) for weight, answer in valid)
    return Verdict(
        label=label,
        confidence=confidence,
        probabilities=probabilities,
        cluster=best_of(clusters)[0],
        novelty=sum(weight * answer.novelty for weight, answer in valid),
        quality=quality.merge(*confidence_remark(label, confidence, min_confidence)),
        fingerprint=np.round(embedding, _FINGERPRINT_DIGITS).tolist(),
    )


def pool_probabilities(
    weighted: Iterable[tuple[float, Mapping[Word, float]]],
) -> dict[Word, float]:
    """Average probabilities.

    Parameters
    ----------
    weighted : iterable of (float, mapping)
        Weight, and probability by word; the weights add up to 1.

    Returns
    -------
    dict
        Mean probability by word.

    Examples
    --------
    >>> pool_probabilities([(0.5, {"aging": 1.0}), (0.5, {"static": 1.0})])
    {'aging': 0.5, 'static': 0.5}
    """
    pooled: dict[Word, float] = {}
    for weight, probabilities in weighted:
        for word, probability in probabilities.items():
            pooled[word] = pooled.get(word, 0.0) + weight * probability
    return pooled


def best_of(probabilities: Mapping[Word, float]) -> tuple[Word, float]:
    """Return the most probable word and its probability."""
    word = max(probabilities, key=lambda word: probabilities[word])
    return word, probabilities[word]


def confidence_remark(
    label: str, confidence: float, min_confidence: float
) -> list[Quality]:
    """Return the remark that a label is not sure, if it is not."""
    if confidence >= min_confidence:
        return []
    reason = f"confidence {confidence:.2f} of `{label}` is below {min_confidence:.2f}"
    return [Quality.remark("low-confidence", reason)]
