"""Files of an archive: which are data, and the names they are filed under."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.paths import require_regular

__all__ = ["file_uid", "find_files"]

_SUFFIXES = {".hdf", ".h5", ".hdf5", ".npy", ".npz", ".bin", ".imm", ".cmp"}
_FIRST_MODULE = ".bin.000"
# Companions of data files: they hold metadata, a partition or a part of a series.
_COMPANION = re.compile(
    r"_metadata\.hdf$|^qmap|_qmap\.|_data_\d+\.h5$|_sparse_frame_\d+_(?!0+\.)\d+\.h5$"
)
_LIMA_FOLDER = re.compile(r"scan\d+$")
_NOT_A_KEY = re.compile(r"[^A-Za-z0-9._-]+")


def find_files(paths: Iterable[Path]) -> list[Path]:
    """List data files, going into folders.

    Parameters
    ----------
    paths : iterable of Path
        Files are taken as they are; of a folder, each file with a known suffix that
        is no companion of another one (metadata, partition, part of a series).

    Returns
    -------
    list of Path
        Sorted within each folder, without repetition.
    """
    found: dict[Path, None] = {}
    for path in paths:
        found.update(dict.fromkeys(_data_files(path) if path.is_dir() else [path]))
    return list(found)


def _data_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        is_data = path.suffix in _SUFFIXES or path.name.endswith(_FIRST_MODULE)
        if is_data and not _is_companion(path):
            yield path


def _is_companion(path: Path) -> bool:
    """Return whether another file stands for this one."""
    # Frames of a BLISS scan lie in files of LIMA; the scan's own file names them.
    is_lima = _LIMA_FOLDER.match(path.parent.name) and "_sparse_" not in path.name
    return bool(is_lima or _COMPANION.search(path.name))


def file_uid(path: Path, dataset: str | None = None) -> str:
    """Name a file by its stem and content: the same file has the same name.

    Parameters
    ----------
    path : Path
        Of a file.
    dataset : str, optional
        Path of an array inside the file, where one is named: each has its own name.

    Returns
    -------
    str
        Usable as a Tiled key.

    Raises
    ------
    FileFormatError
        If the file cannot be read.
    """
    require_regular(path)
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256")
    except OSError as error:
        raise FileFormatError(f"cannot read {path}: {error.strerror}") from error
    inside = (dataset or "").strip("/")
    digest.update(inside.encode())
    words = [_NOT_A_KEY.sub("-", word).strip(".-") for word in (path.stem, inside)]
    return "-".join([*filter(None, words), digest.hexdigest()[:8]])
