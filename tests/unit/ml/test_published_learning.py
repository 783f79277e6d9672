import pytest

pytest.importorskip("torch")

import torch

from ainerd_bluesky.ml.published_learning import (
    ImageRecipe,
    as_images,
    learn_images,
    shifted,
)
from ainerd_bluesky.ml.published_network import PublishedNetwork


@pytest.fixture
def maps():
    """Eight decays of different widths along the diagonal, 32 frames."""
    frames = torch.arange(32.0)
    lag = (frames[:, None] - frames).abs()
    return torch.stack([1 + 0.3 * torch.exp(-lag / width) for width in range(1, 9)])


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (5.0, -2.0)])
def test_contrast_and_baseline_are_scaled_away(maps, size, gain, offset):
    images = as_images(maps, size)

    assert images.shape == (8, size, size)
    torch.testing.assert_close(images.amin(dim=(1, 2)), torch.zeros(8))
    torch.testing.assert_close(images.amax(dim=(1, 2)), torch.ones(8))
    torch.testing.assert_close(as_images(gain * maps + offset, size), images)


def test_map_without_structure_gives_an_empty_image():
    assert as_images(torch.full((1, 32, 32), 1.2), 64).abs().max() == 0.0


def test_stationary_map_shifts_into_wrapped_itself(maps):
    # of a stationary map only the wrapped corner changes: rows 0 to 4 against the rest
    moved = shifted(maps, torch.full((8,), 5))

    torch.testing.assert_close(moved[:, 5:, 5:], maps[:, 5:, 5:])
    torch.testing.assert_close(moved[:, :5, :5], maps[:, :5, :5])
    assert (moved[:, :5, 5:] != maps[:, :5, 5:]).any()


def test_each_image_is_moved_by_its_own_shift(maps):
    n_frames = torch.arange(8)

    moved = shifted(maps, n_frames)

    for before, after, shift in zip(maps, moved, n_frames.tolist(), strict=True):
        assert torch.equal(after, torch.roll(before, (shift, shift), (0, 1)))


@pytest.fixture(scope="module")
def losses_of():
    """Train for some rounds on decays, with given seeds of weights and of order."""

    def learn(maps, seed, n_epochs=10):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            recipe = ImageRecipe(n_epochs, 2, 8, 2e-3, seed)
            seen = []
            losses = learn_images(
                PublishedNetwork(64), maps, recipe, lambda *step: seen.append(step)
            )
        assert seen == list(enumerate(losses))
        return losses

    return learn


def test_loss_falls(maps, losses_of):
    losses = losses_of(maps, seed=0)

    assert losses[-1] < 0.8 * losses[0]


def test_seed_decides_order_and_shifts(maps, losses_of):
    first, again, other = (losses_of(maps, seed, n_epochs=1) for seed in (1, 1, 2))

    assert first == again != other
