"""Learn about the latent space, and measure honestly how good the answers are."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.cluster import KMeans
from sklearn.covariance import LedoitWolf
from sklearn.metrics import (
    adjusted_rand_score,
    confusion_matrix,
    f1_score,
    log_loss,
    recall_score,
)

from ainerd_bluesky.ml.classifier import LatentClassifier

__all__ = [
    "calibrated",
    "expected_calibration_error",
    "fit_latent",
    "measure",
]

Floats = NDArray[np.float32]
_NOISE_BANDS = ((8.0, 16.0), (16.0, 32.0), (32.0, 64.0), (64.0, np.inf))
_N_BINS = 15


def fit_latent(
    Z: Floats,
    y: NDArray[np.str_],
    classes: tuple[str, ...],
    *,
    n_clusters: int,
    random_state: int,
) -> LatentClassifier:
    """Describe the latent space by the maps that the network learned from.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_components)
        Fingerprints.
    y : ndarray of str, shape (n_samples,)
        Word of each.
    classes : tuple of str
        Words in the order of the scores.
    n_clusters : int
        Clusters to look for; they do not see `y`.
    random_state : int
        Seed of the clustering.

    Returns
    -------
    LatentClassifier
        Not yet calibrated: its temperature is 1.
    """
    means = np.stack([Z[y == word].mean(axis=0) for word in classes])
    index = np.searchsorted(np.array(classes), y)
    covariance = LedoitWolf(assume_centered=True).fit(Z - means[index]).covariance_
    whitening = np.linalg.cholesky(np.linalg.inv(covariance)).astype(np.float32)
    clustering = KMeans(n_clusters, n_init=5, random_state=random_state).fit(Z)
    return LatentClassifier(
        classes=classes,
        temperature=1.0,
        means=means.astype(np.float32),
        whitening=whitening,
        centers=clustering.cluster_centers_.astype(np.float32),
    )


def calibrated(
    latent: LatentClassifier, scores: Floats, y: NDArray[np.str_]
) -> LatentClassifier:
    """Set the temperature by maps the network has not seen.

    Parameters
    ----------
    latent : LatentClassifier
        As fitted.
    scores : ndarray of shape (n_samples, n_classes)
        Class scores of held-out maps.
    y : ndarray of str, shape (n_samples,)
        Word of each.

    Returns
    -------
    LatentClassifier
        Calibrated copy.
    """

    def loss(log_temperature: float) -> float:
        warm = replace(latent, temperature=float(np.exp(log_temperature)))
        return float(
            log_loss(y, warm.probabilities(scores), labels=list(latent.classes))
        )

    best = minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded")
    return replace(latent, temperature=float(np.exp(best.x)))


def expected_calibration_error(
    confidence: NDArray[np.float64], is_right: NDArray[np.bool_]
) -> float:
    """Compute how far confidence is from the share of right answers.

    Parameters
    ----------
    confidence : ndarray of shape (n_samples,)
        Probability of the label given.
    is_right : ndarray of bool, shape (n_samples,)
        Whether it was right.

    Returns
    -------
    float
        Mean difference over fifteen equal bins, weighted by their samples.

    Examples
    --------
    >>> expected_calibration_error(np.full(4, 0.75), np.array([True] * 3 + [False]))
    0.0
    """
    bins = np.minimum((confidence * _N_BINS).astype(int), _N_BINS - 1)
    excess = np.bincount(bins, confidence - is_right, minlength=_N_BINS)
    return float(np.abs(excess).sum() / len(confidence))


def measure(
    latent: LatentClassifier,
    Z: Floats,
    scores: Floats,
    y: NDArray[np.str_],
    signal_to_noise: NDArray[np.float64],
) -> dict[str, Any]:
    """Measure the answers on maps that nothing was learned from.

    Parameters
    ----------
    latent : LatentClassifier
        Calibrated.
    Z : ndarray of shape (n_samples, n_components)
        Fingerprints.
    scores : ndarray of shape (n_samples, n_classes)
        Class scores.
    y : ndarray of str, shape (n_samples,)
        True word of each.
    signal_to_noise : ndarray of shape (n_samples,)
        Of each map; the figures are broken down by it.

    Returns
    -------
    dict
        Figures, ready for JSON: accuracy, macro_f1, ece, recall, confusion, by noise.
    """
    probabilities = latent.probabilities(scores)
    classes = list(latent.classes)
    guess = np.array(classes)[probabilities.argmax(axis=1)]
    is_right = guess == y
    recall = recall_score(y, guess, labels=classes, average=None, zero_division=0.0)
    return {
        "n_maps": len(y),
        "accuracy": round(float(is_right.mean()), 4),
        "macro_f1": round(float(f1_score(y, guess, average="macro")), 4),
        "ece": round(
            expected_calibration_error(probabilities.max(axis=1), is_right), 4
        ),
        "recall": dict(zip(classes, np.round(recall, 4).tolist(), strict=True)),
        "confusion": confusion_matrix(y, guess, labels=classes).tolist(),
        "accuracy_by_signal_to_noise": _by_noise(is_right, signal_to_noise),
        "cluster_adjusted_rand": round(
            float(adjusted_rand_score(y, latent.clusters(Z))), 4
        ),
    }


def _by_noise(
    is_right: NDArray[np.bool_], signal_to_noise: NDArray[np.float64]
) -> dict[str, dict[str, float]]:
    table = {}
    for low, high in _NOISE_BANDS:
        chosen = (signal_to_noise >= low) & (signal_to_noise < high)
        if chosen.any():
            table[f"{low:g}-{high:g}"] = {
                "n_maps": int(chosen.sum()),
                "accuracy": round(float(is_right[chosen].mean()), 4),
            }
    return table
