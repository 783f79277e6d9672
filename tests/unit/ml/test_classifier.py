import dataclasses

import numpy as np
import pytest

from ainerd_bluesky.ml.classifier import LatentClassifier, Model
from ainerd_bluesky.ml.novelty import KnownMaps

LATENT = LatentClassifier(
    classes=("calm", "wild"),
    temperature=1.0,
    means=np.array([[-2.0, 0.0], [2.0, 0.0]], np.float32),
    whitening=np.diag([2.0, 1.0]).astype(np.float32),
    centers=np.array([[0.0, 5.0], [0.0, -5.0], [3.0, 0.0]], np.float32),
)
KNOWN = KnownMaps(
    mean=np.zeros(1, np.float32),
    axes=np.ones((1, 1), np.float32),
    places=np.zeros((1, 1), np.int8),
    steps=np.ones(1, np.float32),
    signal_to_noise=np.array([1.0, 2.0, 3.0, 4.0], np.float32),
    distances=np.array([0.1, 0.2, 0.3, 100.0], np.float32),
)
CARD = {"name": "toy", "version": "1", "sha256": "ab"}


class MeanAndSpread:
    """An encoder that needs no learning."""

    def transform(self, X):
        spread = X.std(axis=(1, 2))
        return np.stack([X.mean(axis=(1, 2)) - 1.0, spread], axis=1).astype(np.float32)

    def scores(self, X):
        level = X.mean(axis=(1, 2)) - 1.0
        return np.stack([-level, level], axis=1).astype(np.float32)

    def traits(self, X):
        return X.mean(axis=(1, 2))[:, None] - 1.0

    def reconstruct(self, X):
        return X - 1.0


@pytest.fixture
def model():
    return Model(MeanAndSpread(), LATENT, KNOWN, CARD)


def correlation(n_frames, height=0.4):
    delay = np.abs(np.subtract.outer(np.arange(n_frames), np.arange(n_frames)))
    return (1.0 + height * np.exp(-delay / 10)).astype(np.float32)


@pytest.mark.parametrize(
    ("temperature", "probability"), [(1.0, 0.8808), (2.0, 0.7311), (0.5, 0.9820)]
)
def test_temperature_tempers_confidence(temperature, probability):
    latent = dataclasses.replace(LATENT, temperature=temperature)

    row = latent.probabilities(np.array([[-1.0, 1.0]], np.float32))[0]

    np.testing.assert_allclose(row, [1 - probability, probability], atol=1e-4)


def test_cluster_is_the_nearest_centre():
    points = np.array([[2.5, 0.1], [0.0, 4.0], [0.1, -6.0]], np.float32)

    np.testing.assert_array_equal(LATENT.clusters(points), [2, 0, 1])


def test_classification_holds_every_field(model):
    (answer,) = model.classify(correlation(64))

    assert answer.label == "wild"
    assert answer.confidence == answer.probabilities["wild"]
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)
    assert answer.embedding.shape == (2,)
    # farther than 0.1, nearer than 100
    assert answer.novelty in {0.25, 0.5, 0.75}
    assert answer.quality.ok


@pytest.mark.parametrize(
    ("two_time", "flag"),
    [
        (np.ones((40, 41), np.float32), "not-square"),
        (correlation(20), "too-small"),
        (np.full((40, 40), np.nan, np.float32), "nan"),
        (np.full((40, 40), 1.2, np.float32), "constant"),
    ],
    ids=["oblong", "small", "nan", "constant"],
)
def test_refused_map_is_never_classed(model, two_time, flag):
    (answer,) = model.classify([two_time])

    assert answer.label == "invalid"
    assert flag in answer.quality.flags
    assert answer.probabilities == {}


class Spoilt(MeanAndSpread):
    """Its answers about high maps are not finite, one part at a time."""

    def __init__(self, part):
        self.part = part

    def spoilt(self, part, values, X):
        is_high = X.max(axis=(1, 2)) > 2
        return np.where(is_high[:, None] & (part == self.part), np.nan, values)

    def transform(self, X):
        return self.spoilt("transform", super().transform(X), X)

    def scores(self, X):
        return self.spoilt("scores", super().scores(X), X)


@pytest.mark.parametrize("part", ["transform", "scores"])
def test_answer_that_is_not_finite_is_refused(part):
    model = Model(Spoilt(part), LATENT, KNOWN, CARD)

    low, high = model.classify([correlation(64), correlation(64, 2.0)])

    assert (low.label, low.quality.ok) == ("wild", True)
    assert (high.label, high.confidence, high.probabilities) == ("invalid", 1.0, {})
    assert high.quality.flags == ("not-finite",)
    assert np.isfinite([*high.embedding, high.novelty]).all()


def test_refused_maps_do_not_shift_the_others(model):
    maps = [correlation(20), correlation(64), np.ones((3, 4)), correlation(80, 2.0)]

    answers = model.classify(maps)

    labels = [answer.label for answer in answers]
    assert labels == ["invalid", "wild", "invalid", "wild"]
    np.testing.assert_array_equal(answers[3].embedding, model.embed(maps[3])[0])


@pytest.mark.parametrize("maps", [[], np.ones((0, 40, 40))], ids=["list", "array"])
def test_no_maps_give_no_answers(model, maps):
    assert model.classify(maps) == []
    assert model.embed(maps).shape == (0, 2)


def test_card_names_the_model(model):
    assert (model.name, model.version, model.sha256) == ("toy", "1", "ab")
    assert model.card == CARD
