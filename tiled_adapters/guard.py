"""Adapters that open files only where the server may read."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from fastapi import HTTPException
from starlette.status import HTTP_403_FORBIDDEN
from tiled.adapters.core import Adapter
from tiled.mimetypes import DEFAULT_ADAPTERS_BY_MIMETYPE
from tiled.structures.data_source import DataSource
from tiled.structures.root import Structure
from tiled.utils import path_from_uri

from ainerd_bluesky.errors import FileFormatError
from tiled_adapters.files import open_hdf5
from tiled_adapters.formats.adapters import CatalogNode
from tiled_adapters.links import foreign_part
from tiled_adapters.paths import local_path, require_under

__all__ = ["GuardedAdapter", "adapters_by_mimetype"]

OWN_ADAPTERS = (
    "tiled_adapters.formats.aps_8idi:Aps8IdiResultAdapter",
    "tiled_adapters.formats.aps_8idi:Aps8IdiFramesAdapter",
    "tiled_adapters.formats.aps_legacy:Aps8IdiLegacyAdapter",
    "tiled_adapters.formats.bliss:BlissAdapter",
    "tiled_adapters.formats.chx:CmpAdapter",
    "tiled_adapters.formats.chx_result:ChxResultAdapter",
    "tiled_adapters.formats.eiger:EigerAdapter",
    "tiled_adapters.formats.imm:ImmAdapter",
    "tiled_adapters.formats.one_time:OneTimeAdapter",
    "tiled_adapters.formats.rigaku:Rigaku3mAdapter",
    "tiled_adapters.formats.rigaku:Rigaku500kAdapter",
    "tiled_adapters.formats.sparse_frames:SparseFramesAdapter",
    "tiled_adapters.formats.stacks:StackAdapter",
    "tiled_adapters.formats.two_time_files:TwoTimeFileAdapter",
    "tiled_adapters.two_time:TwoTimeAdapter",
)
"""Adapter classes of this suite, as `module:class`."""

_HDF5 = "application/x-hdf5"


class GuardedAdapter:
    """Stand in for an adapter class and judge its files before they are opened.

    Tiled compares the text of paths: `..`, symbolic links and assets without a
    parameter get past it.

    Parameters
    ----------
    load : callable
        Returns the adapter class; called when the first file is opened.
    roots : iterable of Path
        Folders under which files may lie.
    is_hdf5 : bool
        Whether links and virtual datasets are to be refused.
    path_of : callable
        Returns the path that the adapter opens for a URI.
    """

    def __init__(
        self,
        load: Callable[[], Any],
        roots: Iterable[Path],
        *,
        is_hdf5: bool = False,
        path_of: Callable[[str], Path] = local_path,
    ) -> None:
        self._load = load
        self._roots = tuple(Path(root).resolve() for root in roots)
        self._is_hdf5 = is_hdf5
        self._path_of = path_of

    def __getattr__(self, name: str) -> object:
        return getattr(self._load(), name)

    def from_catalog(
        self,
        data_source: DataSource[Structure],
        node: CatalogNode,
        /,
        **parameters: object,
    ) -> Adapter[Structure]:
        """Make the adapter of a node whose files may be read.

        Parameters
        ----------
        data_source : DataSource
            Names the files.
        node : Node
            The node in the catalog.
        **parameters
            Of the data source.

        Returns
        -------
        Adapter
            Of the class that this one stands in for.
        """
        uris = [asset.data_uri for asset in data_source.assets or ()]
        lazy_uris = parameters.get("data_uris")
        if isinstance(lazy_uris, list):
            uris += [uri for uri in lazy_uris if uri]
        for uri in uris:
            if urlparse(uri).scheme == "file":
                self._judge(uri, parameters)
        return self._load().from_catalog(data_source, node, **parameters)

    def _judge(self, uri: str, parameters: Mapping[str, object]) -> None:
        """Refuse a file that lies, or points, outside of the folders to read."""
        try:
            path = require_under(self._path_of(uri), self._roots)
            if self._is_hdf5:
                _require_own_values(path, parameters)
        except FileFormatError as error:
            raise HTTPException(HTTP_403_FORBIDDEN, str(error)) from error


def adapters_by_mimetype(roots: Iterable[Path]) -> Mapping[str, GuardedAdapter]:
    """Return every adapter of the server, each behind the guard.

    Parameters
    ----------
    roots : iterable of Path
        Folders under which files may lie.

    Returns
    -------
    mapping of str to GuardedAdapter
        Tiled's own formats and those of this suite.
    """
    roots = tuple(roots)
    guarded = {
        mimetype: GuardedAdapter(
            partial(DEFAULT_ADAPTERS_BY_MIMETYPE.__getitem__, mimetype),
            roots,
            is_hdf5=mimetype == _HDF5,
            path_of=path_from_uri,
        )
        for mimetype in DEFAULT_ADAPTERS_BY_MIMETYPE
    }
    for name in OWN_ADAPTERS:
        module, _, attribute = name.partition(":")
        adapter: type[Adapter[Structure]] = getattr(import_module(module), attribute)
        guarded[adapter.mimetype] = GuardedAdapter(partial(_same, adapter), roots)
    return guarded


def _same(adapter: type[Adapter[Structure]]) -> type[Adapter[Structure]]:
    return adapter


def _require_own_values(path: Path, parameters: Mapping[str, object]) -> None:
    with open_hdf5(path, swmr=bool(parameters.get("swmr"))) as file:
        found = foreign_part(file, str(parameters.get("dataset") or "/"))
    if found:
        raise FileFormatError(f"{path}: {found} lies outside of the file itself")
