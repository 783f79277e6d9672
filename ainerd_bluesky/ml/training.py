"""Train a model from nothing but a seed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from threadpoolctl import (  # type: ignore[import-untyped] # comes with scikit-learn
    threadpool_limits,
)

from ainerd_bluesky.ml.autoencoder import DynamicsAutoencoder, torch_threads
from ainerd_bluesky.ml.calibration import calibrated, fit_latent, measure
from ainerd_bluesky.ml.classifier import LatentClassifier
from ainerd_bluesky.ml.maps import SAMPLE_SIZE
from ainerd_bluesky.ml.simulated_maps import MapSet, simulate_map_set

__all__ = ["TrainedBundle", "TrainingConfig", "train"]

Progress = Callable[[str, int, int], None]
"""Called with the stage's name, the steps done and the steps in all."""


class TrainingConfig(BaseModel):
    """Everything that decides the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")] = "ainerd-xpcs"
    """Name of the model and of its files."""
    version: str = "1.0"
    """Version of the model."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Rules all chance."""
    n_maps: Annotated[int, Field(ge=90)] = 14400
    """Maps to learn from."""
    n_held_out: Annotated[int, Field(ge=90)] = 2700
    """Maps to calibrate with, and as many others to measure the figures with."""
    n_epochs: Annotated[int, Field(ge=1)] = 20
    """Times that every map is seen."""
    n_components: Annotated[int, Field(ge=2)] = 32
    """Size of the latent."""
    width: Annotated[int, Field(ge=4)] = 24
    """Channels of the network's first layer."""
    batch_size: Annotated[int, Field(ge=8)] = 128
    """Maps per step."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
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
    """

    config: TrainingConfig
    autoencoder: DynamicsAutoencoder
    latent: LatentClassifier
    figures: dict[str, Any]


def train(
    config: TrainingConfig | None = None, *, progress: Progress | None = None
) -> TrainedBundle:
    """Simulate maps, train, calibrate and measure.

    Maps to learn from, to calibrate with and to measure with are independent scans.

    Parameters
    ----------
    config : TrainingConfig, optional
        Unset: the one the shipped model was made with.
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
        learn, calibrate, test = _simulate(config, report)
        autoencoder = _fit(config, learn, report)
        head = autoencoder.network_.head
        latent = fit_latent(
            autoencoder.transform(learn.samples),
            learn.labels,
            {
                "coef": head.weight.detach().numpy(),
                "intercept": head.bias.detach().numpy(),
            },
            tuple(autoencoder.classes_.tolist()),
            n_clusters=config.n_clusters,
            random_state=config.seed,
        )
        latent = calibrated(
            latent, autoencoder.transform(calibrate.samples), calibrate.labels
        )
        Z = autoencoder.transform(test.samples)
        figures = measure(latent, Z, test.labels, test.signal_to_noise)
    return TrainedBundle(config, autoencoder, latent, figures)


def _simulate(config: TrainingConfig, report: Progress) -> list[MapSet]:
    sizes = (config.n_maps, config.n_held_out, config.n_held_out)
    done = 0

    def count(n_new: int) -> None:
        nonlocal done
        done += n_new
        report("simulate", done, sum(sizes))

    seeds = np.random.SeedSequence(config.seed).spawn(len(sizes))
    return [
        simulate_map_set(size, seed, size=SAMPLE_SIZE, progress=count)
        for size, seed in zip(sizes, seeds, strict=True)
    ]


def _fit(config: TrainingConfig, maps: MapSet, report: Progress) -> DynamicsAutoencoder:
    return DynamicsAutoencoder(
        config.n_components,
        width=config.width,
        n_epochs=config.n_epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        random_state=config.seed,
        progress=lambda epoch, _: report("train", epoch + 1, config.n_epochs),
    ).fit(maps.samples, maps.labels, maps.clean)


def _silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""
