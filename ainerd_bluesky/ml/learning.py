"""How the network learns: batches of views, and what is wanted of each part."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ainerd_bluesky.ml.augmentation import random_offsets
from ainerd_bluesky.ml.network import STRUCTURE, DynamicsNetwork

__all__ = ["MeasuredViews", "Recipe", "SceneViews", "learn"]

_TEMPERATURE = 0.22
_FEATURE_NOISE = 0.07
# The kind shall not hang on how noisy a map is, nor on a baseline that is off.
_STRUCTURE_NOISE = 0.5
_KIND_OFFSET, _KIND_OFFSET_SHARE = 0.27, 1.0
_MEASURED_WEIGHT = 0.7
_MEASURED_PER_SCENE = 0.25
_WEIGHT_DECAY = 1e-2


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to learn.

    Parameters
    ----------
    n_epochs : int
        Times that every scene is seen.
    batch_size : int
        Scenes per step.
    learning_rate : float
        Highest rate of the one-cycle schedule.
    class_weight : float
        Weight of the class loss, which reaches the class head alone.
    seed : int
        Rules order, noise and offsets.
    """

    n_epochs: int
    batch_size: int
    learning_rate: float
    class_weight: float
    seed: int


@dataclass(frozen=True, eq=False)
class SceneViews:
    """Simulated scenes, two views each.

    Parameters
    ----------
    features : Tensor of shape (2, n_scenes, 2, n_features)
        Forwards and backwards in time, by scene and view.
    classes : Tensor of int64, shape (2, n_scenes)
        Class forwards and backwards.
    is_flat : Tensor of bool, shape (n_scenes,)
        Scenes told by their level alone.
    """

    features: Tensor
    classes: Tensor
    is_flat: Tensor

    def __len__(self) -> int:
        return len(self.is_flat)


@dataclass(frozen=True, eq=False)
class MeasuredViews:
    """Noisy measured maps, of which several show the same dynamics.

    Parameters
    ----------
    features : Tensor of shape (2, n_maps, n_features)
        Forwards and backwards in time.
    members : list of Tensor of int64
        Maps of each group that shows the same dynamics; two or more.
    """

    features: Tensor
    members: list[Tensor]


@dataclass(frozen=True, eq=False)
class _Batch:
    """Inputs of first views, then of second ones; scenes before measured maps.

    The kind sees more disturbances than the class head, which needs the level and the
    noise to tell some words.
    """

    of_kind: Tensor
    of_words: Tensor
    classes: Tensor
    n_scenes: int

    def halves(self, values: Tensor) -> tuple[Tensor, Tensor]:
        first, second = values.chunk(2)
        return first, second


def learn(
    network: DynamicsNetwork,
    scenes: SceneViews,
    measured: MeasuredViews | None,
    recipe: Recipe,
    progress: Callable[[int, float], None],
) -> list[float]:
    """Train a network in place.

    Parameters
    ----------
    network : DynamicsNetwork
        Changed.
    scenes : SceneViews
        Simulated.
    measured : MeasuredViews or None
        Measured; never labelled.
    recipe : Recipe
        How long and how fast.
    progress : callable
        Called with epoch and mean loss after each epoch.

    Returns
    -------
    list of float
        Mean loss of each epoch.
    """
    rng = torch.Generator().manual_seed(recipe.seed)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=_WEIGHT_DECAY
    )
    n_steps = -(-len(scenes) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.n_epochs * n_steps
    )
    losses = []
    network.train()
    for epoch in range(recipe.n_epochs):
        total = 0.0
        for batch in _batches(network, scenes, measured, recipe.batch_size, rng):
            loss = _loss(network, batch, recipe.class_weight)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            optimizer.step()
            schedule.step()
            total += loss.item() * batch.n_scenes
        losses.append(total / len(scenes))
        progress(epoch, losses[-1])
    return losses


