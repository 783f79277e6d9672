import json

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.ml import load_model, published, save_bundle, training
from ainerd_bluesky.ml.autoencoder import torch_threads
from ainerd_bluesky.ml.maps import to_sample
from ainerd_bluesky.ml.measured_maps import MeasuredGroups
from ainerd_bluesky.ml.published import PublishedAutoencoder
from ainerd_bluesky.ml.simulated_scenes import SceneSet
from ainerd_bluesky.ml.training import PAPER_SIZE, PublishedConfig, train


@pytest.fixture(scope="module")
def samples():
    """Thirty noisy decays, narrow ones first."""
    rng = np.random.default_rng(1)
    frame = np.arange(64)
    lag = np.abs(frame[:, None] - frame)
    decays = [1 + 0.3 * np.exp(-lag / width) for width in np.linspace(2, 20, 30)]
    noise = 0.01 * rng.standard_normal((30, 64, 64))
    return np.asarray(decays + noise + noise.transpose(0, 2, 1), np.float32)


WORDS = np.repeat(["fast", "middling", "slow"], [10, 10, 10])


def fitted(samples, words=None, **settings):
    with torch_threads(1):
        small = {"n_images": 1, "n_epochs": 1, "batch_size": 8, "learning_rate": 2e-3}
        return PublishedAutoencoder(64, **{**small, **settings}).fit(samples, words)


@pytest.fixture(scope="module")
def autoencoder(samples):
    return fitted(samples, WORDS, n_epochs=12)


def test_defaults_are_the_sizes_of_the_paper():
    settings = PublishedAutoencoder().get_params()

    assert {key: settings[key] for key in ("size", "n_images", "n_epochs")} == {
        key: value for key, value in PAPER_SIZE.items() if key != "n_maps"
    }
    assert settings["n_components"] == 64


def test_loss_falls(autoencoder):
    assert autoencoder.loss_curve_[-1] < 0.8 * autoencoder.loss_curve_[0]


def test_latent_knows_the_width_of_a_decay(autoencoder, samples):
    right = autoencoder.classes_[autoencoder.scores(samples).argmax(axis=1)] == WORDS

    # by chance a third
    assert right.mean() > 0.8


def test_unit_of_the_latent_spreads_by_one(autoencoder, samples):
    Z = autoencoder.transform(samples)

    assert np.sqrt(Z.var(axis=0).mean()) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("words", [None, WORDS], ids=["alone", "with-words"])
def test_same_seed_gives_the_same_bits(samples, words):
    first, again, other = (
        fitted(samples, words, random_state=seed).network_.state_dict()
        for seed in (3, 3, 4)
    )

    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["latent.weight"], other["latent.weight"])


def test_words_change_nothing_in_the_latent(samples):
    named, unnamed = fitted(samples, WORDS[:20]), fitted(samples)

    assert named.classes_.tolist() == ["fast", "middling"]

    np.testing.assert_array_equal(named.transform(samples), unnamed.transform(samples))


@pytest.mark.parametrize("classes", [["fast", "slow"], ["fast", "middling", "slow"]])
def test_scores_are_log_odds_of_a_logistic_regression(autoencoder, samples, classes):
    known = np.isin(WORDS, classes)
    words = WORDS[known]
    both = fitted(samples[known], words)
    odds = np.exp(both.scores(samples[known]).astype(float))
    shares = odds / odds.sum(axis=1, keepdims=True)

    # at its optimum each class is told as often as it is there
    counts = [(words == name).mean() for name in classes]
    np.testing.assert_allclose(shares.mean(axis=0), counts, atol=1e-3)


def test_same_bits_alone_and_in_company(autoencoder, samples):
    alone = np.concatenate([autoencoder.transform(one[None]) for one in samples[:5]])

    np.testing.assert_array_equal(alone, autoencoder.transform(samples)[:5])


