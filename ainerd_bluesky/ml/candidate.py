"""A fine-tuned model, and the files of a candidate."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ainerd_bluesky.ml.autoencoder import DynamicsAutoencoder
from ainerd_bluesky.ml.bundle import save_bundle
from ainerd_bluesky.ml.classifier import LatentClassifier, Model
from ainerd_bluesky.ml.comparison import Comparison
from ainerd_bluesky.ml.novelty import KnownMaps
from ainerd_bluesky.ml.training import TrainedBundle, TrainingConfig
from ainerd_bluesky.ml.tuning import Curves, FineTuningConfig

__all__ = ["FineTuned", "save_candidate"]

_OWN_SOURCE = "maps of a facility's own catalog"


@dataclass(frozen=True, eq=False)
class FineTuned:
    """A candidate, not yet on disk.

    Parameters
    ----------
    parent : Model
        The model in production that it came from.
    config : FineTuningConfig
        How it was made.
    encoder : DynamicsAutoencoder
        Fine-tuned.
    latent : LatentClassifier
        Calibrated.
    known : KnownMaps
        Those of the parent, and own ones.
    figures : dict
        Measured on simulated maps that nothing was learned from.
    comparison : Comparison
        With the parent, on runs held out.
    curves : Curves
        How the loss went.
    n_runs, n_maps : dict of str to int
        Own runs and maps to learn from, to watch and to judge.
    has_learned : bool
        Whether any weight is another than the parent's.
    """

    parent: Model
    config: FineTuningConfig
    encoder: DynamicsAutoencoder
    latent: LatentClassifier
    known: KnownMaps
    figures: dict[str, Any]
    comparison: Comparison
    curves: Curves
    n_runs: dict[str, int]
    n_maps: dict[str, int]
    has_learned: bool


def save_candidate(
    tuned: FineTuned, version: str, folder: str | Path, about: dict[str, Any]
) -> Path:
    """Write weights and card of a candidate.

    Parameters
    ----------
    tuned : FineTuned
        What fine-tuning gave.
    version : str
        Of the candidate.
    folder : str or Path
        Made if it is missing.
    about : dict
        Whence the maps came, ready for JSON; the card keeps it.

    Returns
    -------
    Path
        The card; beside what every card has, `parent` and `fine_tuning`.
    """
    path = save_bundle(_bundle(tuned, version), folder)
    card = json.loads(path.read_text()) | _notes(tuned, about)
    path.write_text(json.dumps(card, indent=1) + "\n")
    return path


def _bundle(tuned: FineTuned, version: str) -> TrainedBundle:
    config, encoder = tuned.config, tuned.encoder
    encoder.loss_curve_ = list(tuned.curves.learn)
    training = TrainingConfig(
        name=tuned.parent.name,
        version=version,
        seed=config.seed,
        n_maps=config.n_maps,
        n_held_out=config.n_held_out,
        n_epochs=max(1, len(tuned.curves.learn)),
        n_kind=encoder.n_kind,
        n_decay=encoder.n_decay,
        n_shape=encoder.n_shape,
        width=encoder.width,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        n_clusters=len(tuned.latent.centers),
        n_threads=config.n_threads,
    )
    return TrainedBundle(training, encoder, tuned.latent, tuned.known, tuned.figures)


def _notes(tuned: FineTuned, about: dict[str, Any]) -> dict[str, Any]:
    """Return what the card of a candidate has besides."""
    parent = tuned.parent
    before = parent.card.get("measured", {"n_maps": 0})
    sources = (before.get("source"), _OWN_SOURCE)
    return {
        "parent": {
            "name": parent.name,
            "version": parent.version,
            "sha256": parent.sha256,
        },
        "measured": {
            "n_maps": before["n_maps"] + tuned.n_maps["learn"],
            "source": "; ".join(source for source in sources if source),
        },
        "fine_tuning": {
            **about,
            "recipe": tuned.config.model_dump(),
            "n_runs": tuned.n_runs,
            "n_maps": tuned.n_maps,
            "best_epoch": tuned.curves.best_epoch,
            "watched_loss": [round(loss, 5) for loss in tuned.curves.watch],
            "comparison": tuned.comparison.as_dict(),
        },
    }
