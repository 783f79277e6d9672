"""How the published network learns: shifted images, L1 loss, a cyclic rate."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ainerd_bluesky.ml.published_network import PublishedNetwork

__all__ = ["ImageRecipe", "as_images", "learn_images", "shifted"]

# From the lowest to the highest rate, or half of a training that is shorter than a
# cycle; the range is halved with each full cycle.
_EPOCHS_UP = 6
_LOWEST_RATE = 0.1


@dataclass(frozen=True)
class ImageRecipe:
    """How long and how fast to learn.

    Parameters
    ----------
    n_epochs : int
        Rounds through all images.
    n_images : int
        Images of each map in a round, every one shifted anew.
    batch_size : int
        Images per step.
    learning_rate : float
        Highest rate of the cyclic schedule.
    seed : int
        Rules order and shifts.
    """

    n_epochs: int
    n_images: int
    batch_size: int
    learning_rate: float
    seed: int


def as_images(samples: Tensor, size: int) -> Tensor:
    """Resize samples and scale each by its own minimum and maximum.

    Parameters
    ----------
    samples : Tensor of shape (n_samples, n_rows, n_rows)
        Maps.
    size : int
        Rows and columns of an image.

    Returns
    -------
    Tensor of shape (n_samples, size, size)
        From 0 to 1; a map without any structure gives 0 everywhere.

    Examples
    --------
    >>> as_images(torch.tensor([[[1.0, 3.0], [3.0, 5.0]]]), 2).tolist()
    [[[0.0, 0.5], [0.5, 1.0]]]
    """
    images = nn.functional.interpolate(
        samples[:, None], (size, size), mode="bilinear", antialias=True
    )[:, 0]
    lowest = images.amin(dim=(1, 2), keepdim=True)
    spread = images.amax(dim=(1, 2), keepdim=True) - lowest
    return (images - lowest) / torch.where(spread > 0, spread, 1.0)


def shifted(images: Tensor, n_frames: Tensor) -> Tensor:
    """Move images along their diagonal; what leaves one end enters at the other.

    Parameters
    ----------
    images : Tensor of shape (n_images, size, size)
        Images.
    n_frames : Tensor of int64, shape (n_images,)
        By how many rows and columns each is moved.

    Returns
    -------
    Tensor of shape (n_images, size, size)
        No physics has such maps where dynamics age: the first frames meet the last.

    Examples
    --------
    >>> shifted(torch.tensor([[[1, 2], [3, 4]]]), torch.tensor([1])).tolist()
    [[[4, 3], [2, 1]]]
    """
    n_images, size, _ = images.shape
    frames = (torch.arange(size) - n_frames[:, None]) % size
    each = torch.arange(n_images)[:, None, None]
    return images[each, frames[:, :, None], frames[:, None, :]]


def learn_images(
    network: PublishedNetwork,
    samples: Tensor,
    recipe: ImageRecipe,
    progress: Callable[[int, float], None],
) -> list[float]:
    """Train a network in place to give its own input.

    Parameters
    ----------
    network : PublishedNetwork
        Changed.
    samples : Tensor of shape (n_samples, n_rows, n_rows)
        Maps.
    recipe : ImageRecipe
        How long and how fast.
    progress : callable
        Called with epoch and mean loss after each epoch.

    Returns
    -------
    list of float
        Mean loss of each epoch.
    """
    rng = torch.Generator().manual_seed(recipe.seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    n_images = len(samples) * recipe.n_images
    n_steps = -(-n_images // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.CyclicLR(
        optimizer,
        base_lr=_LOWEST_RATE * recipe.learning_rate,
        max_lr=recipe.learning_rate,
        step_size_up=max(1, round(n_steps * min(_EPOCHS_UP, recipe.n_epochs / 2))),
        mode="triangular2",
        cycle_momentum=False,
    )
    losses = []
    network.train()
    for epoch in range(recipe.n_epochs):
        total = 0.0
        for images in _batches(samples, network.size, recipe, rng):
            loss = nn.functional.l1_loss(network(images), images)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            optimizer.step()
            schedule.step()
            total += loss.item() * len(images)
        losses.append(total / n_images)
        progress(epoch, losses[-1])
    return losses


def _batches(
    samples: Tensor, size: int, recipe: ImageRecipe, rng: torch.Generator
) -> Iterator[Tensor]:
    order = torch.randperm(len(samples) * recipe.n_images, generator=rng)
    for chosen in torch.split(order % len(samples), recipe.batch_size):
        n_frames = torch.randint(size, (len(chosen),), generator=rng)
        yield shifted(as_images(samples[chosen], size), n_frames)
