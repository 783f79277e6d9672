"""Nodes of models in a catalog: the card, the history of stages, and the weights."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import dask.array
import numpy as np
from tiled.client.container import Container

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.json_values import as_json
from tiled_adapters.specs import MODEL
from tiled_adapters.stages import ModelVersion, StageChange

__all__ = [
    "append_change",
    "is_registered",
    "read_versions",
    "read_weights",
    "write_version",
]

_WEIGHTS = "weights"
_CHUNK = 4_000_000
"""Bytes of the weights that go in one request."""


def read_versions(model: Container) -> list[ModelVersion]:
    """Read the versions of a model.

    Parameters
    ----------
    model : Container
        Node of the model.

    Returns
    -------
    list of ModelVersion
        Those that are there whole.
    """
    name = model.path_parts[-1]
    return [
        ModelVersion.from_metadata(name, version, node.metadata)
        for version, node in model.items()
        if node.metadata.get("status") == "complete"
    ]


def is_registered(model: Container, card: Mapping[str, Any]) -> bool:
    """Return whether a version is there whole.

    Parameters
    ----------
    model : Container
        Node of the model.
    card : mapping
        Of the version.

    Returns
    -------
    bool
        False also for one that was never finished.

    Raises
    ------
    ModelError
        If another model has the same name and version.
    """
    version = str(card["version"])
    node = model.get(version)
    if node is None or node.metadata.get("status") != "complete":
        return False
    there = node.metadata["card"]
    if there == as_json(card):
        return True
    sha256 = str(there["sha256"])
    other = "another card" if sha256 == card["sha256"] else f"sha256 {sha256[:12]}..."
    raise ModelError(
        f"{card['name']} {version} is registered already, with {other}; this one has "
        f"sha256 {str(card['sha256'])[:12]}...: change `version` in its card"
    )


def write_version(
    model: Container, card: Mapping[str, Any], weights: bytes, change: StageChange
) -> None:
    """Write a version: weights first and the rest last, so that half is never listed.

    Parameters
    ----------
    model : Container
        Node of the model.
    card : mapping
        Of the version.
    weights : bytes
        The safetensors file.
    change : StageChange
        With which its history begins.
    """
    version = str(card["version"])
    if version in model:  # what a crash has left
        model.delete_contents(version, recursive=True, external_only=False)
    names = ("name", "version", "sha256", "format_version")
    identity = {name: card[name] for name in names}
    node = model.create_container(
        version, metadata={**identity, "status": "writing"}, specs=[MODEL]
    )
    content = np.frombuffer(weights, np.uint8)
    in_chunks = dask.array.from_array(content, chunks=_CHUNK)  # type: ignore[no-untyped-call]  # of dask
    node.write_array(in_chunks, key=_WEIGHTS, dims=["byte"])
    metadata = {
        **identity,
        "stage": change.stage,
        "history": [asdict(change)],
        "card": as_json(card),
        "status": "complete",
    }
    node.replace_metadata(metadata, drop_revision=True)


def append_change(model: Container, version: str, change: StageChange) -> None:
    """Change the stage of a version; changes of other people stay in its history.

    Parameters
    ----------
    model : Container
        Node of the model.
    version : str
        Name of the version.
    change : StageChange
        Last entry of the history from now on.
    """
    # Applied on the server, to what is there by then, and not to what was read here.
    patch = [
        {"op": "add", "path": "/history/-", "value": asdict(change)},
        {"op": "replace", "path": "/stage", "value": change.stage},
    ]
    # The history is in the metadata; revisions of them would only repeat it.
    model[version].patch_metadata(patch, drop_revision=True)


def read_weights(model: Container, version: ModelVersion) -> bytes:
    """Read the safetensors file of a version.

    Parameters
    ----------
    model : Container
        Node of the model.
    version : ModelVersion
        One of its versions.

    Returns
    -------
    bytes
        Not verified.

    Raises
    ------
    ModelError
        If its card is that of another model, or it has no weights.
    """
    stated = (version.card.get("name"), version.card.get("version"))
    if stated != (version.name, version.version):
        raise ModelError(f"its card is that of {stated[0]} {stated[1]}")
    try:
        content: bytes = model[version.version, _WEIGHTS].read().tobytes()
    except KeyError as error:
        raise ModelError(f"it has no {_WEIGHTS!r}") from error
    return content
