"""How a trained network learns a facility's maps without forgetting the others."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from ainerd_bluesky.ml.augmentation import random_offsets
from ainerd_bluesky.ml.checkpoints import Checkpoint
from ainerd_bluesky.ml.network import DynamicsNetwork

__all__ = [
    "Curves",
    "FineTuningConfig",
    "HalfViews",
    "Lessons",
    "SimulatedViews",
    "Tuning",
]

_TEMPERATURE = 0.15
_FEATURE_NOISE = 0.07
_MOST_WATCHED = 512
_BEST, _NETWORK, _OPTIMIZER = "best.", "network.", "optimizer."


class FineTuningConfig(BaseModel):
    """Everything, besides the maps and the model, that decides the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: Annotated[int, Field(ge=0)] = 0
    """Rules all chance."""
    n_maps: Annotated[int, Field(ge=90)] = 3600
    """Fresh simulated maps to learn from too, two of each scene."""
    n_held_out: Annotated[int, Field(ge=90)] = 900
    """Simulated maps to calibrate with, and as many others to measure with."""
    n_epochs: Annotated[int, Field(ge=1)] = 30
    """Most epochs; after each the loss of the watched runs is looked at."""
    n_steps: Annotated[int, Field(ge=1)] = 20
    """Steps of an epoch."""
    patience: Annotated[int, Field(ge=1)] = 5
    """Epochs without a better loss after which to stop."""
    batch_size: Annotated[int, Field(ge=8)] = 128
    """Own maps, and as many simulated ones, per step."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    """At the first epoch; it falls to zero as a cosine."""
    keep_weight: Annotated[float, Field(ge=0)] = 10.0
    """Weight of what fingerprints of simulated maps move away from where they were."""
    n_threads: Annotated[int, Field(ge=1)] = 2
    """Threads of torch: the weights are the same for the same number."""


@dataclass(frozen=True, eq=False)
class HalfViews:
    """Both halves of own maps.

    Parameters
    ----------
    samples : Tensor of shape (2, n_maps, size, size)
        Of even and of odd frames.
    features : Tensor of shape (2, n_maps, n_features)
        What they show.
    runs : Tensor of int64, shape (n_maps,)
        Number of the run of each.
    """

    samples: Tensor
    features: Tensor
    runs: Tensor

    def __len__(self) -> int:
        return len(self.runs)

    def at(self, chosen: Tensor) -> "HalfViews":
        """Return the chosen maps."""
        samples, features = self.samples[:, chosen], self.features[:, chosen]
        return HalfViews(samples, features, self.runs[chosen])


@dataclass(frozen=True, eq=False)
class SimulatedViews:
    """Simulated maps with their words.

    Parameters
    ----------
    samples : Tensor of shape (n_maps, size, size)
        Noisy maps.
    features : Tensor of shape (n_maps, n_features)
        What they show.
    classes : Tensor of int64, shape (n_maps,)
        Word of each.
    is_flat : Tensor of bool, shape (n_maps,)
        Maps told by their level alone.
    """

    samples: Tensor
    features: Tensor
    classes: Tensor
    is_flat: Tensor

    def __len__(self) -> int:
        return len(self.classes)

    def at(self, chosen: Tensor) -> "SimulatedViews":
        """Return the chosen maps."""
        return SimulatedViews(
            self.samples[chosen],
            self.features[chosen],
            self.classes[chosen],
            self.is_flat[chosen],
        )


@dataclass(frozen=True, eq=False)
class Lessons:
    """Own and simulated maps, to learn from or to watch.

    Parameters
    ----------
    own : HalfViews
        Of the facility.
    simulated : SimulatedViews
        Drawn afresh.
    """

    own: HalfViews
    simulated: SimulatedViews

    def spread(self, n_most: int) -> "Lessons":
        """Return so many maps of each kind at most, evenly spread."""
        return Lessons(
            self.own.at(_spread(len(self.own), n_most)),
            self.simulated.at(_spread(len(self.simulated), n_most)),
        )


@dataclass(frozen=True)
class Curves:
    """How the loss went.

    Parameters
    ----------
    learn : tuple of float
        Mean loss of each epoch.
    watch : tuple of float
        Loss of the watched runs before the first epoch and after each.
    best_epoch : int
        Epochs after which the watched loss was lowest; these weights are kept. 0 means
        that nothing that was learned helped.
    """

    learn: tuple[float, ...]
    watch: tuple[float, ...]
    best_epoch: int


class Tuning:
    """A network on its way, one epoch at a time.

    The network stays in evaluation mode: normalisations keep what they have learned of
    all maps, and nothing is left to chance but order, noise and offsets, which follow
    from the seed and the number of the epoch. What makes the traits stays too.

    Parameters
    ----------
    network : DynamicsNetwork
        Changed in place.
    learn, watch : Lessons
        Of runs that have no map in common.
    config : FineTuningConfig
        How long and how fast.
    """

    def __init__(
        self,
        network: DynamicsNetwork,
        learn: Lessons,
        watch: Lessons,
        config: FineTuningConfig,
    ) -> None:
        self._network = network.eval()
        self._teacher = copy.deepcopy(network).requires_grad_(requires_grad=False)
        self._learn, self._watch = learn, watch.spread(_MOST_WATCHED)
        self._config = config
        kept = set(network.of_traits.parameters())
        learning = [each for each in network.parameters() if each not in kept]
        self._optimizer = torch.optim.Adam(learning, config.learning_rate)
        self._best = _copied(network.state_dict())
        self._curves = Curves((), (self._watched(),), 0)

    @property
    def curves(self) -> Curves:
        """How the loss went so far."""
        return self._curves

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self._curves.learn)

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or more are not worth while."""
        waited = self.epoch - self._curves.best_epoch
        return self.epoch >= self._config.n_epochs or waited >= self._config.patience

    def advance(self) -> None:
        """Learn for one epoch."""
        learned = self._learned()
        curves, watched = self._curves, self._watched()
        is_best = watched < min(curves.watch)
        if is_best:
            self._best = _copied(self._network.state_dict())
        self._curves = Curves(
            (*curves.learn, learned),
            (*curves.watch, watched),
            self.epoch + 1 if is_best else curves.best_epoch,
        )

    def finish(self) -> None:
        """Give the network the weights of the best epoch."""
        self._network.load_state_dict(self._best)

    def checkpoint(self) -> Checkpoint:
        """Return all that is needed to go on from here."""
        tensors = {
            **_prefixed(_NETWORK, self._network.state_dict()),
            **_prefixed(_BEST, self._best),
        }
        for number, known in self._optimizer.state_dict()["state"].items():
            tensors |= _prefixed(f"{_OPTIMIZER}{number}.", known)
        return Checkpoint(tensors, vars(self._curves))

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to where a training stood, bit by bit.

        Parameters
        ----------
        checkpoint : Checkpoint
            Of the same lessons and recipe.
        """
        tensors = checkpoint.tensors
        self._network.load_state_dict(_part(tensors, _NETWORK))
        self._best = _part(tensors, _BEST)
        known: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _part(tensors, _OPTIMIZER).items():
            number, _, key = name.partition(".")
            known.setdefault(int(number), {})[key] = tensor
        state = self._optimizer.state_dict()
        self._optimizer.load_state_dict({**state, "state": known})
        facts = checkpoint.facts
        self._curves = Curves(
            tuple(facts["learn"]), tuple(facts["watch"]), facts["best_epoch"]
        )

    def _learned(self) -> float:
        config, epoch = self._config, self.epoch
        rng = _generator(config.seed, epoch)
        share = 0.5 * (1 + math.cos(math.pi * epoch / config.n_epochs))
        for group in self._optimizer.param_groups:
            group["lr"] = config.learning_rate * share
        total = 0.0
        for _ in range(config.n_steps):
            loss = self._loss(_drawn(self._learn, config.batch_size, rng), rng)
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            self._optimizer.step()
            total += loss.item()
        return total / config.n_steps

    def _watched(self) -> float:
        with torch.no_grad():
            return self._loss(self._watch, None).item()

    def _loss(self, lessons: Lessons, rng: torch.Generator | None) -> Tensor:
        """Compute the loss, of maps that are changed a little where there is chance."""
        own, simulated = lessons.own, lessons.simulated
        offset: Tensor | float = 0.0
        if rng is not None:
            offset = random_offsets(simulated.is_flat, rng)
        of_own = _noisy(self._network.prepare(own.features.flatten(0, 1)), rng)
        of_simulated = _noisy(self._network.prepare(simulated.features, offset), rng)
        return self._own_loss(own, of_own) + self._keep_loss(simulated, of_simulated)

    def _own_loss(self, own: HalfViews, inputs: Tensor) -> Tensor:
        """Want both halves at one place, away from other runs, with the same word."""
        Z = self._network.fingerprint(own.samples.flatten(0, 1), inputs)
        said = self._teacher.head(inputs).softmax(dim=1)
        agreed = torch.stack(said.chunk(2)).mean(dim=0)
        words = nn.functional.cross_entropy(
            self._network.head(inputs), torch.cat([agreed, agreed])
        )
        return _contrast(Z, own.runs) + words

    def _keep_loss(self, simulated: SimulatedViews, inputs: Tensor) -> Tensor:
        """Want fingerprints to stay where they were, and words to stay right."""
        before = self._teacher.fingerprint(simulated.samples, inputs)
        moved = self._network.fingerprint(simulated.samples, inputs) - before
        words = nn.functional.cross_entropy(
            self._network.head(inputs), simulated.classes
        )
        return self._config.keep_weight * moved.square().sum(dim=1).mean() + words


def _contrast(Z: Tensor, runs: Tensor) -> Tensor:
    """Contrast both halves of a map with maps of other runs; its own run is neither."""
    Z = nn.functional.normalize(Z, dim=1)
    n = len(runs)
    run, place = runs.repeat(2), torch.arange(2 * n)
    partner = (place + n) % (2 * n)
    is_neither = run[:, None] == run[None]
    is_neither[place, partner] = False
    likeness = (Z @ Z.T / _TEMPERATURE).masked_fill(is_neither, -1e9)
    return nn.functional.cross_entropy(likeness, partner)


def _noisy(inputs: Tensor, rng: torch.Generator | None) -> Tensor:
    if rng is None:
        return inputs
    return inputs + _FEATURE_NOISE * torch.randn(inputs.shape, generator=rng)


def _drawn(lessons: Lessons, n: int, rng: torch.Generator) -> Lessons:
    own, simulated = (
        torch.randperm(len(views), generator=rng)[:n]
        for views in (lessons.own, lessons.simulated)
    )
    return Lessons(lessons.own.at(own), lessons.simulated.at(simulated))


def _spread(n: int, n_most: int) -> Tensor:
    return torch.from_numpy(
        np.unique(np.linspace(0, n - 1, min(n, n_most)).astype(int))
    )


def _generator(seed: int, epoch: int) -> torch.Generator:
    """Return chance that follows from the epoch: a resumed training needs no other."""
    state = np.random.SeedSequence((seed, epoch)).generate_state(1)
    return torch.Generator().manual_seed(int(state[0]))


def _copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor.clone() for key, tensor in state.items()}


def _prefixed(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    return {f"{prefix}{key}": tensor for key, tensor in tensors.items()}


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }
