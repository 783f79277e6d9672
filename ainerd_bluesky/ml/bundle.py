"""Models on disk: weights that cannot carry code, and a card that people read."""

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.ml.autoencoder import DynamicsAutoencoder
from ainerd_bluesky.ml.classifier import LatentClassifier, Model
from ainerd_bluesky.ml.maps import SAMPLE_SIZE
from ainerd_bluesky.ml.novelty import KnownMaps
from ainerd_bluesky.ml.published import PublishedAutoencoder
from ainerd_bluesky.ml.simulated_maps import MAX_BLIND_SNR, MIN_SEEN_SNR
from ainerd_bluesky.ml.training import PublishedConfig, TrainedBundle, TrainingConfig

__all__ = ["FORMAT_VERSION", "SHIPPED", "load_model", "save_bundle"]

FORMAT_VERSION = 5
"""Version of the layout of card and tensors."""

SHIPPED = Path(__file__).parent / "weights"
"""Folder of the model that comes with this distribution."""

_CURE = "train one with `ainerd model train --output FOLDER`, or use 'shipped'"
_SCOPE = (
    "Figures are of simulated maps: 64 to 512 frames, 150 to 1500 pixels a q-bin, 0.05 "
    "to 5 photons a pixel and frame, 1 to 5 modes. Maps whose signal to noise is below "
    f"{MAX_BLIND_SNR:g} are called no-signal, others have more than {MIN_SEEN_SNR:g}; "
    "none lies in between. No label shaped the fingerprint or its clusters."
)
_BASELINE_SCOPE = (
    "A baseline to hold a model against: architecture and recipe of AI-NERD, doi "
    "10.1038/s41467-024-49381-z; its words are a linear classifier on the fingerprint. "
)
_SOURCE = (
    "NSLS-II CHX two-time crops of bnl/CNN-Encoder-Decoder, BSD-3-Clause, "
    "Konstantinova et al., Sci. Rep. 11, 14756 (2021), "
    "doi 10.1038/s41598-021-93747-y; one experiment in five was left out"
)
_ENCODERS: dict[str, type[DynamicsAutoencoder | PublishedAutoencoder]] = {
    TrainingConfig.preset: DynamicsAutoencoder,
    PublishedConfig.preset: PublishedAutoencoder,
}
_NETWORK, _LATENT, _KNOWN = "network.", "latent.", "known."
_REQUIRED = frozenset(
    ("name", "version", "weights", "sha256", "classes", "training", "figures", "scope")
)
_LATENT_ARRAYS = ("means", "whitening", "centers")


