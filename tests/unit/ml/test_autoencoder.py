import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sklearn.base import clone  # noqa: E402 - after the skip
from sklearn.exceptions import NotFittedError  # noqa: E402

from ainerd_bluesky.errors import ModelError  # noqa: E402
from ainerd_bluesky.ml.autoencoder import DynamicsAutoencoder  # noqa: E402
from ainerd_bluesky.ml.measured_maps import MeasuredGroups  # noqa: E402

SMALL = {
    "n_kind": 3,
    "n_shape": 2,
    "n_decay": 4,
    "width": 8,
    "n_epochs": 2,
    "batch_size": 16,
}


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    delay = np.abs(np.subtract.outer(np.arange(32), np.arange(32)))
    clean = np.exp(-delay / rng.uniform(1, 40, 48)[:, None, None])
    clean = np.stack([clean, clean], axis=1)
    noise = rng.normal(0, 0.1, clean.shape)
    X = 1.0 + 0.3 * clean + 0.5 * (noise + noise.transpose(0, 1, 3, 2))
    y = np.where(clean[:, 0, 0, 20] > 0.3, "static", "stationary")
    return X.astype(np.float32), y, clean.astype(np.float32)


@pytest.fixture(scope="module")
def fitted(samples):
    return DynamicsAutoencoder(**SMALL).fit(*samples)


@pytest.fixture(scope="module")
def first_views(samples):
    return samples[0][:, 0]


def test_fit_returns_the_estimator(fitted):
    assert isinstance(fitted, DynamicsAutoencoder)
    assert fitted.classes_.tolist() == ["static", "stationary"]
    assert fitted.n_features_in_ == 32


def test_loss_falls(samples):
    curve = DynamicsAutoencoder(**SMALL | {"n_epochs": 8}).fit(*samples).loss_curve_

    assert len(curve) == 8
    assert curve[-1] < curve[0]


def test_fingerprint_is_a_kind_of_length_one_a_decay_and_a_shape(fitted, first_views):
    Z = fitted.transform(first_views)

    assert Z.shape == (48, 9)
    assert Z.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(Z[:, :3], axis=1), 1.0, rtol=1e-5)


def test_words_do_not_shape_the_fingerprint(samples, first_views):
    other = np.roll(samples[1], 7)

    prints = [
        DynamicsAutoencoder(**SMALL).fit(samples[0], y, samples[2])
        for y in (samples[1], other)
    ]

    assert (samples[1] != other).any()
    np.testing.assert_array_equal(*(each.transform(first_views) for each in prints))


def test_measured_maps_change_the_fingerprint(fitted, samples, first_views):
    groups = MeasuredGroups(first_views, np.arange(48) // 4)

    again = clone(fitted).fit(*samples, measured=groups)

    assert not np.array_equal(
        again.transform(first_views), fitted.transform(first_views)
    )


def test_contrast_hardly_matters(fitted, samples):
    # where it is gone at once, or hardly falls, there is no decay to see
    weak = 1.0 + 0.5 * (samples[0][:, 0] - 1.0)
    size = weak.shape[-1]
    profile = np.array(
        [weak.diagonal(lag, 1, 2).mean(axis=1) for lag in range(1, size)]
    )
    height = profile[:2].mean(axis=0) - profile.mean(axis=0)
    is_seen = (samples[2][:, 0, 0, 2] > 0.5) & (height > 0.05)
    assert is_seen.sum() > 5
    strong, weak = samples[0][is_seen, 0], weak[is_seen]

    np.testing.assert_allclose(
        fitted.transform(weak), fitted.transform(strong), atol=0.03
    )


def test_decay_tells_rates_whatever_the_contrast(samples, fitted):
    clean = samples[2]
    expected = np.log(clean[:, 0, 0, 4])
    known, weak = (
        fitted.transform(1 + beta * clean[:, 0])[:, 3:7] for beta in (0.9, 0.2)
    )

    distance = np.linalg.norm(weak[:, None] - known[None], axis=2)
    told = expected[distance.argmin(axis=1)]

    np.testing.assert_allclose(told, expected, atol=0.01)


@pytest.mark.parametrize("method", ["transform", "scores", "reconstruct"])
def test_sample_gives_the_same_bits_alone_and_in_company(fitted, first_views, method):
    ask = getattr(fitted, method)
    together = ask(first_views)
    alone = np.concatenate([ask(sample[None]) for sample in first_views])

    np.testing.assert_array_equal(alone, together)


def test_shape_gives_a_clean_map_back(samples):
    fitted = DynamicsAutoencoder(**SMALL | {"n_shape": 6}).fit(*samples)
    clean = samples[2][:, 0]

    again = fitted.reconstruct(1 + clean)

    likeness = [
        np.corrcoef(*(each[np.triu_indices(32)] for each in pair))[0, 1]
        for pair in zip(again, clean, strict=True)
    ]
    assert min(likeness) > 0.99


def test_reconstruction_is_symmetric(fitted, first_views):
    clean = fitted.reconstruct(first_views[:5])

    assert clean.shape == (5, 32, 32)
    np.testing.assert_array_equal(clean, clean.transpose(0, 2, 1))


@pytest.mark.parametrize(("random_state", "is_same"), [(0, True), (1, False)])
def test_random_state_rules_all_chance(
    fitted, samples, first_views, random_state, is_same
):
    again = clone(fitted).set_params(random_state=random_state).fit(*samples)

    same = np.array_equal(again.transform(first_views), fitted.transform(first_views))
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


def test_clean_maps_are_optional(samples, first_views):
    fitted = DynamicsAutoencoder(**SMALL).fit(samples[0], samples[1])

    assert fitted.reconstruct(first_views[:1]).shape == (1, 32, 32)


@pytest.mark.parametrize("method", ["transform", "scores", "reconstruct"])
def test_unfitted_estimator_says_so(method, first_views):
    with pytest.raises(NotFittedError):
        getattr(DynamicsAutoencoder(), method)(first_views)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ones((4, 32, 32)), r"got \(4, 32, 32\)"),
        (np.ones((4, 3, 32, 32)), r"2, size, size\), got \(4, 3, 32, 32\)"),
        (np.ones((4, 2, 32, 16)), r"got \(4, 2, 32, 16\)"),
        (np.ones((4, 2, 20, 20)), "multiple of 16"),
        (np.ones((0, 2, 32, 32)), "must hold samples"),
        (np.ones((3, 2, 32, 32)), "y has 4 labels, X 3 samples"),
    ],
    ids=["one-view", "three-views", "oblong", "odd-size", "empty", "labels"],
)
def test_samples_that_do_not_fit(X, message):
    with pytest.raises(ModelError, match=message):
        DynamicsAutoencoder(**SMALL).fit(X, ["static"] * 4)


def test_samples_of_another_size(fitted):
    with pytest.raises(ModelError, match="48 rows, the model 32"):
        fitted.transform(np.ones((1, 48, 48)))


def test_state_gives_the_estimator_back(fitted, first_views):
    state = fitted.network_.state_dict()

    again = DynamicsAutoencoder.from_state(state, ["static", "stationary"], 32)

    np.testing.assert_array_equal(
        again.transform(first_views), fitted.transform(first_views)
    )


@pytest.mark.parametrize(
    "missing", ["head.0.weight", "decay.basis", "shape.basis", "kind.6.bias"]
)
def test_state_that_lacks_a_tensor(fitted, missing):
    state = dict(fitted.network_.state_dict())
    del state[missing]

    with pytest.raises(ModelError, match=missing):
        DynamicsAutoencoder.from_state(state, ["static", "stationary"], 32)
