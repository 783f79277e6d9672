"""Maps of a stationary sample, as an archive has them."""

import numpy as np
import pytest


@pytest.fixture
def stationary_maps(rng):
    """g2 = 1 + 0.4 exp(-lag / 5) with noise, 80 frames."""

    def make(n_q_bins):
        frame = np.arange(80)
        clean = 1 + 0.4 * np.exp(-np.abs(frame[:, None] - frame) / 5)
        noise = 0.02 * rng.standard_normal((n_q_bins, 80, 80))
        return clean + (noise + noise.transpose(0, 2, 1)) / 2

    return make
