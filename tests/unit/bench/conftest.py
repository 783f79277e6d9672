"""A classifier whose answers can be told beforehand."""

import numpy as np
import pytest

from ainerd_bluesky.bench.selection_answers import KINDS, SHARES, AnswerBank
from ainerd_bluesky.vocabulary import DYNAMICS

N_DRAWS = 2


@pytest.fixture(scope="session")
def bank():
    """Answers whose probabilities are the shares, without any noise."""
    shape = (len(KINDS), len(KINDS), len(SHARES), N_DRAWS)
    probabilities = np.zeros((*shape, len(DYNAMICS)), np.float32)
    for first in range(len(KINDS)):
        for second in range(len(KINDS)):
            for column, share in enumerate(SHARES):
                probabilities[first, second, column, :, second] = share
                probabilities[first, second, column, :, first] = 1 - share
    return AnswerBank(
        probabilities, np.full(shape, 0.5, np.float32), np.zeros(shape, bool)
    )
