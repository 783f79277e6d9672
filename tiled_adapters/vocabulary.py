"""The vocabulary of a beamline in its catalog: acts of naming, none ever lost."""

from collections.abc import Mapping
from typing import Any

from tiled.client.container import Container
from tiled.client.utils import ClientError
from tiled.queries import SpecsQuery
from tiled.structures.core import Spec, StructureFamily
from tiled.validation_registration import ValidationError

from ainerd_bluesky.errors import CatalogError, NamingError
from ainerd_bluesky.ml.naming import Naming, Vocabulary
from tiled_adapters.catalog import beside, ensure_container
from tiled_adapters.specs import NAMING, VOCABULARY, Entry, require_container
from tiled_adapters.summaries import summary_rows

__all__ = ["VocabularyStore", "validate_naming"]

_CONFLICT = 409
_TRIES = 50
_DIGITS = 6


class VocabularyStore:
    """Reads and adds acts of naming; each is a node of its own, numbered from 0.

    Tiled keeps the last of two updates of one node. A node can be made once only: of
    two people who name at the same time one gets the number, the other reads what the
    first has done and takes the next.

    Parameters
    ----------
    root : Container
        Root of a server.
    results : str
        Path of the container of results; the vocabulary stands beside it.
    """

    def __init__(self, root: Container, results: str = "processed/xpcs") -> None:
        self._root = root
        self._path = beside(results, "vocabulary")

    def load(self) -> Vocabulary:
        """Return all that was named so far.

        Returns
        -------
        Vocabulary
            Nodes of another kind that stand among the acts are no part of it. An act
            that cannot be, as a server that checks nothing may hold, is a
            `NamingError`.
        """
        return Vocabulary(tuple(naming for _, naming in self._numbered()))

    def add(self, naming: Naming) -> Vocabulary:
        """Keep one more act of naming.

        Parameters
        ----------
        naming : Naming
            What somebody does; refused if it cannot follow what others have done.

        Returns
        -------
        Vocabulary
            With it.

        Raises
        ------
        CatalogError
            If others are always faster.
        """
        for _ in range(_TRIES):
            first_free = self._first_free()  # first: what comes later is seen below
            numbered = self._numbered()
            before = Vocabulary(tuple(done for _, done in numbered))
            after = before.after(naming)
            if self._create(first_free, naming):
                return after
        raise CatalogError(
            f"{naming.word!r} could not be stored in {_TRIES} tries: others name all "
            "the time; try again"
        )

    def _first_free(self) -> int:
        """Return the number after the last that is taken, by whatever node."""
        container = ensure_container(self._root, self._path, VOCABULARY)
        return max((int(key) for key in container if key.isdecimal()), default=-1) + 1

    def _numbered(self) -> list[tuple[int, Naming]]:
        try:
            container = self._root[self._path]
        except KeyError:
            return []
        acts = container.search(SpecsQuery([NAMING.name]))
        rows = summary_rows(acts, {"number": "number", "naming": "naming"})
        ranked = sorted(rows, key=lambda row: int(row["number"]))
        return [(row["number"], Naming.from_json(row["naming"])) for row in ranked]

    def _create(self, number: int, naming: Naming) -> bool:
        """Make the node; return False if somebody else has just made it."""
        metadata = {"number": number, "naming": naming.to_json()}
        container = ensure_container(self._root, self._path, VOCABULARY)
        try:
            container.create_container(
                f"{number:0{_DIGITS}}", metadata=metadata, specs=[NAMING]
            )
        except ClientError as error:
            if error.response.status_code != _CONFLICT:
                raise
            return False
        return True


def validate_naming(
    spec: Spec,
    metadata: Mapping[str, Any] | None,
    entry: Entry | None,
    structure_family: StructureFamily | None,
    _structure: object,
) -> None:
    """Refuse an act of naming that would stop everybody who reads the vocabulary.

    Parameters
    ----------
    spec : Spec
        `XPCSNaming`.
    metadata : mapping or None
        As it is going to be stored; None if an update leaves it alone.
    entry : adapter or None
        The node that is being updated; None for a new one.
    structure_family : StructureFamily or None
        Of a new node.

    Raises
    ------
    ValidationError
        If the node is no container, or has no number or no act of naming.
    """
    require_container(spec, entry, structure_family)
    if metadata is None:
        return
    if not isinstance(metadata.get("number"), int):
        raise ValidationError(
            f"{spec.name} needs a number, got {metadata.get('number')!r}"
        )
    try:
        Naming.from_json(metadata.get("naming") or {})
    except (NamingError, TypeError) as error:
        raise ValidationError(f"{spec.name} cannot be stored: {error}") from error
