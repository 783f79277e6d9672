"""Names of the kinds of nodes that this suite writes, and what each must satisfy."""

import math
from collections.abc import Mapping
from typing import Any, Protocol

from tiled.structures.core import Spec, StructureFamily
from tiled.validation_registration import ValidationError

__all__ = [
    "ACTIONS",
    "CLUSTERS",
    "CLUSTERS_CATALOG",
    "DECISION",
    "DECISIONS",
    "DECISIONS_CATALOG",
    "MAX_WEIGHTS",
    "MODEL",
    "MODELS",
    "MODEL_DECISION",
    "NAMING",
    "ONE_TIME",
    "RESULT",
    "RESULTS",
    "RESULTS_CATALOG",
    "RUNS",
    "STAGES",
    "TWO_TIME",
    "VOCABULARY",
    "XPCS_FRAMES",
    "Entry",
    "is_run_of_choice",
    "require_container",
    "validate_choice",
    "validate_clusters",
    "validate_decision",
    "validate_model",
    "validate_result",
    "validate_two_time",
]

# A server finds the validator of a spec by name and version together, and its
# configuration can name no version: so ours have none.
RUNS = Spec("CatalogOfBlueskyRuns", "3.0")
"""Container of raw runs; without the version partial uids are not found."""
RESULTS_CATALOG = Spec("XPCSResultsCatalog")
"""Container with one node per analysed run."""
RESULTS = Spec("XPCSResults")
"""What is known of one run: the summary that people search, one child per result."""
RESULT = Spec("XPCSResult")
"""One analysis of one run: its recipe, arrays and table."""
TWO_TIME = Spec("XPCSTwoTime")
"""Array of two-time maps, (n_frames, n_frames) or with the q-bin first."""
ONE_TIME = Spec("XPCSOneTime")
"""Array of g2, its error, (n_lags, n_q_bins), or its lags, (n_lags,)."""
XPCS_FRAMES = Spec("XPCSFrames")
"""Array of detector frames, (n_frames, n_rows, n_cols)."""
MODELS = Spec("XPCSModels")
"""Container with one container per model."""
MODEL = Spec("XPCSModel")
"""One version of a model: its card and stage, and its weights."""
MODEL_DECISION = Spec("XPCSModelDecision")
"""One numbered decision about a version of a model: what, who, when and why."""

CLUSTERS_CATALOG = Spec("XPCSClustersCatalog")
"""Container with one container per set of clusters."""
CLUSTERS = Spec("XPCSClusters")
"""One finding of clusters: how, in what, and their members."""
VOCABULARY = Spec("XPCSVocabulary")
"""Container with one numbered container per act of naming."""
NAMING = Spec("XPCSNaming")
"""One act of naming: what somebody did to the vocabulary."""
DECISIONS_CATALOG = Spec("XPCSDecisionsCatalog")
"""Container with one container per campaign."""
DECISIONS = Spec("XPCSDecisions")
"""The decisions of a campaign, one node each."""
DECISION = Spec("XPCSDecision")
"""One decision of a selector: what, out of what, why, and the runs that came of it."""

STAGES = ("candidate", "production", "retired")
"""What a version of a model can be."""
ACTIONS = ("promote", "rollback", "retire")
"""What can be decided about a version."""
MAX_WEIGHTS = 256 * 1024**2
"""Largest file of weights, in bytes."""
_STATES = ("writing", "complete")
_IDENTITY = ("name", "version", "sha256", "format_version")
_FINDING = ("model_sha256", "next_id", "query", "parent", "previous", "published")
_CHOICE = ("campaign", "chosen", "key", "reason", "run_uid", "state_hash", "strategy")
_REGISTERED = {"who", "when", "why"}
_DECISION = {"version", "action", *_REGISTERED}


class Entry(Protocol):
    """A node that is there already."""

    structure_family: StructureFamily


def require_container(
    spec: Spec, entry: Entry | None, structure_family: StructureFamily | None
) -> None:
    """Refuse a node that is no container.

    Parameters
    ----------
    spec : Spec
        What the node is said to be.
    entry : adapter or None
        The node that is being updated; None for a new one.
    structure_family : StructureFamily or None
        Of a new node.

    Raises
    ------
    ValidationError
        If it is something else.
    """
    family = structure_family if entry is None else entry.structure_family
    if family != StructureFamily.container:
        raise ValidationError(f"{spec.name} must be a container, got {family}")


