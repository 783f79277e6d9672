"""Where the names in an HDF5 file lead, found out before anything there is opened."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import h5py

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.heaps import require_sound_object

__all__ = [
    "Elsewhere",
    "follow",
    "foreign_part",
    "has_own_values",
    "walk",
]

_MOST_SOFT_LINKS = 64


@dataclass(frozen=True)
class Elsewhere:
    """What an external link says; the file it names was not touched.

    Parameters
    ----------
    filename : str
        Relative to the folder of the file with the link, or absolute.
    path : str
        Inside the other file.
    """

    filename: str
    path: str


def follow(
    start: h5py.Group, name: str
) -> h5py.Group | h5py.Dataset | Elsewhere | None:
    """Open what a name leads to, as long as the way stays in the file.

    h5py opens the file behind an external link even to tell whether the link is there,
    and with it pipes, devices, and files that others may not know of.

    Parameters
    ----------
    start : h5py.Group
        A file, or a group in it.
    name : str
        Path from there, or from the root with a `/` in front.

    Returns
    -------
    h5py.Group, h5py.Dataset, Elsewhere or None
        None where there is nothing, as behind a soft link to nowhere or in a circle.
    """
    here = start.file["/"] if name.startswith("/") else start
    parts = deque(_parts(name))
    n_soft_links = 0
    while parts:
        if not isinstance(here, h5py.Group):
            return None
        part = parts.popleft().encode(errors="surrogateescape")
        links = here.id.links
        if not links.exists(part):
            return None
        link = links.get_info(part)
        if link.type == h5py.h5l.TYPE_EXTERNAL:
            filename, path = map(_text, links.get_val(part))
            return Elsewhere(filename, "/".join((path, *parts)))
        if link.type == h5py.h5l.TYPE_SOFT:
            n_soft_links += 1
            if n_soft_links > _MOST_SOFT_LINKS:
                return None
            target = _text(links.get_val(part))
            here = here.file["/"] if target.startswith("/") else here
            parts.extendleft(reversed(_parts(target)))
            continue
        require_sound_object(here.file, link.u)
        here = here[part]
    return here


def has_own_values(item: h5py.Group | h5py.Dataset) -> bool:
    """Return whether the values of an object lie in its file; nothing is read."""
    return not (isinstance(item, h5py.Dataset) and (item.is_virtual or item.external))


def walk(
    start: h5py.Group, name: str = "/"
) -> Iterator[tuple[str, h5py.Group | h5py.Dataset | Elsewhere]]:
    """Yield an object and all below it, once each, and links out of the file.

    Parameters
    ----------
    start : h5py.Group
        A file, or a group in it.
    name : str
        Where to begin.

    Yields
    ------
    name : str
        Path inside the file.
    item : h5py.Group, h5py.Dataset or Elsewhere
        What is there.

    Raises
    ------
    FileFormatError
        If there is nothing of that name.
    """
    first = follow(start, name)
    if first is None:
        raise FileFormatError(f"{start.file.filename}: cannot open {name}")
    pending = [(name if isinstance(first, Elsewhere) else str(first.name), first)]
    seen = set()
    while pending:
        name, item = pending.pop()
        if item in seen:
            continue
        seen.add(item)
        yield name, item
        if isinstance(item, h5py.Group):
            if not all(isinstance(key, str) for key in item):
                raise FileFormatError(
                    f"{start.file.filename}: a name below {name} is not UTF-8"
                )
            below = [(f"{name.rstrip('/')}/{key}", follow(item, key)) for key in item]
            pending += [(key, child) for key, child in below if child is not None]


def foreign_part(file: h5py.File, name: str = "/") -> str | None:
    """Return the path of something whose values lie outside of the file.

    Parameters
    ----------
    file : h5py.File
        An open file.
    name : str
        A dataset, or a group to search in.

    Returns
    -------
    str or None
        Path of an external link, external or virtual dataset; None if all values lie
        in the file.

    Notes
    -----
    A name that cannot be opened is a `FileFormatError`.
    """
    found = (
        place
        for place, item in walk(file, name)
        if isinstance(item, Elsewhere) or not has_own_values(item)
    )
    return next(found, None)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]


def _text(stored: bytes) -> str:
    return stored.decode(errors="surrogateescape")
