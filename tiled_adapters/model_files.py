"""Models in a local folder: read for the registry, kept as a verified copy of it."""

import hashlib
import json
import pkgutil
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ainerd_bluesky.errors import ModelError
from tiled_adapters.publish import check_key

__all__ = ["check_card", "is_intact", "keep_bundle", "read_bundle"]

# By their names: whoever only lists models needs no torch.
_LOAD_MODEL = "ainerd_bluesky.ml.bundle:load_model"
_SHIPPED = "ainerd_bluesky.ml.bundle:SHIPPED"


def read_bundle(folder: str | Path) -> tuple[dict[str, Any], bytes]:
    """Read a model's card and weights, after seeing that they load.

    Parameters
    ----------
    folder : str or Path
        Folder of one model, or ``"shipped"``.

    Returns
    -------
    tuple of dict and bytes
        The card, and the safetensors file. A folder without a sound model is a
        `ModelError`.
    """
    card = dict(_load(folder).card)
    place = pkgutil.resolve_name(_SHIPPED) if str(folder) == "shipped" else Path(folder)
    return card, (place / str(card["weights"])).read_bytes()


def check_card(card: Mapping[str, Any], name: str, version: str) -> None:
    """Refuse a card whose files would lie elsewhere, or that is of another model.

    Parameters
    ----------
    card : mapping
        As the registry has it.
    name : str
        Of the model.
    version : str
        Name of the version.

    Raises
    ------
    ModelError
        If it is the card of another model. A name of the weights that is no file name
        is a `ConfigError`.
    """
    stated = (card.get("name"), card.get("version"))
    if stated != (name, version):
        raise ModelError(f"its card is that of {stated[0]} {stated[1]}")
    check_key(str(card["weights"]))


def is_intact(folder: Path, card: Mapping[str, Any]) -> bool:
    """Return whether a folder holds the model of a card, byte for byte.

    Parameters
    ----------
    folder : Path
        May be missing.
    card : mapping
        As the registry has it.

    Returns
    -------
    bool
        False for a folder that is missing or damaged.
    """
    try:
        kept = json.loads(_card_path(folder, card).read_text())
        weights = (folder / str(card["weights"])).read_bytes()
    except (OSError, ValueError):
        return False
    return bool(kept == card) and hashlib.sha256(weights).hexdigest() == card["sha256"]


def keep_bundle(card: Mapping[str, Any], weights: bytes, folder: Path) -> None:
    """Write a model as a folder that is there whole or not at all.

    Parameters
    ----------
    card : mapping
        As the registry has it.
    weights : bytes
        The safetensors file.
    folder : Path
        Where to; what lies there is replaced.

    Raises
    ------
    ModelError
        If the weights are not those of the card, or the model does not load.
    """
    found, stated = hashlib.sha256(weights).hexdigest(), str(card["sha256"])
    if found != stated:
        raise ModelError(
            f"its weights have sha256 {found[:12]}..., its card says {stated[:12]}...: "
            "they are damaged or were exchanged"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    partial.mkdir()
    try:
        (partial / str(card["weights"])).write_bytes(weights)
        _card_path(partial, card).write_text(json.dumps(card, indent=1) + "\n")
        _load(partial)
        _move(partial, folder, card)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _load(folder: str | Path) -> Any:  # noqa: ANN401 - a Model, whose module needs torch
    return pkgutil.resolve_name(_LOAD_MODEL)(folder)


def _card_path(folder: Path, card: Mapping[str, Any]) -> Path:
    return folder / f"{card['name']}.json"


def _move(partial: Path, folder: Path, card: Mapping[str, Any]) -> None:
    """Rename a folder, unless another process has brought the same one."""
    if folder.exists() and not is_intact(folder, card):
        shutil.rmtree(folder)
    try:
        partial.rename(folder)
    except OSError:
        if not is_intact(folder, card):
            raise
