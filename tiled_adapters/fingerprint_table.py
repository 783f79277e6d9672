"""The fingerprints of all runs that one model has analysed, kept in a file."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ainerd_bluesky.files import replaced

__all__ = ["FingerprintTable"]

logger = logging.getLogger(__name__)

_KEPT = ("run_uids", "Z", "published", "novelty")


@dataclass(frozen=True, eq=False)
class FingerprintTable:
    """Fingerprints of one model, in the order of the uids of their runs.

    Labels are not in it: a person may rename them, and the catalog knows.

    Parameters
    ----------
    model_sha256 : str
        The model.
    run_uids : ndarray of str, shape (n_runs,)
        Rising.
    Z : ndarray of float64, shape (n_runs, n_components)
        Fingerprints.
    published : ndarray of float64, shape (n_runs,)
        When each was published, in seconds since 1970.
    novelty : ndarray of float64, shape (n_runs,)
        How unlike the training each is, 0..1; nan where not known.
    """

    model_sha256: str
    run_uids: NDArray[np.str_]
    Z: NDArray[np.float64]
    published: NDArray[np.float64]
    novelty: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.run_uids)

    def only(self, run_uids: Iterable[str]) -> "FingerprintTable":
        """Return the rows of some runs; those that have none are left out."""
        rows, is_known = self._places(run_uids)
        return self._map(lambda column: column[rows[is_known]])

    def without(self, run_uids: Iterable[str]) -> "FingerprintTable":
        """Return the rows of all other runs."""
        rows, is_known = self._places(run_uids)
        return self._map(lambda column: np.delete(column, rows[is_known], axis=0))

    def updated(self, newer: Self) -> "FingerprintTable":
        """Return the rows of both, the newer where both have one; itself if no news."""
        if len(self) == 0 or len(newer) == 0:
            return newer if len(self) == 0 else self
        rows, is_known = self._places(newer.run_uids)
        old = self._map(lambda column: column[rows[is_known]])
        if is_known.all() and old.is_equal(newer):
            return self
        columns = (
            _replaced(mine, rows, is_known, theirs)
            for mine, theirs in zip(self.columns, newer.columns, strict=True)
        )
        return FingerprintTable(self.model_sha256, *columns)

    def is_equal(self, other: "FingerprintTable") -> bool:
        """Return whether both hold the same runs with the same numbers."""
        if not np.array_equal(self.run_uids, other.run_uids):
            return False
        pairs = zip(self.columns[1:], other.columns[1:], strict=True)
        return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        """Uids, fingerprints, times and novelties, one entry a run."""
        return tuple(getattr(self, name) for name in _KEPT)

    @staticmethod
    def path(uri: str, model_sha256: str, folder: Path | None = None) -> Path:
        """Return the file for the fingerprints that a model made for a container."""
        name = hashlib.sha256(f"{uri} {model_sha256}".encode()).hexdigest()[:24]
        return (folder or _cache_folder()) / f"{name}.npz"

    @classmethod
    def load(cls, path: Path, model_sha256: str) -> Self | None:
        """Return what a file holds; None if there is none, or a damaged one."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                return cls(model_sha256, *(kept[name] for name in _KEPT))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            logger.warning(
                "%s is damaged: its fingerprints are read again: %s", path, error
            )
            return None

    def save(self, path: Path) -> None:
        """Keep the table; without a place for it the next time takes longer."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replaced(path) as draft, draft.open("wb") as file:
                np.savez(
                    file,
                    run_uids=self.run_uids,
                    Z=self.Z,
                    published=self.published,
                    novelty=self.novelty,
                )
        except OSError as error:
            logger.warning("fingerprints cannot be kept in %s: %s", path.parent, error)

    def _places(
        self, run_uids: Iterable[str]
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return where runs stand or would stand, rising, and which ones do stand."""
        wanted = np.unique(np.array(list(run_uids), np.str_))
        rows = np.searchsorted(self.run_uids, wanted)
        is_known = rows < len(self)
        is_known[is_known] = self.run_uids[rows[is_known]] == wanted[is_known]
        return rows, is_known

    def _map(
        self, change: Callable[[NDArray[Any]], NDArray[Any]]
    ) -> "FingerprintTable":
        return FingerprintTable(self.model_sha256, *map(change, self.columns))


def _replaced(
    column: NDArray[Any],
    rows: NDArray[np.intp],
    is_known: NDArray[np.bool_],
    newer: NDArray[Any],
) -> NDArray[Any]:
    """Return a column with newer entries, in place of known ones or between them."""
    # A text longer than any before would be cut off.
    changed = column.astype(np.promote_types(column.dtype, newer.dtype))
    changed[rows[is_known]] = newer[is_known]
    return np.insert(changed, rows[~is_known], newer[~is_known], axis=0)


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ainerd-bluesky" / "fingerprints"
