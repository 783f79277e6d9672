"""One agent at a time for one state on disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ainerd_bluesky.errors import AgentConflictError, StateInUseError
from ainerd_bluesky.files import lock_file

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
    try:
        with lock_file(folder / _NAME):
            yield
    except StateInUseError as error:
        raise AgentConflictError(
            f"an agent works with {folder} already: {error}; end it first, or give "
            "this campaign a state folder of its own"
        ) from error
