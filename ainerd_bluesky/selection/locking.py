"""One process at a time for one state on disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ainerd_bluesky.errors import StateInUseError
from ainerd_bluesky.files import lock_file

__all__ = ["lock_state"]


@contextmanager
def lock_state(path: Path) -> Iterator[None]:
    """Keep others away from the file of a state; a crash gives it back.

    Parameters
    ----------
    path : Path
        The state, there or not yet; a hidden file beside it holds the lock. A folder
        in which there can be none is a `ConfigError`.

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
