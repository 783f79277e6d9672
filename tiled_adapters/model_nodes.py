"""Nodes of models in a catalog: the card, the weights, and what people decided."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import dask.array
import numpy as np
from tiled.client.array import DaskArrayClient
from tiled.client.container import Container
from tiled.client.utils import ClientError
from tiled.queries import SpecsQuery

from ainerd_bluesky.errors import ModelError
from ainerd_bluesky.json_values import as_json
from tiled_adapters.catalog import create_container
from tiled_adapters.specs import MAX_WEIGHTS, MODEL, MODEL_DECISION
from tiled_adapters.stages import Decision, ModelState, ModelVersion
from tiled_adapters.summaries import summary_rows

__all__ = [
    "DECISIONS",
    "add_decision",
    "is_registered",
    "keep_stages",
    "read_state",
    "read_weights",
    "write_version",
]

DECISIONS = "decisions"
"""Name of the container of decisions, which stands beside the versions of a model."""

_WEIGHTS = "weights"
_CHUNK = 4_000_000
"""Bytes of the weights that go in one request."""
_CONFLICT = 409
_TRIES = 50
_DIGITS = 6


def read_state(model: Container) -> ModelState:
    """Read where the versions of a model stand.

    Parameters
    ----------
    model : Container
        Node of the model.

    Returns
    -------
    ModelState
        Of the versions that are there whole.
    """
    return _state(model, dict(model.items()))


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
    model: Container,
    card: Mapping[str, Any],
    weights: bytes,
    registered: Mapping[str, str],
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
    registered : mapping of str to str
        `who` registers it, `when` and `why`.

    Raises
    ------
    ModelError
        If the weights are larger than a model can be.
    """
    if len(weights) > MAX_WEIGHTS:
        raise ModelError(
            f"weights have {len(weights)} bytes, a model may have {MAX_WEIGHTS}: "
            "train a smaller one"
        )
    version = str(card["version"])
    if version in model:  # what a crash has left
        model.delete_contents(version, recursive=True, external_only=False)
    names = ("name", "version", "sha256", "format_version")
    identity = {name: card[name] for name in names} | {"n_bytes": len(weights)}
    node = model.create_container(
        version, metadata={**identity, "status": "writing"}, specs=[MODEL]
    )
    content = np.frombuffer(weights, np.uint8)
    in_chunks = dask.array.from_array(content, chunks=_CHUNK)  # type: ignore[no-untyped-call]  # of dask
    node.write_array(in_chunks, key=_WEIGHTS, dims=["byte"])
    metadata = {
        **identity,
        "stage": "candidate",
        "registered": dict(registered),
        "card": as_json(card),
        "status": "complete",
    }
    node.replace_metadata(metadata, drop_revision=True)


def add_decision(model: Container, decision: Decision) -> None:
    """Keep one more decision: a node of its own, which can be made once only.

    Tiled keeps the last of two updates of one node. Of two people who decide at the
    same time one gets the number, the other the next.

    Parameters
    ----------
    model : Container
        Node of the model.
    decision : Decision
        The last one from now on.

    Raises
    ------
    ModelError
        If others are always faster.
    """
    log = create_container(model, DECISIONS)
    numbers = [number for number, _ in _decisions(log)]
    first = max(numbers, default=-1) + 1
    for number in range(first, first + _TRIES):
        if _create(log, number, decision):
            return
    raise ModelError(
        f"{decision.action} {decision.version} could not be stored in {_TRIES} tries: "
        "others decide all the time; try again"
    )


def keep_stages(model: Container) -> ModelState:
    """Bring the stages in the metadata of all versions, for searches, up to date.

    Parameters
    ----------
    model : Container
        Node of the model.

    Returns
    -------
    ModelState
        With which they agree.
    """
    while True:  # somebody may have decided while this was written
        nodes = dict(model.items())
        state = _state(model, nodes)
        behind = [
            item
            for item in state.versions
            if nodes[item.version].metadata["stage"] != item.stage
        ]
        if not behind:
            return state
        for item in behind:
            patch = [{"op": "replace", "path": "/stage", "value": item.stage}]
            # Decisions are kept; revisions of what follows from them say no more.
            nodes[item.version].patch_metadata(patch, drop_revision=True)


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
        As many as the registry says; not verified.

    Raises
    ------
    ModelError
        If it has no weights, or something else in their place: that is not read.
    """
    try:
        node = model[version.version, _WEIGHTS]
    except KeyError as error:
        raise ModelError(f"it has no {_WEIGHTS!r}") from error
    if not isinstance(node, DaskArrayClient):
        raise ModelError(f"its weights are no array but {type(node).__name__}")
    found, limit = (node.dtype, node.shape), MAX_WEIGHTS
    if found != (np.uint8, (version.n_bytes,)) or version.n_bytes > limit:
        raise ModelError(
            f"its weights are {node.dtype} of shape {node.shape}, not the "
            f"{version.n_bytes} bytes (at most {limit}) that were registered"
        )
    content: bytes = np.asarray(node.read()).tobytes()
    return content


def _state(model: Container, nodes: Mapping[str, Any]) -> ModelState:
    name = model.path_parts[-1]
    candidates = [
        ModelVersion.from_metadata(name, version, node.metadata)
        for version, node in nodes.items()
        if MODEL.name in {spec.name for spec in node.specs}
        and node.metadata.get("status") == "complete"
    ]
    numbered = _decisions(nodes[DECISIONS]) if DECISIONS in nodes else []
    return ModelState(name, candidates, [decision for _, decision in numbered])


def _decisions(log: Container) -> list[tuple[int, Decision]]:
    """Return the numbered decisions; what else lies there is not ours."""
    found = log.search(SpecsQuery([MODEL_DECISION.name]))
    rows: Iterator[dict[str, Any]] = summary_rows(
        found, {"number": "number", "decision": "decision"}
    )
    ranked = sorted(rows, key=lambda row: int(row["number"]))
    return [(row["number"], Decision.from_json(row["decision"])) for row in ranked]


def _create(log: Container, number: int, decision: Decision) -> bool:
    """Make the node; return False if somebody else has just made it."""
    metadata = {"number": number, "decision": asdict(decision)}
    key = f"{number:0{_DIGITS}}"
    try:
        log.create_container(key, metadata=metadata, specs=[MODEL_DECISION])
    except ClientError as error:
        if error.response.status_code != _CONFLICT:
            raise
        return False
    return True
