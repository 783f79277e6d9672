"""What stands on the sample stage of the demonstration."""

from collections.abc import Mapping

import numpy as np

from ainerd_bluesky.selection import Candidate
from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.simulate import SimulatedSample, sample_library

__all__ = ["candidates", "unknown_samples"]


def unknown_samples(
    n_samples: int, n_first: int, seed: int
) -> dict[str, SimulatedSample]:
    """Put samples on a shelf under names that tell nothing.

    Parameters
    ----------
    n_samples : int
        How many.
    n_first : int
        Among so many first ones each word of the vocabulary occurs, if there are
        that many words.
    seed : int
        Rules all chance.

    Returns
    -------
    dict of str to SimulatedSample
        In the order of the shelf.
    """
    samples = sample_library(n_samples, seed)
    rng = np.random.default_rng(seed)
    first, later = rng.permutation(n_first), rng.permutation(n_samples - n_first)
    order = [*first, *(n_first + later)]
    return {f"sample-{n:02d}": samples[index] for n, index in enumerate(order, 1)}


def candidates(samples: Mapping[str, SimulatedSample], seed: int) -> list[Candidate]:
    """Give each sample a composition: what is mixed alike mostly relaxes alike.

    Parameters
    ----------
    samples : mapping of str to SimulatedSample
        The shelf.
    seed : int
        Rules all chance.

    Returns
    -------
    list of Candidate
        With the composition in per cent as their coordinate. Each word of the
        vocabulary has its range, and neighbouring ranges overlap.
    """
    rng = np.random.default_rng(seed)
    words = list(Label)
    return [
        Candidate(name, (100 * (words.index(sample.label) + offset) / len(words),))
        for (name, sample), offset in zip(
            samples.items(), rng.normal(0.5, 0.4, len(samples)), strict=True
        )
    ]
