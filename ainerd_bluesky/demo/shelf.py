"""What stands on the sample stage of the demonstration."""

from collections.abc import Mapping

import numpy as np

from ainerd_bluesky.selection import Candidate
from ainerd_bluesky.vocabulary import Label
from ainerd_bluesky.xpcs.simulate import SimulatedSample

__all__ = ["candidates"]


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
