"""Train a model from nothing but a seed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from threadpoolctl import (  # type: ignore[import-untyped] # comes with scikit-learn
    threadpool_limits,
)

from ainerd_bluesky.ml.autoencoder import DynamicsAutoencoder, torch_threads
from ainerd_bluesky.ml.calibration import calibrated, fit_latent, measure
from ainerd_bluesky.ml.classifier import LatentClassifier
from ainerd_bluesky.ml.map_features import signal_to_noise
from ainerd_bluesky.ml.maps import SAMPLE_SIZE
from ainerd_bluesky.ml.measured_maps import MeasuredGroups
from ainerd_bluesky.ml.novelty import KnownMaps
from ainerd_bluesky.ml.published import PublishedAutoencoder
from ainerd_bluesky.ml.simulated_maps import MapSet, simulate_map_set
from ainerd_bluesky.ml.simulated_scenes import SceneSet, simulate_scenes
from ainerd_bluesky.vocabulary import DYNAMICS, Label

__all__ = [
    "PAPER_SIZE",
    "AnyConfig",
    "PublishedConfig",
    "TrainedBundle",
    "TrainingConfig",
    "train",
]

Progress = Callable[[str, int, int], None]
"""Called with the stage's name, the steps done and the steps in all."""

Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Version: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class _AnyConfig(BaseModel):
    """What a training says of its model, whatever the preset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    """Name of the model and of its files."""
    version: Version
    """Version of the model."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Rules all chance."""
    n_clusters: Annotated[int, Field(ge=2)] = 9
    """Clusters to look for in the latent."""
    n_threads: Annotated[int, Field(ge=1)] = 2
    """Threads of torch: the weights are the same for the same number."""


class TrainingConfig(_AnyConfig):
    """Everything that decides the weights."""

    preset: ClassVar[str] = "ainerd"
    """Name of the architecture and its recipe."""

    name: Name = "ainerd-xpcs"
    """Name of the model and of its files."""
    version: Version = "2.2"
    """Version of the model."""
    n_maps: Annotated[int, Field(ge=90)] = 18000
    """Maps to learn from, two of each scene."""
    n_held_out: Annotated[int, Field(ge=90)] = 1800
    """Maps to calibrate with, and as many others to measure the figures with."""
    n_epochs: Annotated[int, Field(ge=1)] = 25
    """Times that every map is seen."""
    n_kind: Annotated[int, Field(ge=2)] = 24
    """Components of the fingerprint that tell kinds of dynamics apart."""
    n_decay: Annotated[int, Field(ge=1)] = 6
    """Components that tell how correlation decays."""
    n_shape: Annotated[int, Field(ge=2)] = 34
    """Components that the map can be made of again."""
    width: Annotated[int, Field(ge=4)] = 384
    """Units of the network's hidden layers."""
    batch_size: Annotated[int, Field(ge=8)] = 128
    """Scenes per step."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    """Highest rate of the one-cycle schedule."""


class PublishedConfig(_AnyConfig):
    """Everything that decides the weights of the published baseline."""

    preset: ClassVar[str] = "published"
    """Name of the architecture and its recipe."""

    name: Name = "ai-nerd"
    """Name of the model and of its files."""
    version: Version = "1.0"
    """Version of the model."""
    n_maps: Annotated[int, Field(ge=90)] = 2400
    """Maps to learn from, two of each scene."""
    n_held_out: Annotated[int, Field(ge=90)] = 1800
    """Maps to calibrate with, and as many others to measure the figures with."""
    n_epochs: Annotated[int, Field(ge=1)] = 12
    """Rounds through all images."""
    size: Annotated[int, Field(ge=64, multiple_of=64)] = 64
    """Rows of an image."""
    n_images: Annotated[int, Field(ge=1)] = 1
    """Images of each map in an epoch, every one shifted anew."""
    n_components: Annotated[int, Field(ge=2)] = 64
    """Size of the fingerprint."""
    batch_size: Annotated[int, Field(ge=8)] = 64
    """Images per step."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Highest rate of the cyclic schedule."""


PAPER_SIZE: Mapping[str, int] = MappingProxyType(
    {"size": 256, "n_maps": 3986, "n_images": 100, "n_epochs": 51}
)
"""Settings of `PublishedConfig` for as much work as the paper's: weeks on two cores."""

AnyConfig: TypeAlias = TrainingConfig | PublishedConfig


@dataclass(frozen=True, eq=False)
class TrainedBundle:
    """A trained model, not yet on disk.

    Parameters
    ----------
    config : TrainingConfig or PublishedConfig
        How it was made.
    autoencoder : DynamicsAutoencoder or PublishedAutoencoder
        Fitted.
    latent : LatentClassifier
        Calibrated.
    known : KnownMaps
        Of what was learned from.
    figures : dict
        Measured on maps that nothing was learned from.
    n_measured : int
        Measured maps that were learned from, besides the simulated ones.
    """

    config: AnyConfig
    autoencoder: DynamicsAutoencoder | PublishedAutoencoder
    latent: LatentClassifier
    known: KnownMaps
    figures: dict[str, Any]
    n_measured: int = 0


