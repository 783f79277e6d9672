"""Files that are there whole or not at all, and held by one process at a time."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ainerd_bluesky.errors import ConfigError, StateInUseError

__all__ = ["lock_file", "replaced"]


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Write a file in place of the one before, at once or not at all.

    What is written to the draft is forced to the disk and moved to its place in one
    step: at any time the old file is there or the new one, whole; after a power
    failure, too.

    Parameters
    ----------
    path : Path
        File in a folder that exists, there or not yet.

    Yields
    ------
    Path
        Draft beside it, to be written inside the block; an error there leaves the old
        file as it was.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "facts.json")
    ...     with replaced(path) as draft:
    ...         _ = draft.write_text("{}")
    ...     path.read_text(), len(os.listdir(folder))
    ('{}', 1)
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield draft
        _force_to_disk(draft)
        draft.replace(path)
        _force_to_disk(path.parent)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold a file that only one process may hold; a crash gives it back.

    Parameters
    ----------
    path : Path
        Made if it is not there, and left there.

    Yields
    ------
    None
        While it is held.

    Raises
    ------
    StateInUseError
        If it is held by somebody else; the text names process and host.
    ConfigError
        If it cannot be opened or locked.
    """
    try:
        file = path.open("a+")
    except OSError as error:
        raise ConfigError(f"{path} cannot be locked: {error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateInUseError(_holder(path)) from error
        except OSError as error:
            raise ConfigError(f"{path} cannot be locked: {error}") from error
        file.truncate(0)
        json.dump({"pid": os.getpid(), "host": socket.gethostname()}, file)
        file.flush()
        yield


def _force_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _holder(path: Path) -> str:
    """Say who holds a file."""
    try:
        holder = json.loads(path.read_text())
        return f"process {holder['pid']} on {holder['host']} holds it"
    except (OSError, ValueError, KeyError):
        return "another process holds it"
