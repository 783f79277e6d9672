"""Fingerprints and classes of two-time maps.

Importing this package does not import torch or scikit-learn: a name is looked up in
its module when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainerd_bluesky.ml.autoencoder import DynamicsAutoencoder
    from ainerd_bluesky.ml.bundle import load_model, save_bundle
    from ainerd_bluesky.ml.classification import Classification
    from ainerd_bluesky.ml.classifier import LatentClassifier, Model
    from ainerd_bluesky.ml.maps import to_sample
    from ainerd_bluesky.ml.published import PublishedAutoencoder
    from ainerd_bluesky.ml.training import (
        PublishedConfig,
        TrainedBundle,
        TrainingConfig,
        train,
    )

__all__ = [
    "Classification",
    "DynamicsAutoencoder",
    "LatentClassifier",
    "Model",
    "PublishedAutoencoder",
    "PublishedConfig",
    "TrainedBundle",
    "TrainingConfig",
    "load_model",
    "save_bundle",
    "to_sample",
    "train",
]

_MODULES = {
    "Classification": "classification",
    "DynamicsAutoencoder": "autoencoder",
    "LatentClassifier": "classifier",
    "Model": "classifier",
    "PublishedAutoencoder": "published",
    "PublishedConfig": "training",
    "TrainedBundle": "training",
    "TrainingConfig": "training",
    "load_model": "bundle",
    "save_bundle": "bundle",
    "to_sample": "maps",
    "train": "training",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a public name may be anything
    """Import the module of a public name when it is first asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
