"""The answer about one two-time map."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.quality.checks import Quality

__all__ = ["Classification"]


@dataclass(frozen=True, eq=False)
class Classification:
    """Class, cluster and fingerprint of one map.

    Parameters
    ----------
    label : str
        Word of the vocabulary; `invalid` if the quality gate refused the map.
    confidence : float
        Calibrated probability of `label`, 0 to 1.
    probabilities : mapping of str to float
        Calibrated probability of every class; they add up to one. Empty for a
        refused map.
    cluster : int
        Number of the cluster found without labels, from 0; -1 for a refused map.
    novelty : float
        How unlike everything known the map is: the fraction of known maps of like
        noise that lie closer to others, 0 to 1. It is no probability.
    embedding : ndarray of float32, shape (n_components,)
        Fingerprint: the point in latent space; zeros for a refused map.
    quality : Quality
        Outcome of the quality gate, with its reasons.
    """

    label: str
    confidence: float
    probabilities: Mapping[str, float]
    cluster: int
    novelty: float
    embedding: NDArray[np.float32]
    quality: Quality

    @classmethod
    def refused(cls, quality: Quality, n_components: int) -> "Classification":
        """Return the answer about a map that the quality gate refused."""
        return cls(
            label=Label.INVALID.value,
            confidence=1.0,
            probabilities={},
            cluster=-1,
            novelty=1.0,
            embedding=np.zeros(n_components, np.float32),
            quality=quality,
        )
