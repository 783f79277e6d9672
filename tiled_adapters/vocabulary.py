"""The vocabulary of a beamline in its catalog: acts of naming, none ever lost."""

from tiled.client.container import Container
from tiled.client.utils import ClientError

from ainerd_bluesky.errors import CatalogError
from ainerd_bluesky.ml.naming import Naming, Vocabulary
from tiled_adapters.catalog import beside, ensure_container
from tiled_adapters.specs import VOCABULARY
from tiled_adapters.summaries import summary_rows

__all__ = ["VocabularyStore"]

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
        """Return all that was named so far."""
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
            numbered = self._numbered()
            before = Vocabulary(tuple(done for _, done in numbered))
            after = before.after(naming)
            number = numbered[-1][0] + 1 if numbered else 0
            if self._create(number, naming):
                return after
        raise CatalogError(
            f"{naming.word!r} could not be stored in {_TRIES} tries: others name all "
            "the time; try again"
        )

    def _numbered(self) -> list[tuple[int, Naming]]:
        try:
            container = self._root[self._path]
        except KeyError:
            return []
        rows = summary_rows(container, {"number": "number", "naming": "naming"})
        ranked = sorted(rows, key=lambda row: int(row["number"]))
        return [(row["number"], Naming.from_json(row["naming"])) for row in ranked]

    def _create(self, number: int, naming: Naming) -> bool:
        """Make the node; return False if somebody else has just made it."""
        metadata = {"number": number, "naming": naming.to_json()}
        container = ensure_container(self._root, self._path, VOCABULARY)
        try:
            container.create_container(f"{number:0{_DIGITS}}", metadata=metadata)
        except ClientError as error:
            if error.response.status_code != _CONFLICT:
                raise
            return False
        return True
