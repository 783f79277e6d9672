"""Names of the kinds of nodes that this suite writes, and what each must satisfy."""

from collections.abc import Mapping
from typing import Any, Protocol

from tiled.structures.core import Spec, StructureFamily
from tiled.validation_registration import ValidationError

__all__ = [
    "CLUSTERS",
    "CLUSTERS_CATALOG",
    "MODEL",
    "MODELS",
    "ONE_TIME",
    "RESULT",
    "RESULTS",
    "RESULTS_CATALOG",
    "RUNS",
    "STAGES",
    "TWO_TIME",
    "VOCABULARY",
    "XPCS_FRAMES",
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
"""One version of a model: its card, stage and history, and its weights."""

CLUSTERS_CATALOG = Spec("XPCSClustersCatalog")
"""Container with one container per set of clusters."""
CLUSTERS = Spec("XPCSClusters")
"""One finding of clusters: how, in what, and their members."""
VOCABULARY = Spec("XPCSVocabulary")
"""Container with one numbered container per act of naming."""

STAGES = ("candidate", "production", "retired")
"""What a version of a model can be."""
_STATES = ("writing", "complete")
_IDENTITY = ("name", "version", "sha256", "format_version")
_CHANGE = ("stage", "who", "when", "why")


class _Entry(Protocol):
    structure_family: StructureFamily


def validate_result(
    spec: Spec,
    metadata: Mapping[str, Any] | None,
    entry: _Entry | None,
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
    family = structure_family if entry is None else entry.structure_family
    if family != StructureFamily.container:
        raise ValidationError(f"{spec.name} must be a container, got {family}")
    if metadata is None:
        return
    if not metadata.get("run_uid"):
        raise ValidationError(f"{spec.name} needs a run_uid, got {dict(metadata)}")
    if metadata.get("status") not in _STATES:
        raise ValidationError(
            f"status must be one of {_STATES}, got {metadata.get('status')!r}"
        )
    confidence = metadata.get("confidence")
    if confidence is not None and not 0 <= confidence <= 1:
        raise ValidationError(f"confidence must be 0..1, got {confidence}")


def validate_model(
    spec: Spec,
    metadata: Mapping[str, Any] | None,
    entry: _Entry | None,
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
        If the node is no container, or its identity, stage or history is missing or
        impossible.
    """
    family = structure_family if entry is None else entry.structure_family
    if family != StructureFamily.container:
        raise ValidationError(f"{spec.name} must be a container, got {family}")
    if metadata is None:
        return
    missing = [key for key in _IDENTITY if not metadata.get(key)]
    if missing:
        raise ValidationError(f"{spec.name} needs {missing}, got {sorted(metadata)}")
    if metadata.get("status") not in _STATES:
        raise ValidationError(
            f"status must be one of {_STATES}, got {metadata.get('status')!r}"
        )
    if metadata["status"] == "writing":
        return
    if metadata.get("stage") not in STAGES:
        raise ValidationError(
            f"stage must be one of {STAGES}, got {metadata.get('stage')!r}"
        )
    _check_history(metadata.get("history"))
    if not isinstance(metadata.get("card"), Mapping):
        raise ValidationError(f"{spec.name} needs a card, got {metadata.get('card')!r}")


def _check_history(history: object) -> None:
    """Refuse decisions that do not say what, who, when and why."""
    if not isinstance(history, list) or not history:
        raise ValidationError(f"history must list changes of stage, got {history!r}")
    for change in history:
        if not isinstance(change, Mapping) or not set(_CHANGE) <= set(change):
            raise ValidationError(f"a change of stage says {_CHANGE}, got {change!r}")


def validate_two_time(
    spec: Spec,
    _metadata: Mapping[str, Any] | None,
    entry: _Entry | None,
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
