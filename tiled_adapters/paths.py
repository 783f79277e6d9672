"""Where files lie: behind a URI, below a folder that may be read, and of which kind."""

import stat
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlparse

from tiled.utils import path_from_uri

from ainerd_bluesky.errors import FileFormatError

__all__ = ["local_path", "require_regular", "require_under"]


def local_path(uri: str) -> Path:
    """Return the path behind a `file:` URI.

    Parameters
    ----------
    uri : str
        For example `file://localhost/data/my%20run.h5`, as `Path.as_uri` quotes it.

    Returns
    -------
    Path
        Absolute, symbolic links followed.

    Raises
    ------
    FileFormatError
        If the scheme is not `file`, or the path cannot be one.
    """
    if urlparse(uri).scheme != "file":
        raise FileFormatError(f"only file URIs can be opened, got {uri!r}")
    # Tiled leaves the quotes in, and takes them for a part of the name.
    path = unquote(str(path_from_uri(uri)))
    if "\0" in path:
        raise FileFormatError(f"{uri!r} is the path of no file")
    return Path(path).resolve()


def require_under(path: Path, roots: Iterable[Path]) -> Path:
    """Return the real path of a file, or refuse it.

    Parameters
    ----------
    path : Path
        The file; `..` and symbolic links are followed before it is judged.
    roots : iterable of Path
        Folders under which files may lie.

    Returns
    -------
    Path
        The resolved path.

    Raises
    ------
    FileFormatError
        If the file lies outside of every root.
    """
    real = Path(path).resolve()
    if any(real.is_relative_to(Path(root).resolve()) for root in roots):
        return real
    raise FileFormatError(f"{path} lies outside of the folders that may be read")


def require_regular(path: Path) -> None:
    """Refuse a pipe, a socket or a device, which to open or read may never end.

    Parameters
    ----------
    path : Path
        The file; one that is not there is left to whoever opens it.

    Raises
    ------
    FileFormatError
        If it is no regular file, after symbolic links are followed.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        raise FileFormatError(
            f"{path} is no regular file but a folder, a pipe or a device"
        )