def train(
    config: AnyConfig | None = None,
    *,
    measured: MeasuredGroups | None = None,
    words: tuple[Label, ...] = DYNAMICS,
    progress: Progress | None = None,
) -> TrainedBundle:
    """Simulate maps, train, calibrate and measure.

    Maps to learn from, to calibrate with and to measure with are independent scans.

    Parameters
    ----------
    config : TrainingConfig or PublishedConfig, optional
        Unset: the one the shipped model was made with.
    measured : MeasuredGroups, optional
        Measured maps to learn from too; the shipped model had those of CHX.
    words : tuple of Label
        Dynamics to simulate; others are unknown to the model.
    progress : callable, optional
        Called with stage, steps done and steps in all.

    Returns
    -------
    TrainedBundle
        The same weights, bit by bit, for the same config on the same machine.
    """
    config = config or TrainingConfig()
    report = progress or _silent
    # Sums in another order would be other weights.
    with torch_threads(config.n_threads), threadpool_limits(1, "blas"):
        scenes, calibrate, test = _simulate(config, words, report)
        autoencoder = (
            _fit_published(config, scenes, measured, report)
            if isinstance(config, PublishedConfig)
            else _fit(config, scenes, measured, report)
        )
        latent = fit_latent(
            autoencoder.transform(scenes.samples[:, 0]),
            scenes.labels,
            tuple(autoencoder.classes_.tolist()),
            n_clusters=config.n_clusters,
            random_state=config.seed,
        )
        scores = autoencoder.scores(calibrate.samples)
        latent = calibrated(latent, scores, calibrate.labels)
        report("know", 0, 1)
        known = _known(autoencoder, scenes, measured, calibrate)
        report("know", 1, 1)
        Z, scores = (
            autoencoder.transform(test.samples),
            autoencoder.scores(test.samples),
        )
        figures = measure(latent, Z, scores, test.labels, test.signal_to_noise)
    n_measured = 0 if measured is None else len(measured.samples)
    return TrainedBundle(config, autoencoder, latent, known, figures, n_measured)


def _known(
    autoencoder: DynamicsAutoencoder | PublishedAutoencoder,
    scenes: SceneSet,
    measured: MeasuredGroups | None,
    calibrate: MapSet,
) -> KnownMaps:
    maps = [*scenes.samples.transpose(1, 0, 2, 3)]
    maps += [] if measured is None else [measured.samples]
    return KnownMaps.fit(
        np.concatenate([autoencoder.traits(each) for each in maps]),
        autoencoder.traits(calibrate.samples),
        signal_to_noise(calibrate.samples),
    )


def _simulate(
    config: AnyConfig, words: tuple[Label, ...], report: Progress
) -> tuple[SceneSet, MapSet, MapSet]:
    n_scenes = config.n_maps // 2
    total = n_scenes + 2 * config.n_held_out
    done = 0

    def count(n_new: int) -> None:
        nonlocal done
        done += n_new
        report("simulate", done, total)

    of_scenes, *of_maps = np.random.SeedSequence(config.seed).spawn(3)
    scenes = simulate_scenes(
        n_scenes, of_scenes, size=SAMPLE_SIZE, words=words, progress=count
    )
    calibrate, test = (
        simulate_map_set(config.n_held_out, seed, words=words, progress=count)
        for seed in of_maps
    )
    return scenes, calibrate, test


def _fit(
    config: TrainingConfig,
    scenes: SceneSet,
    measured: MeasuredGroups | None,
    report: Progress,
) -> DynamicsAutoencoder:
    return DynamicsAutoencoder(
        config.n_kind,
        config.n_shape,
        n_decay=config.n_decay,
        width=config.width,
        n_epochs=config.n_epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        random_state=config.seed,
        progress=lambda epoch, _: report("train", epoch + 1, config.n_epochs),
    ).fit(scenes.samples, scenes.labels, scenes.clean, measured)


def _fit_published(
    config: PublishedConfig,
    scenes: SceneSet,
    measured: MeasuredGroups | None,
    report: Progress,
) -> PublishedAutoencoder:
    """Fit on single maps: to the paper no two show the same scene."""
    simulated = scenes.samples.reshape(-1, SAMPLE_SIZE, SAMPLE_SIZE)
    more = [] if measured is None else [measured.samples]
    return PublishedAutoencoder(
        config.size,
        config.n_components,
        n_images=config.n_images,
        n_epochs=config.n_epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        random_state=config.seed,
        progress=lambda epoch, _: report("train", epoch + 1, config.n_epochs),
    ).fit(
        np.concatenate([simulated, *more]),
        np.repeat(scenes.labels, scenes.samples.shape[1]),
    )


def _silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""