def _batches(
    network: DynamicsNetwork,
    scenes: SceneViews,
    measured: MeasuredViews | None,
    batch_size: int,
    rng: torch.Generator,
) -> Iterator[_Batch]:
    order = torch.randperm(len(scenes), generator=rng)
    for chosen in torch.split(order, batch_size):
        features, classes = _drawn_scenes(scenes, chosen, rng)
        is_flat = scenes.is_flat[chosen].repeat(2)
        wide = random_offsets(
            is_flat, rng, spread=_KIND_OFFSET, share=_KIND_OFFSET_SHARE
        )
        offsets = [wide, random_offsets(is_flat, rng)]
        if measured is not None:
            n_groups = max(2, round(_MEASURED_PER_SCENE * len(chosen)))
            more = _drawn_groups(measured, n_groups, rng)
            features = torch.cat([features, more], dim=1)
            offsets = [_with_none(offset, more.shape[1]) for offset in offsets]
        # At once, so that both are normalised alike.
        inputs = network.prepare(
            features.flatten(0, 1).repeat(len(offsets), 1), torch.cat(offsets)
        )
        inputs = inputs + _FEATURE_NOISE * torch.randn(inputs.shape, generator=rng)
        of_kind, of_words = inputs.chunk(len(offsets))
        of_kind[:, STRUCTURE] += _STRUCTURE_NOISE * torch.randn(
            len(of_kind), generator=rng
        )
        yield _Batch(of_kind, of_words, classes, len(chosen))


def _with_none(offsets: Tensor, n_measured: int) -> Tensor:
    """Leave measured maps as they are: their baselines are off as it is."""
    none = torch.zeros((n_measured, 1))
    first, second = offsets.chunk(2)
    return torch.cat([first, none, second, none])


def _drawn_scenes(
    scenes: SceneViews, chosen: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Let time run backwards in half of the scenes; views go first."""
    is_reversed = (torch.rand(len(chosen), generator=rng) < 0.5).long()
    features = scenes.features[is_reversed, chosen]
    return features.transpose(0, 1), scenes.classes[is_reversed, chosen]


def _drawn_groups(
    measured: MeasuredViews, n_groups: int, rng: torch.Generator
) -> Tensor:
    """Draw two maps of each of some groups, each forwards or backwards."""
    groups = torch.randperm(len(measured.members), generator=rng)[:n_groups]
    pairs = []
    for group in groups.tolist():
        members = measured.members[group]
        pairs.append(members[torch.randperm(len(members), generator=rng)[:2]])
    maps = torch.stack(pairs, dim=1)
    is_reversed = (torch.rand(maps.shape, generator=rng) < 0.5).long()
    return measured.features[is_reversed, maps]


def _loss(network: DynamicsNetwork, batch: _Batch, class_weight: float) -> Tensor:
    kinds = batch.halves(network.kind(batch.of_kind))
    n_scenes = batch.n_scenes
    loss = _contrast(*(kind[:n_scenes] for kind in kinds))
    if len(kinds[0]) > n_scenes:
        loss = loss + _MEASURED_WEIGHT * _contrast(*(kind[n_scenes:] for kind in kinds))
    if class_weight == 0:
        return loss
    views = torch.cat([half[:n_scenes] for half in batch.halves(batch.of_words)])
    wanted = torch.cat([batch.classes, batch.classes])
    of_class = nn.functional.cross_entropy(network.head(views), wanted)
    return loss + class_weight * of_class


def _contrast(first: Tensor, second: Tensor) -> Tensor:
    """Information noise-contrastive loss: both views of a scene are neighbours."""
    kinds = nn.functional.normalize(torch.cat([first, second]), dim=1)
    n = len(first)
    likeness = kinds @ kinds.T / _TEMPERATURE
    likeness = likeness.masked_fill(torch.eye(2 * n, dtype=torch.bool), -1e9)
    partner = torch.cat([torch.arange(n, 2 * n), torch.arange(n)])
    return nn.functional.cross_entropy(likeness, partner)
