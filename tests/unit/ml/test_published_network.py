"""The architecture, held against what the authors publish of theirs."""

import pytest

pytest.importorskip("torch")

import torch

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.ml.published_network import PublishedNetwork, image_size_of


@pytest.fixture(scope="module")
def network():
    return PublishedNetwork().eval()


def n_weights(module):
    return sum(weights.numel() for weights in module.parameters())


def test_as_many_parameters_as_published(network):
    assert n_weights(network) == 379_665


def test_latent_of_64_rectified_units_behind_1024(network):
    with torch.inference_mode():
        Z = network.encode(torch.rand(2, 256, 256))

    assert Z.shape == (2, 64)
    assert Z.min() == 0.0
    assert network.latent.in_features == 1024


def test_image_goes_in_and_comes_out_from_0_to_1(network):
    with torch.inference_mode():
        image = network(torch.rand(1, 256, 256))

    assert image.shape == (1, 256, 256)
    assert 0.0 <= image.min() <= image.max() <= 1.0


@pytest.mark.parametrize(("size", "n_flat"), [(64, 64), (128, 256), (256, 1024)])
def test_size_of_the_image_changes_both_sides_of_the_latent_only(size, n_flat):
    smaller = PublishedNetwork(size)

    around_latent = n_flat * 64 + 64 + 64 * n_flat + n_flat
    # encoder 71,792 and decoder 175,713: convolutions of fixed widths
    assert n_weights(smaller) == 71_792 + 175_713 + around_latent
    assert image_size_of(smaller.latent.weight) == size


def test_class_head_is_no_part_of_the_published_network():
    assert PublishedNetwork().head is None
    assert n_weights(PublishedNetwork(n_classes=9)) == 379_665 + 9 * 65


def test_latent_of_another_scale_gives_the_same_images():
    network, images = PublishedNetwork(64).eval(), torch.rand(3, 64, 64)
    with torch.inference_mode():
        Z, made = network.encode(images), network(images)

    network.rescale(8.0)

    # a power of two, so that not a bit is lost
    with torch.inference_mode():
        assert torch.equal(network.encode(images), 8 * Z)
        assert torch.equal(network(images), made)


@pytest.mark.parametrize("size", [0, 32, 100, 250])
def test_size_that_cannot_be_pooled(size):
    with pytest.raises(ModelError, match=f"multiple of 64, got {size}"):
        PublishedNetwork(size)
