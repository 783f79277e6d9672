"""Labels from stored results must be those that a new analysis would give."""

import numpy as np
import pandas as pd
import pytest

from ainerd_bluesky.config import ClassificationConfig
from ainerd_bluesky.ml.classification import Classification
from ainerd_bluesky.ml.words import ModelWords
from ainerd_bluesky.pipeline import (
    Acquisition,
    AnalysisSettings,
    analyse,
    reduce_maps,
)
from ainerd_bluesky.xpcs.quality.checks import Quality
from tiled_adapters.relabelling import renamed

CONFIG = AnalysisSettings(classification=ClassificationConfig(min_confidence=0.7))
WORDS = ModelWords(
    words=("gel",),
    means=np.array([[3.0, 0.0]]),
    n_examples=np.array([8]),
    class_means=np.array([[0.0, 0.0]]),
    whitening=np.eye(2),
    sha256="cd" * 32,
)


class Places:
    """A model that puts the maps at given places; it refuses those without one."""

    name, version, sha256 = "places", "1", "ab" * 32

    def __init__(self, *places):
        self.places = places

    def classify(self, maps):
        return [self.answer(place) for place in self.places[: len(maps)]]

    def answer(self, place):
        if place is None:
            return Classification.refused(Quality.refusal("constant", "flat"), 2)
        return Classification(
            "aging", 0.75, {"aging": 0.75, "static": 0.25}, 1, 0.1,
            np.array(place, np.float32), Quality.good(),
        )  # fmt: skip


@pytest.fixture
def reduction(rng):
    delay = np.abs(np.subtract.outer(np.arange(64), np.arange(64)))
    maps = [
        1 + 0.3 * np.exp(-delay / tau) + rng.normal(0, 0.01, delay.shape)
        for tau in (3, 10, 30)
    ]
    symmetric = [(one + one.T) / 2 for one in maps]
    return reduce_maps(
        np.array(symmetric, np.float32), q_values=[0.1, 0.2, 0.3], frame_time=0.1
    )


def published(reduction, places, words):
    return analyse(
        reduction, Acquisition("run"), Places(*places), config=CONFIG, words=words
    )


def relabelled(analysis, words):
    metadata = {**analysis.summary, "recipe": analysis.recipe}
    frame = pd.DataFrame(analysis.bins)
    return renamed(frame, analysis.arrays["embedding"], words, metadata)


@pytest.mark.parametrize(
    "places",
    [
        [(3, 0)] * 3,
        [(3, 0), (0, 0), (0, 0)],
        [(3, 0), None, (1.5, 0)],
        [(1.5, 0), (1.6, 0), (1.7, 0)],
    ],
    ids=["all", "one", "refused-bin", "in-between"],
)
@pytest.mark.parametrize("words", [WORDS, None], ids=["named", "unnamed"])
def test_label_is_that_of_a_new_analysis(reduction, places, words):
    before = published(reduction, places, None if words else WORDS)
    after = published(reduction, places, words)

    summary, bins = relabelled(before, words)

    for key in ("label", "vocabulary", "quality"):
        assert summary[key] == after.summary[key]
    assert summary["confidence"] == pytest.approx(after.summary["confidence"])
    assert summary["probabilities"] == pytest.approx(after.summary["probabilities"])
    pd.testing.assert_frame_equal(bins, pd.DataFrame(after.bins))