def test_reconstruction_has_mean_0_and_spread_1(autoencoder, samples):
    made = autoencoder.reconstruct(samples[:3])

    assert made.shape == (3, 64, 64)
    np.testing.assert_allclose(made.mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(made.std(axis=(1, 2)), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((3, 64)), None, r"must be \(n_samples.*got \(3, 64\)"),
        (np.ones((0, 64, 64)), None, r"got \(0, 64, 64\)"),
        (np.ones((2, 64, 32)), None, r"got \(2, 64, 32\)"),
        (np.ones((2, 64, 64)), ["a", "b", "a"], "y has 3 words, X 2 samples"),
        (np.ones((2, 64, 64)), ["a", "a"], "two different words, got .*'a'"),
    ],
    ids=["flat", "empty", "oblong", "too-many-words", "one-word"],
)
def test_samples_that_do_not_fit(X, y, message):
    with pytest.raises(ModelError, match=message):
        PublishedAutoencoder(64).fit(X, y)


def test_scores_without_words_name_the_cure(samples):
    with pytest.raises(ModelError, match="give `y` to `fit`"):
        fitted(samples).scores(samples)


def test_samples_of_another_size(autoencoder):
    with pytest.raises(ModelError, match="32 rows, the model 64"):
        autoencoder.transform(np.ones((1, 32, 32)))


def test_weights_of_another_network():
    with pytest.raises(ModelError, match="do not fit"):
        PublishedAutoencoder.from_state({}, ["a", "b"], 64)


def test_loaded_baseline_answers_as_the_trained_one(published_bundle, published_folder):
    frame = np.arange(80)
    two_time = 1 + 0.3 * np.exp(-np.abs(frame[:, None] - frame) / 9.0)
    sample = to_sample(two_time)[None]
    model = load_model(published_folder)

    trained, latent = published_bundle.autoencoder, published_bundle.latent
    np.testing.assert_array_equal(model.embed(two_time), trained.transform(sample))
    made = trained.reconstruct(sample)
    np.testing.assert_array_equal(model.reconstruct(two_time), made)
    (answer,) = model.classify(two_time)
    probabilities = latent.probabilities(trained.scores(sample))[0]
    np.testing.assert_array_equal(list(answer.probabilities.values()), probabilities)


def test_card_says_that_it_is_a_baseline(published_bundle, published_folder):
    card = load_model(published_folder).card

    assert (card["preset"], card["n_components"]) == ("published", 64)
    assert card["training"] == published_bundle.config.model_dump()
    assert card["scope"].startswith("A baseline")
    assert card["label_free"]


def test_training_again_gives_the_same_file(published_bundle, published_folder):
    save_bundle(train(published_bundle.config), published_folder / "again")

    name = "tiny-published.safetensors"
    first = (published_folder / name).read_bytes()
    assert (published_folder / "again" / name).read_bytes() == first


def test_every_map_is_learned_from_for_itself(samples, monkeypatch):
    learned = []

    def learn(_network, maps, _recipe, _progress):
        learned.append(maps.numpy())
        return [0.0]

    monkeypatch.setattr(published, "learn_images", learn)
    pairs = samples[:20].reshape(10, 2, 64, 64)
    scenes = SceneSet(pairs, pairs, np.repeat(["a", "b"], 5))
    measured = MeasuredGroups(samples[20:], np.zeros(10, int))

    fitted = training._fit_published(PublishedConfig(), scenes, measured, print)

    np.testing.assert_array_equal(learned[0], samples)
    assert fitted.classes_.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        ("hal", "preset 'hal', this release knows ainerd and published; update"),
        ("ainerd", "do not fit the network"),
    ],
)
def test_card_of_another_preset(published_folder, preset, message):
    path = published_folder / "tiny-published.json"
    card = json.loads(path.read_text()) | {"preset": preset}
    path.write_text(json.dumps(card))

    with pytest.raises(ModelError, match=message):
        load_model(published_folder)


@pytest.mark.parametrize("bad", [{"size": 100}, {"version": "1/2"}, {"width": 3}])
def test_settings_that_cannot_be(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        PublishedConfig(**bad)
