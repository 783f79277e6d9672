"""One process at a time for one state on disk."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ainerd_bluesky.errors import SelectionError, StateInUseError

__all__ = ["lock_file", "lock_state"]


@contextmanager
def lock_state(path: Path) -> Iterator[None]:
    """Keep others away from the file of a state; a crash gives it back.

    Parameters
    ----------
    path : Path
        The state, there or not yet; a hidden file beside it holds the lock. A folder
        in which there can be none is a `SelectionError`.

    Yields
    ------
    None
        While it is locked.

    Raises
    ------
    StateInUseError
        If another plan or process holds it; the text names file, process and host.
    """
    try:
        with lock_file(path.with_name(f".{path.name}.lock")):
            yield
    except StateInUseError as error:
        raise StateInUseError(
            f"{path} is in use: {error}; end that series first, or name another file"
        ) from error


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold a file that only one process may hold.

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
    SelectionError
        If it cannot be opened or locked.
    """
    try:
        file = path.open("a+")
    except OSError as error:
        raise SelectionError(f"{path} cannot be locked: {error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateInUseError(_holder(path)) from error
        except OSError as error:
            raise SelectionError(f"{path} cannot be locked: {error}") from error
        file.truncate(0)
        json.dump({"pid": os.getpid(), "host": socket.gethostname()}, file)
        file.flush()
        yield


def _holder(path: Path) -> str:
    """Say who holds a file."""
    try:
        holder = json.loads(path.read_text())
        return f"process {holder['pid']} on {holder['host']} holds it"
    except (OSError, ValueError, KeyError):
        return "another process holds it"
