import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sklearn.base import clone  # noqa: E402 - after the skip
from sklearn.exceptions import NotFittedError  # noqa: E402

from ainerd_bluesky.errors import ModelError  # noqa: E402
from ainerd_bluesky.ml.autoencoder import DynamicsAutoencoder  # noqa: E402
from ainerd_bluesky.ml.network import DynamicsNetwork  # noqa: E402

SMALL = {"n_components": 4, "width": 4, "n_epochs": 2, "batch_size": 16}


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    delay = np.abs(np.subtract.outer(np.arange(32), np.arange(32)))
    clean = np.exp(-delay / rng.uniform(1, 40, 48)[:, None, None])
    noise = rng.normal(0, 0.1, clean.shape)
    X = 1.0 + 0.3 * clean + 0.5 * (noise + noise.transpose(0, 2, 1))
    y = np.where(clean[:, 0, 20] > 0.3, "static", "stationary")
    return X.astype(np.float32), y, clean.astype(np.float32)


@pytest.fixture(scope="module")
def fitted(samples):
    return DynamicsAutoencoder(**SMALL).fit(*samples)


def test_fit_returns_the_estimator(fitted):
    assert isinstance(fitted, DynamicsAutoencoder)
    assert fitted.classes_.tolist() == ["static", "stationary"]
    assert fitted.n_features_in_ == 32


def test_loss_falls(samples):
    curve = DynamicsAutoencoder(**SMALL | {"n_epochs": 8}).fit(*samples).loss_curve_

    assert len(curve) == 8
    assert curve[-1] < curve[0]


def test_latent_has_the_stated_size(fitted, samples):
    Z = fitted.transform(samples[0])

    assert Z.shape == (48, 4)
    assert Z.dtype == np.float32


def test_sample_gives_the_same_bits_alone_and_in_company(fitted, samples):
    together = fitted.transform(samples[0])
    alone = np.concatenate([fitted.transform(sample[None]) for sample in samples[0]])

    np.testing.assert_array_equal(alone, together)


def test_reconstruction_is_a_correlation(fitted, samples):
    clean = fitted.reconstruct(samples[0][:5])

    assert clean.shape == (5, 32, 32)
    assert 0.0 <= clean.min() <= clean.max() <= 1.0
    np.testing.assert_allclose(clean, clean.transpose(0, 2, 1), atol=1e-6)


@pytest.mark.parametrize(("random_state", "is_same"), [(0, True), (1, False)])
def test_random_state_rules_all_chance(fitted, samples, random_state, is_same):
    again = clone(fitted).set_params(random_state=random_state).fit(*samples)

    same = np.array_equal(again.transform(samples[0]), fitted.transform(samples[0]))
    assert same == is_same


def test_fit_leaves_the_global_generator_alone(samples):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    DynamicsAutoencoder(**SMALL).fit(*samples)

    assert torch.equal(torch.rand(4), expected)


def test_clone_has_the_parameters_and_no_weights(fitted):
    copy = clone(fitted)

    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "network_")


def test_clean_maps_are_optional(samples):
    fitted = DynamicsAutoencoder(**SMALL).fit(samples[0], samples[1])

    assert fitted.reconstruct(samples[0][:1]).shape == (1, 32, 32)


@pytest.mark.parametrize("method", ["transform", "reconstruct"])
def test_unfitted_estimator_says_so(method, samples):
    with pytest.raises(NotFittedError):
        getattr(DynamicsAutoencoder(), method)(samples[0])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ones((4, 32)), r"got \(4, 32\)"),
        (np.ones((4, 32, 16)), r"got \(4, 32, 16\)"),
        (np.ones((4, 20, 20)), "multiple of 16"),
        (np.ones((0, 32, 32)), "must hold samples"),
        (np.ones((3, 32, 32)), "y has 4 labels, X 3 samples"),
    ],
    ids=["flat", "oblong", "odd-size", "empty", "labels"],
)
def test_samples_that_do_not_fit(X, message):
    with pytest.raises(ModelError, match=message):
        DynamicsAutoencoder(**SMALL).fit(X, ["static"] * 4)


def test_samples_of_another_size(fitted):
    with pytest.raises(ModelError, match="48 rows, the model 32"):
        fitted.transform(np.ones((1, 48, 48)))


def test_state_gives_the_estimator_back(fitted, samples):
    state = fitted.network_.state_dict()

    again = DynamicsAutoencoder.from_state(state, ["static", "stationary"], 32)

    np.testing.assert_array_equal(
        again.transform(samples[0]), fitted.transform(samples[0])
    )


@pytest.mark.parametrize("missing", ["head.weight", "decoder.latent.bias"])
def test_state_that_lacks_a_tensor(fitted, missing):
    state = dict(fitted.network_.state_dict())
    del state[missing]

    with pytest.raises(ModelError, match=missing):
        DynamicsAutoencoder.from_state(state, ["static", "stationary"], 32)


@pytest.mark.parametrize("size", [32, 64])
def test_network_gives_latent_map_and_scores(size):
    network = DynamicsNetwork(size, n_components=5, n_classes=3, width=4).eval()

    latent, clean, scores = network(torch.ones((2, size, size)))

    assert latent.shape == (2, 5)
    assert clean.shape == (2, size, size)
    assert scores.shape == (2, 3)
