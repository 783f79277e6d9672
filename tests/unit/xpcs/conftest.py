"""Maps of a stationary sample as an archive has them, and a scan with every defect."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from ainerd_bluesky.config import CorrelationConfig
from ainerd_bluesky.xpcs.two_time.correlation import BinCorrelation, correlate_bin
from ainerd_bluesky.xpcs.two_time.products import FrameProducts


@pytest.fixture
def stationary_maps(rng):
    """g2 = 1 + 0.4 exp(-lag / 5) with noise, 80 frames."""

    def make(n_q_bins):
        frame = np.arange(80)
        clean = 1 + 0.4 * np.exp(-np.abs(frame[:, None] - frame) / 5)
        noise = 0.02 * rng.standard_normal((n_q_bins, 80, 80))
        return clean + (noise + noise.transpose(0, 2, 1)) / 2

    return make


@dataclass(frozen=True)
class Scan:
    """Counts with all that a beamline can do to them."""

    counts: NDArray[np.uint16]
    static_bins: NDArray[np.int64]
    is_good: NDArray[np.bool_]
    monitor: NDArray[np.float64]

    def correlate(
        self, products: FrameProducts | None = None, **config: str
    ) -> BinCorrelation:
        return correlate_bin(
            self.counts,
            config=CorrelationConfig.model_validate(config),
            static_bins=self.static_bins,
            is_good=self.is_good,
            monitor=self.monitor,
            products=products,
        )


@pytest.fixture
def scan(rng):
    # More frames than a row of tiles holds, and no multiple of it.
    static_bins = rng.permutation(np.arange(90) % 6)
    beam = rng.uniform(0.5, 1.5, 300)
    profile = np.array([0.2, 0.5, 1.0, 2.0, 4.0, 0.0])[static_bins]
    speckle = rng.gamma(2.0, 0.5, 90)
    counts = rng.poisson(beam[:, None] * profile * speckle).astype(np.uint16)
    counts[17] = 0
    # What a detector writes into a frame that it lost.
    counts[[40, 41, 299]] = 65535
    is_good = np.ones(300, bool)
    is_good[[40, 41, 299, 100]] = False
    return Scan(counts, static_bins, is_good, beam + rng.normal(0, 0.01, 300))
