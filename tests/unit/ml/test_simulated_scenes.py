import numpy as np
import pytest

pytest.importorskip("sklearn")

from ainerd_bluesky.ml.simulated_scenes import simulate_scenes
from ainerd_bluesky.vocabulary import DYNAMICS, Label


@pytest.fixture(scope="module")
def scenes():
    return simulate_scenes(18, np.random.SeedSequence(3), size=32)


def test_every_word_comes_equally_often(scenes):
    words, counts = np.unique(scenes.labels, return_counts=True)

    assert set(words) == {label.value for label in DYNAMICS}
    assert set(counts) == {2}


def test_same_seed_gives_the_same_scenes(scenes):
    again = simulate_scenes(18, np.random.SeedSequence(3), size=32)

    np.testing.assert_array_equal(again.samples, scenes.samples)


def test_both_views_show_the_same_kind_in_other_noise(scenes):
    noise = scenes.samples[:, 0] - scenes.samples[:, 1]

    assert (np.abs(noise).max(axis=(1, 2)) > 0).all()
    stays = scenes.clean[scenes.labels == Label.STATIC]
    assert stays.min() > 0.7


def test_hidden_dynamics_have_no_clean_map(scenes):
    assert not scenes.clean[scenes.labels == Label.NO_SIGNAL].any()


def test_words_left_out_are_not_drawn():
    words = (Label.AGING, Label.STATIC)

    scenes = simulate_scenes(4, np.random.SeedSequence(0), size=32, words=words)

    assert scenes.labels.tolist() == ["aging", "static", "aging", "static"]
