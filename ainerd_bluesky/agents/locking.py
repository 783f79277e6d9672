"""One agent at a time for one state on disk."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ainerd_bluesky.errors import AgentConflictError

__all__ = ["lock_folder"]

_NAME = "agent.lock"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other agents away from a folder; a crash gives it back.

    Parameters
    ----------
    folder : Path
        Holds the state of an agent.

    Yields
    ------
    None
        While the folder is locked.

    Raises
    ------
    AgentConflictError
        If another agent holds it; the text names process and host.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _NAME).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AgentConflictError(_describe(folder)) from error
        file.truncate(0)
        json.dump({"pid": os.getpid(), "host": socket.gethostname()}, file)
        file.flush()
        yield


def _describe(folder: Path) -> str:
    """Say who holds a folder."""
    try:
        holder = json.loads((folder / _NAME).read_text())
        who = f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError):
        who = "another process"
    return (
        f"an agent works with {folder} already: {who}; end it first, or give this "
        "campaign a state folder of its own"
    )
