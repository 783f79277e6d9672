import numpy as np
import pytest

pytest.importorskip("sklearn")

from ainerd_bluesky.ml.calibration import (
    calibrated,
    expected_calibration_error,
    fit_latent,
    measure,
)

CLASSES = ("calm", "odd", "wild")
CENTRES = np.array([[4.0, 0.0], [-4.0, 0.0], [0.0, 4.0]])


def blobs(n_samples, seed, spread=1.0):
    rng = np.random.default_rng(seed)
    index = np.arange(n_samples) % 3
    Z = CENTRES[index] + rng.normal(0, spread, (n_samples, 2))
    return Z.astype(np.float32), np.array(CLASSES)[index]


def scores_of(Z):
    """Bayes' own scores: every class has the same spread."""
    return (Z @ CENTRES.T).astype(np.float32)


def known(n_samples, seed):
    Z, y = blobs(n_samples, seed)
    return Z, scores_of(Z), y


@pytest.fixture(scope="module")
def latent():
    Z, y = blobs(600, 0)
    return fit_latent(Z, y, CLASSES, n_clusters=3, random_state=0)


def test_means_are_those_of_the_classes(latent):
    # standard error of a mean of 200: 0.07
    np.testing.assert_allclose(latent.means, CENTRES, atol=0.3)


def test_whitened_distance_is_chi_distributed(latent):
    Z, y = blobs(3000, 1)
    rest = (Z - latent.means[np.searchsorted(CLASSES, y)]) @ latent.whitening

    # two components of unit variance: the mean square distance is 2
    assert np.square(rest).sum(axis=1).mean() == pytest.approx(2.0, rel=0.1)


def test_clusters_are_found_without_labels(latent):
    Z, y = blobs(300, 2)

    clusters = latent.clusters(Z)

    pairs = {(word, cluster) for word, cluster in zip(y, clusters, strict=True)}
    assert len(pairs) <= 5
    assert len(set(clusters)) == 3


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_temperature_undoes_a_wrong_scale(latent, factor):
    Z, y = blobs(1500, 3, spread=1.5)
    scores = scores_of(Z)
    right = calibrated(latent, scores, y).temperature

    assert calibrated(latent, factor * scores, y).temperature == pytest.approx(
        factor * right, rel=0.05
    )


@pytest.mark.parametrize(
    ("confidence", "n_right", "error"),
    [(1.0, 10, 0.0), (1.0, 0, 1.0), (0.8, 8, 0.0), (0.9, 5, 0.4)],
)
def test_calibration_error(confidence, n_right, error):
    is_right = np.arange(10) < n_right

    found = expected_calibration_error(np.full(10, confidence), is_right)

    assert found == pytest.approx(error)


def test_figures_agree_with_each_other(latent):
    snr = np.linspace(5.0, 100.0, 300)

    figures = measure(latent, *known(300, 6), snr)

    confusion = np.array(figures["confusion"])
    assert figures["n_maps"] == confusion.sum() == 300
    assert figures["accuracy"] == pytest.approx(np.trace(confusion) / 300, abs=1e-4)
    assert figures["recall"]["calm"] == pytest.approx(confusion[0, 0] / 100)
    bands = figures["accuracy_by_signal_to_noise"]
    assert sum(band["n_maps"] for band in bands.values()) == (snr >= 8).sum()
