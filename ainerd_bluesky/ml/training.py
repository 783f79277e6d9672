"""Train a model from nothing but a seed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from threadpoolctl import (  # type: ignore[import-untyped] # comes with scikit-learn
    threadpool_limits,
)

from ainerd_bluesky.ml.autoencoder import DynamicsAutoencoder, torch_threads
from ainerd_bluesky.ml.calibration import calibrated, fit_latent, measure
from ainerd_bluesky.ml.classifier import LatentClassifier
from ainerd_bluesky.ml.maps import SAMPLE_SIZE
from ainerd_bluesky.ml.measured_maps import MeasuredGroups
from ainerd_bluesky.ml.simulated_maps import MapSet, simulate_map_set
from ainerd_bluesky.ml.simulated_scenes import SceneSet, simulate_scenes
from ainerd_bluesky.vocabulary import DYNAMICS, Label

__all__ = ["TrainedBundle", "TrainingConfig", "train"]

Progress = Callable[[str, int, int], None]
"""Called with the stage's name, the steps done and the steps in all."""


class TrainingConfig(BaseModel):
    """Everything that decides the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")] = "ainerd-xpcs"
    """Name of the model and of its files."""
    version: str = "2.0"
    """Version of the model."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Rules all chance."""
    n_maps: Annotated[int, Field(ge=90)] = 18000
    """Maps to learn from, two of each scene."""
    n_held_out: Annotated[int, Field(ge=90)] = 1800
    """Maps to calibrate with, and as many others to measure the figures with."""
    n_epochs: Annotated[int, Field(ge=1)] = 25
    """Times that every map is seen."""
    n_kind: Annotated[int, Field(ge=2)] = 24
    """Components of the fingerprint that tell kinds of dynamics apart."""
    n_shape: Annotated[int, Field(ge=2)] = 40
    """Components that the map can be made of again."""
    width: Annotated[int, Field(ge=4)] = 384
    """Units of the network's hidden layers."""
    batch_size: Annotated[int, Field(ge=8)] = 256
    """Scenes per step."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    """Highest rate of the one-cycle schedule."""
    n_clusters: Annotated[int, Field(ge=2)] = 9
    """Clusters to look for in the latent."""
    n_threads: Annotated[int, Field(ge=1)] = 2
    """Threads of torch: the weights are the same for the same number."""


@dataclass(frozen=True, eq=False)
class TrainedBundle:
    """A trained model, not yet on disk.

    Parameters
    ----------
    config : TrainingConfig
        How it was made.
    autoencoder : DynamicsAutoencoder
        Fitted.
    latent : LatentClassifier
        Calibrated.
    figures : dict
        Measured on maps that nothing was learned from.
    n_measured : int
        Measured maps that were learned from, besides the simulated ones.
    """

    config: TrainingConfig
    autoencoder: DynamicsAutoencoder
    latent: LatentClassifier
    figures: dict[str, Any]
    n_measured: int = 0


def train(
    config: TrainingConfig | None = None,
    *,
    measured: MeasuredGroups | None = None,
    words: tuple[Label, ...] = DYNAMICS,
    progress: Progress | None = None,
) -> TrainedBundle:
    """Simulate maps, train, calibrate and measure.

    Maps to learn from, to calibrate with and to measure with are independent scans.

    Parameters
    ----------
    config : TrainingConfig, optional
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
        autoencoder = _fit(config, scenes, measured, report)
        latent = fit_latent(
            autoencoder.transform(scenes.samples[:, 0]),
            scenes.labels,
            tuple(autoencoder.classes_.tolist()),
            n_clusters=config.n_clusters,
            random_state=config.seed,
        )
        latent = calibrated(
            latent, *_described(autoencoder, calibrate), calibrate.labels
        )
        figures = measure(
            latent, *_described(autoencoder, test), test.labels, test.signal_to_noise
        )
    n_measured = 0 if measured is None else len(measured.samples)
    return TrainedBundle(config, autoencoder, latent, figures, n_measured)


def _described(
    autoencoder: DynamicsAutoencoder, maps: MapSet
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute fingerprints and class scores."""
    return autoencoder.transform(maps.samples), autoencoder.scores(maps.samples)


def _simulate(
    config: TrainingConfig, words: tuple[Label, ...], report: Progress
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
        width=config.width,
        n_epochs=config.n_epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        random_state=config.seed,
        progress=lambda epoch, _: report("train", epoch + 1, config.n_epochs),
    ).fit(scenes.samples, scenes.labels, scenes.clean, measured)


def _silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""
