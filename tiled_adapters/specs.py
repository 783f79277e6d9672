"""Names of the kinds of nodes that this suite writes, and what each must satisfy."""

from collections.abc import Mapping
from typing import Any, Protocol

from tiled.structures.core import Spec, StructureFamily
from tiled.validation_registration import ValidationError

__all__ = [
    "MODELS",
    "ONE_TIME",
    "RESULT",
    "RESULTS",
    "RESULTS_CATALOG",
    "RUNS",
    "TWO_TIME",
    "XPCS_FRAMES",
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
"""Container of model cards."""

_STATES = ("writing", "complete")


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