def validate_result(
    spec: Spec,
    metadata: Mapping[str, Any] | None,
    entry: Entry | None,
    structure_family: StructureFamily | None,
    _structure: object,
) -> None:
    """Refuse metadata that label queries would stumble over.

    Parameters
    ----------
    spec : Spec
        `XPCSResults` or `XPCSResult`.
    metadata : mapping or None
        As it is going to be stored; None if an update leaves it alone.
    entry : adapter or None
        The node that is being updated; None for a new one.
    structure_family : StructureFamily or None
        Of a new node.

    Raises
    ------
    ValidationError
        If the node is no container, or its run, status or confidence is missing or
        impossible.
    """
    require_container(spec, entry, structure_family)
    if metadata is None:
        return
    if not metadata.get("run_uid"):
        raise ValidationError(f"{spec.name} needs a run_uid, got {dict(metadata)}")
    _check_status(metadata)
    confidence = metadata.get("confidence")
    if confidence is not None and not 0 <= confidence <= 1:
        raise ValidationError(f"confidence must be 0..1, got {confidence}")


def validate_model(
    spec: Spec,
    metadata: Mapping[str, Any] | None,
    entry: Entry | None,
    structure_family: StructureFamily | None,
    _structure: object,
) -> None:
    """Refuse a version of a model that could not be told from others.

    Parameters
    ----------
    spec : Spec
        `XPCSModel`.
    metadata : mapping or None
        As it is going to be stored; None if an update leaves it alone.
    entry : adapter or None
        The node that is being updated; None for a new one.
    structure_family : StructureFamily or None
        Of a new node.

    Raises
    ------
    ValidationError
        If the node is no container, or its identity, size, stage or registration is
        missing or impossible.
    """
    require_container(spec, entry, structure_family)
    if metadata is None:
        return
    missing = [key for key in _IDENTITY if not metadata.get(key)]
    if missing:
        raise ValidationError(f"{spec.name} needs {missing}, got {sorted(metadata)}")
    n_bytes = metadata.get("n_bytes")
    if not isinstance(n_bytes, int) or not 0 < n_bytes <= MAX_WEIGHTS:
        raise ValidationError(f"n_bytes must be 1..{MAX_WEIGHTS}, got {n_bytes!r}")
    _check_status(metadata)
    if metadata["status"] == "complete":
        _check_whole(spec, metadata)


def _check_status(metadata: Mapping[str, Any]) -> None:
    """Refuse a node that is neither being written nor complete."""
    if metadata.get("status") not in _STATES:
        raise ValidationError(
            f"status must be one of {_STATES}, got {metadata.get('status')!r}"
        )


def _check_whole(spec: Spec, metadata: Mapping[str, Any]) -> None:
    """Refuse a version that is there whole and does not say what it is."""
    if metadata.get("stage") not in STAGES:
        raise ValidationError(
            f"stage must be one of {STAGES}, got {metadata.get('stage')!r}"
        )
    _check_texts("registered", metadata.get("registered"), _REGISTERED)
    card = metadata.get("card")
    if not isinstance(card, Mapping) or not isinstance(card.get("sha256"), str):
        raise ValidationError(f"{spec.name} needs a card with sha256, got {card!r}")


def validate_decision(
    spec: Spec,
    metadata: Mapping[str, Any] | None,
    entry: Entry | None,
    structure_family: StructureFamily | None,
    _structure: object,
) -> None:
    """Refuse a decision that would make the versions of a model unreadable.

    Parameters
    ----------
    spec : Spec
        `XPCSModelDecision`.
    metadata : mapping or None
        As it is going to be stored; None if an update leaves it alone.
    entry : adapter or None
        The node that is being updated; None for a new one.
    structure_family : StructureFamily or None
        Of a new node.

    Raises
    ------
    ValidationError
        If the node is no container, or its number or decision is missing or
        impossible.
    """
    require_container(spec, entry, structure_family)
    if metadata is None:
        return
    number, decision = metadata.get("number"), metadata.get("decision")
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValidationError(f"number must be an integer from 0 on, got {number!r}")
    _check_texts("decision", decision, _DECISION)
    if isinstance(decision, Mapping) and decision["action"] not in ACTIONS:
        raise ValidationError(f"action must be one of {ACTIONS}, got {decision!r}")