def save_bundle(bundle: TrainedBundle, folder: str | Path) -> Path:
    """Write weights and card.

    Parameters
    ----------
    bundle : TrainedBundle
        What training gave.
    folder : str or Path
        Made if it is missing; one model a folder.

    Returns
    -------
    Path
        The card.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # One key only: safetensors writes several in an order that changes by run.
    header = {"classes": bundle.latent.classes, "size": SAMPLE_SIZE}
    content = save(_tensors(bundle), metadata={"header": json.dumps(header)})
    weights = folder / f"{bundle.config.name}.safetensors"
    weights.write_bytes(content)

    card = {
        "format_version": FORMAT_VERSION,
        "preset": bundle.config.preset,
        "name": bundle.config.name,
        "version": bundle.config.version,
        "weights": weights.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "classes": list(bundle.latent.classes),
        "n_components": bundle.latent.n_components,
        "sample_size": SAMPLE_SIZE,
        "label_free": True,
        "training": bundle.config.model_dump(),
        "measured": _measured(bundle.n_measured),
        "scope": _scope(bundle.config.preset),
        "figures": bundle.figures,
        "loss_curve": [round(loss, 5) for loss in bundle.autoencoder.loss_curve_],
        "software": {"torch": torch.__version__, "numpy": np.__version__},
    }
    path = folder / f"{bundle.config.name}.json"
    path.write_text(json.dumps(card, indent=1) + "\n")
    return path


def load_model(path: str | Path = "shipped") -> Model:
    """Load a model.

    Parameters
    ----------
    path : str or Path
        ``"shipped"``, or a folder that holds one model.

    Returns
    -------
    Model
        Ready to classify.

    Raises
    ------
    ModelError
        If the folder holds no model, a file is missing or damaged, the weights are
        not the ones the card names, or the format or the preset is unknown.
    """
    folder = SHIPPED if str(path) == "shipped" else Path(path)
    card_path, card = _read_card(folder)
    encoder_class = _encoder_class(card_path, card)
    weights_path = folder / Path(str(card["weights"])).name
    tensors, header = _read_weights(weights_path, str(card["sha256"]))
    if header.get("classes") != card["classes"]:
        raise ModelError(
            f"{card_path} names classes {card['classes']}, "
            f"{weights_path} {header.get('classes')}; {_CURE}"
        )
    state = _part(tensors, _NETWORK)
    arrays, known_arrays = (
        {key: tensor.numpy() for key, tensor in _part(tensors, prefix).items()}
        for prefix in (_LATENT, _KNOWN)
    )
    try:
        temperature = float(arrays.pop("temperature"))
        latent = LatentClassifier(
            tuple(header["classes"]), temperature=temperature, **arrays
        )
        known = KnownMaps(**known_arrays)
    except (KeyError, TypeError) as error:
        raise ModelError(f"{weights_path} lacks a tensor: {error}; {_CURE}") from error
    encoder = encoder_class.from_state(state, header["classes"], header["size"])
    return Model(encoder, latent, known, card)


def _scope(preset: str) -> str:
    return _BASELINE_SCOPE + _SCOPE if preset == PublishedConfig.preset else _SCOPE


def _encoder_class(
    card_path: Path, card: dict[str, Any]
) -> type[DynamicsAutoencoder | PublishedAutoencoder]:
    # Cards of before there was a choice say nothing.
    preset = str(card.get("preset", TrainingConfig.preset))
    if preset not in _ENCODERS:
        raise ModelError(
            f"{card_path} has preset {preset!r}, this release knows "
            f"{' and '.join(_ENCODERS)}; update ainerd-bluesky, or {_CURE}"
        )
    return _ENCODERS[preset]


def _measured(n_maps: int) -> dict[str, Any]:
    """Name what measured maps were learned from, as their licence asks."""
    if n_maps == 0:
        return {"n_maps": 0}
    return {"n_maps": n_maps, "source": _SOURCE}


def _tensors(bundle: TrainedBundle) -> dict[str, NDArray[Any]]:
    state = bundle.autoencoder.network_.state_dict()
    tensors = {
        f"{_NETWORK}{key}": np.ascontiguousarray(tensor.numpy())
        for key, tensor in state.items()
    }
    for name in _LATENT_ARRAYS:
        array = np.asarray(getattr(bundle.latent, name), np.float32)
        tensors[f"{_LATENT}{name}"] = np.ascontiguousarray(array)
    for field in fields(bundle.known):
        tensors[f"{_KNOWN}{field.name}"] = getattr(bundle.known, field.name)
    tensors[f"{_LATENT}temperature"] = np.array(bundle.latent.temperature)
    return tensors


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }


def _read_card(folder: Path) -> tuple[Path, dict[str, Any]]:
    cards = sorted(folder.glob("*.json"))
    if len(cards) != 1:
        raise ModelError(
            f"{folder} must hold one model card (*.json), found {len(cards)}; {_CURE}"
        )
    try:
        card = json.loads(cards[0].read_text())
        version = card["format_version"]
        missing = _REQUIRED - set(card)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{cards[0]} is no model card: {error!r}; {_CURE}") from error
    if version != FORMAT_VERSION:
        raise ModelError(
            f"{cards[0]} has format version {version}, this release reads "
            f"{FORMAT_VERSION}; update ainerd-bluesky, or {_CURE}"
        )
    if missing:
        raise ModelError(f"{cards[0]} lacks {sorted(missing)}; {_CURE}")
    return cards[0], card


def _read_weights(
    path: Path, sha256: str
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read weights {path}: {error}; {_CURE}") from error
    if found != sha256:
        raise ModelError(
            f"{path} has sha256 {found[:12]}..., its card says {sha256[:12]}...: "
            f"the file is damaged or was exchanged; {_CURE}"
        )
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - the handle is no mapping
            return tensors, json.loads(file.metadata()["header"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is no model: {error!r}; {_CURE}") from error