def _check_texts(name: str, values: object, keys: set[str]) -> None:
    """Refuse other keys than these, and values that are no texts."""
    if not isinstance(values, Mapping) or set(values) != keys:
        raise ValidationError(f"{name} says {sorted(keys)}, got {values!r}")
    if not all(isinstance(value, str) for value in values.values()):
        raise ValidationError(f"{name} must consist of texts, got {values!r}")


def validate_clusters(
    spec: Spec,
    metadata: Mapping[str, Any] | None,
    entry: Entry | None,
    structure_family: StructureFamily | None,
    _structure: object,
) -> None:
    """Refuse a finding of clusters that the next one could not follow.

    Parameters
    ----------
    spec : Spec
        `XPCSClusters`.
    metadata : mapping or None
        As it is going to be stored; None if an update leaves it alone.
    entry : adapter or None
        The node that is being updated; None for a new one.
    structure_family : StructureFamily or None
        Of a new node.

    Raises
    ------
    ValidationError
        If the node is no container, its status is impossible, or a complete one does
        not say of which model and runs it is, and which ids were used.
    """
    require_container(spec, entry, structure_family)
    if metadata is None:
        return
    _check_status(metadata)
    missing = [key for key in _FINDING if key not in metadata]
    if metadata["status"] == "complete" and missing:
        raise ValidationError(f"{spec.name} needs {missing}, got {sorted(metadata)}")


def validate_choice(
    spec: Spec,
    metadata: Mapping[str, Any] | None,
    entry: Entry | None,
    structure_family: StructureFamily | None,
    _structure: object,
) -> None:
    """Refuse a decision of a selector that could not be told in words.

    Parameters
    ----------
    spec : Spec
        `XPCSDecision`.
    metadata : mapping or None
        As it is going to be stored; None if an update leaves it alone.
    entry : adapter or None
        The node that is being updated; None for a new one.
    structure_family : StructureFamily or None
        Of a new node.

    Raises
    ------
    ValidationError
        If the node is no container, its status is impossible, or it does not say what
        was chosen in which campaign, why, and which runs came of it when.
    """
    require_container(spec, entry, structure_family)
    if metadata is None:
        return
    _check_status(metadata)
    for key in _CHOICE:
        text = metadata.get(key)
        if not isinstance(text, str) or not text:
            raise ValidationError(f"{spec.name} needs a text for {key}, got {text!r}")
    number = metadata.get("number")
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValidationError(f"number must be an integer from 0 on, got {number!r}")
    runs = metadata.get("runs")
    if not isinstance(runs, list | tuple) or not all(map(is_run_of_choice, runs)):
        raise ValidationError(
            f"runs must be a list of uid and time each, got {runs!r:.80}"
        )


def is_run_of_choice(run: object) -> bool:
    """Tell whether an item is one of the runs that came of a decision.

    Parameters
    ----------
    run : object
        Of the metadata of a decision, which anybody may have written.

    Returns
    -------
    bool
        Whether it has a uid, and a time in seconds since 1970.
    """
    if not isinstance(run, Mapping):
        return False
    uid, begun = run.get("uid"), run.get("time")
    if not isinstance(begun, int | float) or isinstance(begun, bool):
        return False
    return isinstance(uid, str) and bool(uid) and abs(begun) < math.inf


def validate_two_time(
    spec: Spec,
    _metadata: Mapping[str, Any] | None,
    entry: Entry | None,
    structure_family: StructureFamily | None,
    structure: object,
) -> None:
    """Refuse an array that is no stack of squares.

    Parameters
    ----------
    spec : Spec
        `XPCSTwoTime`.
    entry : adapter or None
        The node that is being updated; None for a new one.
    structure_family : StructureFamily or None
        Of a new node.
    structure : ArrayStructure or None
        Of a new node.

    Raises
    ------
    ValidationError
        If a new node is no array, or its last two axes differ.
    """
    if entry is not None:
        return
    if structure_family != StructureFamily.array:
        raise ValidationError(f"{spec.name} must be an array, got {structure_family}")
    shape = tuple(getattr(structure, "shape", ()))
    if shape and (len(shape) not in {2, 3} or shape[-1] != shape[-2]):
        raise ValidationError(f"{spec.name} must be square, got shape {shape}")
